//! Volumes that the script refuses: it formats and mounts nothing that it does not know.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::process::Command;

use crate::rig::{GIB, ID, MIB, Rig, SCRIPT, content, noise};

const NO_KERNEL: &str = "--no-tell-kernel"; // words: allow

#[test]
fn foreign_file_systems_and_partition_tables_are_named_and_not_touched() {
    let cases: &[(&str, &[&str], &str)] = &[
        ("mkfs.ext4", &["-q", "-L", "theirs"], "a file system of type ext4"),
        ("mkfs.ext4", &["-q"], "a file system of type ext4"),
        ("mkfs.ext4", &["-q", "-L", "dockbridge-2"], "a file system of type ext4"),
        ("mkfs.ext2", &["-q", "-L", "dockbridge"], "a file system of type ext2"),
        ("mkfs.xfs", &["-q", "-L", "dockbridge"], "a file system of type xfs"),
        ("mkswap", &["--label", "dockbridge"], "a file system of type swap"),
    ];
    for (program, arguments, found) in cases {
        let Some(rig) = Rig::new(GIB) else { return };
        rig.tool(program, arguments);
        let reason = rig.is_refused();
        assert!(
            reason.contains(found) && reason.contains("was not formatted"),
            "{program} {arguments:?}: {reason}"
        );
    }
    for (label, found) in [("gpt", "gpt"), ("dos", "dos")] {
        let Some(rig) = Rig::new(GIB) else { return };
        let table = format!(
            "printf 'label: {label}\\n,100M\\n' | sfdisk --quiet --no-reread {NO_KERNEL} {}",
            rig.device.display()
        );
        assert!(Command::new("sh").args(["-c", &table]).status().unwrap().success());
        let reason = rig.is_refused();
        assert!(reason.contains(&format!("a partition table of type {found}")), "{reason}");
    }
}

#[test]
fn unknown_bytes_in_any_checked_place_are_not_touched() {
    let size = 3 * GIB;
    for place in [0, 64 * 1024, 16 * MIB - 4096, GIB, 2 * GIB + MIB - 4096, size - MIB, size - 4096]
    {
        let Some(rig) = Rig::new(size) else { return };
        File::options()
            .write(true)
            .open(&rig.device)
            .unwrap()
            .write_all_at(&noise(), place)
            .unwrap();
        let reason = rig.is_refused();
        assert!(
            reason.contains("data of an unknown kind") && reason.contains("was not formatted"),
            "at {place}: {reason}"
        );
    }
}

#[test]
fn unreadable_volume_is_not_taken_for_an_empty_one() {
    let Some(rig) = Rig::new(GIB) else { return };
    // The disk is a file on another file system, which is then cut off.
    rig.tool("mkfs.ext4", &["-q"]);
    let below = rig.path("below");
    fs::create_dir(&below).unwrap();
    let script = format!(
        "mount {outer} {below}; truncate -s 512M {below}/inner; inner=$(losetup --find --show \
            {below}/inner); trap 'losetup --detach $inner' EXIT\n\
         number=${{inner#/dev/loop}}; mkdir -p sys/dev/block/7:$number/device\n\
         cp sys/dev/block/7:{outer_number}/device/vpd_pg80 sys/dev/block/7:$number/device/\n\
         ln -sfn $inner dev/disk/by-id/scsi-0HC_Volume_{ID}\n\
         sync; echo 3 >/proc/sys/vm/drop_caches; xfs_io -r -x -c shutdown {below}\n\
         if dd if=$inner of=/dev/null bs=4096 count=1 2>/dev/null; then echo readable; fi\n\
         sh {SCRIPT} || true",
        outer = rig.device.display(),
        outer_number = rig.device.to_str().unwrap().strip_prefix("/dev/loop").unwrap(),
        below = below.display(),
    );
    let mut command = rig.machine("");
    let mut shell = Command::new("unshare");
    shell
        .args(["--mount", "--propagation", "private", "sh", "-ec", &script])
        .current_dir(rig.directory.path());
    shell.envs(
        command.env("LC_ALL", "C").get_envs().filter_map(|(name, value)| Some((name, value?))),
    );
    let output = shell.output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(!said.contains("readable"), "the rig does not cut it off: {said}");
    let state = rig.state();
    assert!(
        state.starts_with("refused: ") && state.contains("cannot be read"),
        "{state:?}; {said}"
    );
}

#[test]
fn failed_tool_is_reported_with_its_own_message() {
    for (program, reason) in [
        ("mkfs.ext4", "volume 4711 cannot be formatted: "),
        ("mount", "volume 4711 cannot be mounted: "),
    ] {
        let Some(rig) = Rig::new(GIB) else { return };
        let path = rig.stand_in(program, "echo 'no such luck' >&2; exit 32");
        let output = rig.machine("").env("PATH", path).output().unwrap();
        assert!(!output.status.success());
        assert_eq!(rig.state(), format!("refused: {reason}no such luck"));
    }
}

#[test]
fn disk_with_another_serial_is_not_touched() {
    let Some(rig) = Rig::new(GIB) else { return };
    rig.set_serial("4712");
    let reason = rig.is_refused();
    assert!(
        reason.contains("has the serial 4712 instead of 4711")
            && reason.contains("was not touched"),
        "{reason}"
    );
    assert!(content(&rig.image()).is_empty());
}

#[test]
fn disk_without_a_serial_is_not_touched() {
    let Some(rig) = Rig::new(GIB) else { return };
    fs::remove_dir_all(rig.path("sys")).unwrap();
    let reason = rig.is_refused();
    assert!(reason.contains("was not touched"), "{reason}");
}

#[test]
fn volume_that_never_appears_is_reported() {
    let Some(rig) = Rig::new(GIB) else { return };
    fs::remove_dir_all(rig.path("dev")).unwrap();
    assert_eq!(rig.is_refused(), "volume 4711 did not appear within 2 s");
}
