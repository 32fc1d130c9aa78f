//! The rescue system: the base system below a fresh layer, which admits the given keys and is
//! discarded at the next boot. It runs neither cloud-init nor docker.

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::sshd;
use super::tool::During;
use crate::hypervisor::Failure;

/// Units that a machine runs and a rescue system does not.
const MASKED: &[&str] = &["docker.service", "docker.socket", "containerd.service"];

/// Its layers.
#[derive(Debug, Clone)]
pub(super) struct Layers {
    pub(super) upper: PathBuf,
    pub(super) work: PathBuf,
}

/// Creates it.
pub(super) fn make(directory: &Path, keys: &[String]) -> Result<Layers, Failure> {
    let what = "make the rescue system";
    if directory.exists() {
        std::fs::remove_dir_all(directory).during(what)?;
    }
    let layers = Layers { upper: directory.join("upper"), work: directory.join("work") };
    std::fs::create_dir_all(&layers.work).during(what)?;
    let mut private = std::fs::DirBuilder::new();
    // The mode of a directory in the upper layer is the effective one.
    private.recursive(true).mode(0o700).create(layers.upper.join("root/.ssh")).during(what)?;
    for open in ["", "etc", "etc/cloud", "etc/systemd", "etc/systemd/network", "etc/systemd/system"]
    {
        let directory = layers.upper.join(open);
        std::fs::create_dir_all(&directory).during(what)?;
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755))
            .during(what)?;
    }
    let keys: String = keys.iter().map(|key| format!("{}\n", key.trim())).collect();
    // As cloud-init would configure it.
    let network = "[Match]\nName=host0\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\n";
    for (path, content) in [
        ("root/.ssh/authorized_keys", keys.as_str()),
        ("etc/hostname", "rescue\n"),
        ("etc/cloud/cloud-init.disabled", ""),
        ("etc/systemd/network/10-host0.network", network),
    ] {
        let path = layers.upper.join(path);
        std::fs::write(&path, content).during(what)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).during(what)?;
    }
    for unit in MASKED {
        symlink("/dev/null", layers.upper.join("etc/systemd/system").join(unit)).during(what)?;
    }
    // The rescue system is a Debian, whatever the server is.
    sshd::start_at_boot(&layers.upper)?;
    Ok(layers)
}
