//! What starts sshd on a machine. The base system uses a socket; this layer over the base changes
//! that. Knows nothing of servers.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::tool::During;
use crate::hypervisor::Failure;

/// Links below `/etc/systemd/system`. The one below `ssh.service.requires` cancels what the
/// socket's unit has put there.
const BY_SERVICE: &[(&str, &str)] = &[
    ("ssh.socket", "/dev/null"),
    ("ssh.service.requires/ssh.socket", "/dev/null"),
    ("multi-user.target.wants/ssh.service", "/usr/lib/systemd/system/ssh.service"),
];

/// Starts sshd at boot on a system with this layer.
pub(super) fn start_at_boot(upper: &Path) -> Result<(), Failure> {
    let what = "let sshd start at boot";
    for (link, target) in BY_SERVICE {
        let mut directory = upper.to_owned();
        for name in Path::new("etc/systemd/system").join(link).parent().into_iter().flatten() {
            directory.push(name);
            if !directory.is_dir() {
                std::fs::create_dir(&directory).during(what)?;
                // The mode of a directory in the upper layer is the effective one.
                std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755))
                    .during(what)?;
            }
        }
        symlink(target, upper.join("etc/systemd/system").join(link)).during(what)?;
    }
    Ok(())
}
