//! How a volume looks inside a running machine: a device node `/dev/sdX`, its link by id, and the
//! SCSI serial in sysfs, as at Hetzner. All of it is in the machine's own mount namespace. Knows
//! nothing of the data.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use super::tool::{During, run};
use super::volume::Loop;
use crate::hypervisor::Failure;

/// Arguments: node, loop number, serial, volume whose name it gets. An overlay adds
/// `device/vpd_pg80` (SCSI page 0x80: four bytes of header, then the serial), which a loop device
/// lacks, to the loop device's directory in sysfs; everything else in it stays live.
const PLUG: &str = r#"
set -eu
node=/dev/$1; loop=$2; volume=$3; name=$4
sys=/sys/devices/virtual/block/loop$loop; own=/dev/.volume-$volume
rm -f "$node"
mkdir -p "$own/upper/device" "$own/work" /dev/disk/by-id
printf "\\000\\200\\000\\$(printf %03o ${#volume})%s" "$volume" > "$own/upper/device/vpd_pg80"
layers="lowerdir=$sys,upperdir=$own/upper,workdir=$own/work"
mountpoint -q "$sys" || mount -t overlay -o "$layers" volume "$sys"
mknod -m 660 "$node" b 7 "$loop"
chgrp disk "$node"
ln -sfn "../../$1" "/dev/disk/by-id/scsi-0HC_Volume_$name"
"#;

/// Arguments: loop number.
const PLUG_DISK: &str = r#"
set -eu
rm -f /dev/sda
mknod -m 660 /dev/sda b 7 "$1"
chgrp disk /dev/sda
"#;

/// The same arguments. All unmounts are lazy: a process with open files must not block the cloud.
const UNPLUG: &str = r#"
node=/dev/$1; loop=$2; volume=$3; sys=/sys/devices/virtual/block/loop$loop; own=/dev/.volume-$volume
last='$3 == dev { last = $5 } END { print last }'
while target=$(awk -v dev="7:$loop" "$last" /proc/self/mountinfo) && [ -n "$target" ]; do
  umount -l "$(printf %b "$target")" || break
done
umount -l "$sys" 2>/dev/null
rm -rf "$own" "$node"
link=/dev/disk/by-id/scsi-0HC_Volume_$volume
[ "$(readlink "$link")" = "../../$1" ] && rm -f "$link"
exit 0
"#;

/// Arguments: volume.
const AUTOMOUNT: &str = r#"
set -eu
device=/dev/disk/by-id/scsi-0HC_Volume_$1; target=/mnt/HC_Volume_$1
kind=$(blkid -p -s TYPE -o value "$device") && [ -n "$kind" ] || exit 0
mkdir -p "$target"
grep -q "^$device " /etc/fstab ||
  printf '%s %s %s discard,nofail,defaults 0 0\n' "$device" "$target" "$kind" >>/etc/fstab
mountpoint -q "$target" || mount "$target"
"#;

/// Makes the disk appear in the machine whose init has this process id on the host.
pub(super) async fn plug(init: i32, node: char, device: &Loop, volume: u64) -> Result<(), Failure> {
    inside(init, PLUG, node, device, (volume, volume)).await
}

/// Makes a disk appear under a volume's name with another serial.
pub(super) async fn plug_as(
    init: i32,
    node: char,
    device: &Loop,
    serial: u64,
    volume: u64,
) -> Result<(), Failure> {
    inside(init, PLUG, node, device, (serial, volume)).await
}

/// Removes it, mounted or not. A mounted file system is shut down first, so that processes with
/// open files get errors and write nothing more.
pub(super) async fn unplug(
    init: i32,
    node: char,
    device: &Loop,
    volume: u64,
) -> Result<(), Failure> {
    cut_off(hold_mounts(init, &[device.number])).await;
    inside(init, UNPLUG, node, device, (volume, volume)).await
}

/// Adds a volume with a file system to `/etc/fstab` and mounts it.
pub(super) async fn automount(init: i32, volume: u64) -> Result<(), Failure> {
    let (target, volume) = (format!("--target={init}"), volume.to_string());
    run(
        "mount the volume",
        "nsenter",
        &[&target, "--mount", "--pid", "--", "/bin/sh", "-c", AUTOMOUNT, "sh", &volume],
    )
    .await
    .map(drop)
}

/// Makes the server's own disk appear in the rescue system.
pub(super) async fn plug_disk(init: i32, device: &Loop) -> Result<(), Failure> {
    let (target, number) = (format!("--target={init}"), device.number.to_string());
    let args = [&target, "--mount", "--pid", "--", "/bin/sh", "-c", PLUG_DISK, "sh", &number];
    run("show the disk to the rescue system", "nsenter", &args).await.map(drop)
}

async fn inside(
    init: i32,
    script: &str,
    node: char,
    device: &Loop,
    (serial, volume): (u64, u64),
) -> Result<(), Failure> {
    let (target, node) = (format!("--target={init}"), format!("sd{node}"));
    let (number, serial, volume) =
        (device.number.to_string(), serial.to_string(), volume.to_string());
    let args = [
        &target, "--mount", "--pid", "--", "/bin/sh", "-c", script, "sh", &node, &number, &serial,
        &volume,
    ];
    run("show the volume to the machine", "nsenter", &args).await.map(drop)
}

/// Opens a directory of every file system that a machine has mounted from these loop devices, so
/// that it can be shut down even after the machine is dead.
pub(super) fn hold_mounts(init: i32, loops: &[u32]) -> Vec<File> {
    let mounts = std::fs::read_to_string(format!("/proc/{init}/mountinfo")).unwrap_or_default();
    let mut held: Vec<(u32, File)> = Vec::new();
    for line in mounts.lines() {
        let Some((number, point)) = loop_mount(line) else { continue };
        if loops.contains(&number)
            && !held.iter().any(|(other, _)| *other == number)
            && let Ok(directory) = File::open(format!("/proc/{init}/root{}", point.display()))
                .during("open a mount point")
        {
            held.push((number, directory));
        }
    }
    held.into_iter().map(|(_, directory)| directory).collect()
}

/// Shuts file systems down at once without writing back cached data, like a power cut. A clean
/// unmount, which the kernel does when the last process of a machine dies, would hide the effect
/// of a missing `sync`.
pub(super) async fn cut_off(mounts: Vec<File>) {
    for directory in mounts {
        let path = format!("/proc/{}/fd/{}", std::process::id(), directory.as_raw_fd());
        if let Err(failure) =
            run("cut off a file system", "xfs_io", &["-r", "-x", "-c", "shutdown", &path]).await
        {
            tracing::debug!(%failure, "the file system was not shut down");
        }
    }
}

/// Loop number and mount point in a line of mountinfo, if it is a mount from a loop device (major
/// number 7, fixed in the kernel).
fn loop_mount(line: &str) -> Option<(u32, PathBuf)> {
    let mut fields = line.split(' ');
    let number = fields.nth(2)?.strip_prefix("7:")?.parse().ok()?;
    Some((number, PathBuf::from(unescaped(fields.nth(1)?))))
}

/// The kernel writes blanks and backslashes in mountinfo as three octal digits.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        match after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &after[3..];
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_from_a_loop_device_is_found_with_blanks_in_its_path() {
        let line = r"121 101 7:3 / /mnt/two\040words rw,relatime shared:1 - ext4 /dev/sdb rw";
        assert_eq!(loop_mount(line), Some((3, PathBuf::from("/mnt/two words"))));
        assert_eq!(loop_mount("121 101 0:39 / / rw - overlay overlay rw"), None);
    }
}
