//! The script that mounts the volume for docker, on real loop devices. Each run has a mount
//! namespace of its own, so its end is the machine's end. Needs root; without root each test is
//! passed over with its reason.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod growth;
mod image_store;
mod refusals;
mod rig;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use rig::{GIB, ID, Rig, SCRIPT, content, sync};

// Called by the tests and the script:
// Host programs: awk blkid blockdev cmp dumpe2fs e2fsck findmnt
// Host programs: mkfs.ext2 mkfs.ext4 mkswap mount mountpoint resize2fs sfdisk umount

#[test]
fn blank_volume_is_formatted_once_and_mounted_at_each_later_boot() {
    let Some(rig) = Rig::new(GIB) else { return };
    let mounts = rig.boots(
        "echo precious >lib/docker/data; echo dear >lib/containerd/data; cat /proc/self/mounts",
    );
    for place in ["mnt", "lib/docker", "lib/containerd"] {
        let mounted = format!("{} {} ext4 ", rig.device.display(), rig.path(place).display());
        assert!(mounts.contains(&mounted), "{mounted} in {mounts}");
    }
    assert_eq!(rig.superblock("Filesystem volume name"), "dockbridge");
    let made = rig.superblock("Filesystem UUID");

    assert_eq!(
        rig.boots("cat lib/docker/data lib/containerd/data mnt/docker/data"),
        "precious\ndear\nprecious\n"
    );
    assert_eq!(rig.superblock("Filesystem UUID"), made, "it was formatted again");
    assert!(
        !rig.path("lib/docker/data").exists(),
        "the data is on the volume, not below its mount point"
    );
}

#[test]
fn script_may_run_twice_in_one_boot() {
    let Some(rig) = Rig::new(GIB) else { return };
    let mounts = rig.boots(&format!(
        "sh {SCRIPT}; grep -c {} /proc/self/mounts",
        rig.directory.path().display()
    ));
    assert_eq!(mounts, "3\n");
}

#[test]
fn script_waits_for_a_device_that_appears_late_and_with_a_wrong_serial_first() {
    let Some(rig) = Rig::new(GIB) else { return };
    fs::remove_file(rig.path(&format!("dev/disk/by-id/scsi-0HC_Volume_{ID}"))).unwrap();
    // Opening a pipe for writing blocks until the script reads it.
    let serial = rig.serial_page();
    fs::remove_file(&serial).unwrap();
    assert!(Command::new("mkfifo").arg(&serial).status().unwrap().success());
    let mut child = rig
        .machine("true")
        .env("DOCKBRIDGE_VOLUME_WAIT", "30")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = SystemTime::now();
    while rig.state() != "waiting" {
        assert!(
            begun.elapsed().unwrap() < Duration::from_secs(20),
            "it does not wait; state {:?}",
            rig.state()
        );
        std::thread::park_timeout(Duration::from_millis(10));
    }
    rig.link();
    rig.set_serial("1");
    fs::remove_file(&serial).unwrap();
    assert_eq!(rig.state(), "waiting");
    rig.set_serial(ID);
    assert!(child.wait().unwrap().success(), "state {:?}", rig.state());
    assert_eq!(rig.state(), "ready");
}

#[test]
fn file_system_is_repaired_after_a_power_cut() {
    let Some(rig) = Rig::new(GIB) else { return };
    // The synced data is only in the journal when the disk is cut off.
    rig.boots("echo precious >lib/docker/data; sync lib/docker/data; xfs_io -r -x -c shutdown mnt");
    assert!(
        rig.superblock("Filesystem features").contains("needs_recovery"),
        "the rig leaves a clean file system"
    );
    rig.tool("debugfs", &["-w", "-R", "set_super_value state 2"]);
    assert!(rig.superblock("Filesystem state").contains("with errors"));

    assert_eq!(rig.boots("cat lib/docker/data"), "precious\n");
    assert_eq!(rig.superblock("Filesystem state"), "clean");
    assert!(!rig.superblock("Filesystem features").contains("needs_recovery"));
}

#[test]
fn format_that_was_cut_off_is_repeated() {
    for cut in [
        "dd if=/dev/urandom of=\"$device\" bs=64k seek=16 count=4 conv=fsync",
        "/sbin/mkfs.ext4 \"$@\"",
    ] {
        let Some(rig) = Rig::new(GIB) else { return };
        // The power is cut during the format, or just after it.
        let path = rig.stand_in("mkfs.ext4", &format!("for device do :; done\n{cut}\nkill -9 0"));
        let mut machine = rig.machine("");
        // A process group of its own, which is killed as a whole.
        assert!(!machine.env("PATH", path).process_group(0).output().unwrap().status.success());
        assert_eq!(rig.state(), "formatting");
        fs::remove_file(rig.path("mkfs.ext4")).unwrap();
        rig.boots("echo kept >mnt/file");
        assert_eq!(rig.boots("cat mnt/file"), "kept\n");
        assert!(
            !content(&rig.image())
                .values()
                .any(|block| block.starts_with(b"dockbridge is formatting")),
            "the mark is gone"
        );
    }
}

#[test]
fn file_system_that_was_mounted_is_not_formatted_despite_a_mark_in_its_last_block() {
    let Some(rig) = Rig::new(GIB) else { return };
    rig.boots("echo kept >mnt/file");
    let mark = format!("dockbridge is formatting volume {ID}");
    File::options()
        .write(true)
        .open(&rig.device)
        .unwrap()
        .write_all_at(mark.as_bytes(), GIB - 4096)
        .unwrap();
    sync(&rig.device);
    assert_eq!(rig.boots("cat mnt/file"), "kept\n");
}

#[test]
fn file_system_damaged_beyond_repair_is_left_to_the_user() {
    let Some(rig) = Rig::new(GIB) else { return };
    rig.boots("echo precious >lib/docker/data");
    rig.tool("debugfs", &["-w", "-R", "clri <2>"]);
    rig.tool("debugfs", &["-w", "-R", "set_super_value state 2"]);
    let Output { status, .. } = rig.machine("").output().unwrap();
    assert!(!status.success());
    assert!(
        rig.state().starts_with("refused: the file system of volume 4711 needs repair by hand"),
        "{}",
        rig.state()
    );
}
