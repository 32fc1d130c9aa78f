//! The rescue system: the base system with a fresh layer over it, which lets in who holds the given
//! keys and is thrown away at the next boot. No cloud-init and no docker run in it.

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::sshd;
use super::tool::During;
use crate::hypervisor::Failure;

/// What a machine of the base system runs and a rescue system does not.
const MASKED: &[&str] = &["docker.service", "docker.socket", "containerd.service"];

/// The layers of one.
#[derive(Debug, Clone)]
pub(super) struct Layers {
    pub(super) upper: PathBuf,
    pub(super) work: PathBuf,
}

/// Makes a fresh one.
pub(super) fn make(folder: &Path, keys: &[String]) -> Result<Layers, Failure> {
    let what = "make the rescue system";
    if folder.exists() {
        std::fs::remove_dir_all(folder).during(what)?;
    }
    let layers = Layers { upper: folder.join("upper"), work: folder.join("work") };
    std::fs::create_dir_all(&layers.work).during(what)?;
    let mut private = std::fs::DirBuilder::new();
    // The mode of a folder in the upper layer is the one that counts.
    private.recursive(true).mode(0o700).create(layers.upper.join("root/.ssh")).during(what)?;
    for open in ["", "etc", "etc/cloud", "etc/systemd", "etc/systemd/network", "etc/systemd/system"]
    {
        let folder = layers.upper.join(open);
        std::fs::create_dir_all(&folder).during(what)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).during(what)?;
    }
    let keys: String = keys.iter().map(|key| format!("{}\n", key.trim())).collect();
    // As cloud-init would set it.
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
