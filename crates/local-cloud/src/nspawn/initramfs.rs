//! What the initramfs of a Hetzner server leaves behind and a container lacks. Knows nothing of
//! servers or disks.

use super::tool::run;
use crate::hypervisor::Failure;

/// Mounts `/run` like initramfs-tools on Debian 12, Debian 13 and Ubuntu up to 24.04: nothing
/// below it may execute. `init` is the process id of the machine's init on this host.
pub(super) async fn restrict_run(init: i32) -> Result<(), Failure> {
    let target = format!("--target={init}");
    let options = "remount,bind,noexec,nosuid,nodev,relatime";
    let args = [&target, "--mount", "--pid", "--", "mount", "-o", options, "/run"];
    run("mount /run as an initramfs does", "nsenter", &args).await.map(drop)
}
