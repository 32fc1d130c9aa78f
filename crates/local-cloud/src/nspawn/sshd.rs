//! What starts sshd on a machine. The base system starts it by its socket; this makes the
//! difference in a layer over the base. Knows nothing of servers.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::tool::During;
use crate::hypervisor::Failure;

/// Links below `/etc/systemd/system`. The one below `ssh.service.requires` takes back what the
/// socket's unit has put there.
const BY_SERVICE: &[(&str, &str)] = &[
    ("ssh.socket", "/dev/null"),
    ("ssh.service.requires/ssh.socket", "/dev/null"),
    ("multi-user.target.wants/ssh.service", "/usr/lib/systemd/system/ssh.service"),
];

/// Lets sshd start at boot on what has this layer.
pub(super) fn start_at_boot(upper: &Path) -> Result<(), Failure> {
    let what = "let sshd start at boot";
    for (link, target) in BY_SERVICE {
        let mut folder = upper.to_owned();
        for name in Path::new("etc/systemd/system").join(link).parent().into_iter().flatten() {
            folder.push(name);
            if !folder.is_dir() {
                std::fs::create_dir(&folder).during(what)?;
                // The mode of a folder in the upper layer is the one that counts.
                std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))
                    .during(what)?;
            }
        }
        symlink(target, upper.join("etc/systemd/system").join(link)).during(what)?;
    }
    Ok(())
}
