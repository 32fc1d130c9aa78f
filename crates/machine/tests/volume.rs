//! The script that brings the volume to docker, on real loop devices. Each run has a mount
//! namespace of its own, so that its end is the machine's end. Needs root; each test passes over
//! with its reason where it is missing.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "volume/growth.rs"]
mod growth;
#[path = "volume/image_store.rs"]
mod image_store;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use rustix::fs::SeekFrom;
use tempfile::TempDir;

// Its own words and the script's: Host programs: awk blkid blockdev cmp dumpe2fs e2fsck findmnt
// mkfs.ext2 mkfs.ext4 mkswap mount mountpoint resize2fs sfdisk umount

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bootstrap/volume.sh");
const ID: &str = "4711";
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// A machine with one volume: the folders that the script knows, and a loop device that carries the
/// right serial and has its link.
struct Rig {
    folder: TempDir,
    device: PathBuf,
}

impl Rig {
    /// `None` where it cannot be had.
    fn new(size: u64) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            testkit::passed_over!("loop devices need root");
            return None;
        }
        let folder =
            tempfile::Builder::new().prefix("dockbridge-volume-").tempdir_in("/var/tmp").unwrap();
        for name in ["run", "etc", "mnt", "lib", "dev/disk/by-id"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("etc/volume-id"), format!("{ID}\n")).unwrap();
        File::create(folder.path().join("disk.img")).unwrap().set_len(size).unwrap();
        let mut rig = Self { folder, device: PathBuf::new() };
        rig.device = loop_device(&rig.image());
        rig.set_serial(ID);
        rig.link();
        Some(rig)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn image(&self) -> PathBuf {
        self.path("disk.img")
    }

    fn serial_page(&self) -> PathBuf {
        let number = self.device.to_str().unwrap().strip_prefix("/dev/loop").unwrap();
        self.path(&format!("sys/dev/block/7:{number}/device/vpd_pg80"))
    }

    fn set_serial(&self, serial: &str) {
        let path = self.serial_page();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // SCSI page 0x80: four bytes of header, then the serial.
        let mut page = vec![0, 0x80, 0, u8::try_from(serial.len()).unwrap()];
        page.extend(serial.bytes());
        fs::write(path, page).unwrap();
    }

    fn link(&self) {
        symlink(&self.device, self.path(&format!("dev/disk/by-id/scsi-0HC_Volume_{ID}"))).unwrap();
    }

    /// The script, and then what else the machine does, until it ends.
    fn machine(&self, then: &str) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-ec"])
            .arg(format!("sh {SCRIPT}\ncd {}\n{then}", self.folder.path().display()));
        for (name, folder) in [
            ("RUN", "run"),
            ("ETC", "etc"),
            ("MNT", "mnt"),
            ("LIB", "lib"),
            ("DEV", "dev"),
            ("SYS", "sys"),
        ] {
            command.env(format!("DOCKBRIDGE_{name}"), self.path(folder));
        }
        command.env("DOCKBRIDGE_DOCKER_ETC", self.path("docker"));
        command.env("DOCKBRIDGE_VOLUME_WAIT", "2");
        command
    }

    /// Boots, does something, and powers off in order.
    fn boots(&self, then: &str) -> String {
        let Output { status, stdout, stderr } = self.machine(then).output().unwrap();
        let (stdout, stderr) = (
            String::from_utf8_lossy(&stdout).into_owned(),
            String::from_utf8_lossy(&stderr).into_owned(),
        );
        assert!(
            status.success(),
            "{status}; state {:?}\nstdout: {stdout}\nstderr: \
            {stderr}",
            self.state()
        );
        assert_eq!(self.state(), "ready");
        stdout
    }

    /// Boots without reaching its volume; returns why. Not a byte of it may have changed.
    fn is_refused(&self) -> String {
        sync(&self.device);
        let before = content(&self.image());
        let Output { status, stderr, .. } = self.machine("").output().unwrap();
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        assert!(!status.success(), "it was used");
        let state = self.state();
        let reason = state.strip_prefix("refused: ").unwrap_or_else(|| {
            panic!(
                "state {state:?}; \
            stderr: {stderr}"
            )
        });
        assert!(stderr.contains(reason), "the log tells the same: {stderr}");
        sync(&self.device);
        assert!(content(&self.image()) == before, "its bytes changed");
        reason.to_owned()
    }

    fn state(&self) -> String {
        fs::read_to_string(self.path("run/volume.state")).unwrap_or_default().trim().to_owned()
    }

    /// Puts another program of that name before the system's own; returns the search path.
    fn stand_in(&self, program: &str, script: &str) -> String {
        let path = self.path(program);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap())
    }

    /// Runs a tool on the device.
    fn tool(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).arg(&self.device).output().unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{program}: {said}");
        said
    }

    /// One line of the super block, such as `Filesystem state`.
    fn superblock(&self, field: &str) -> String {
        let said = self.tool("dumpe2fs", &["-h"]);
        let line = said.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field} in {said}")).trim().to_owned()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
    }
}

fn loop_device(image: &Path) -> PathBuf {
    let output = Command::new("losetup").args(["--find", "--show"]).arg(image).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

fn sync(device: &Path) {
    File::options().write(true).open(device).unwrap().sync_all().unwrap();
}

/// All blocks that are not zero, by their place. Holes are not read.
fn content(image: &Path) -> BTreeMap<u64, Vec<u8>> {
    const BLOCK: usize = 4096;
    let file = File::open(image).unwrap();
    let mut blocks = BTreeMap::new();
    let mut at = 0;
    while let Ok(begin) = rustix::fs::seek(&file, SeekFrom::Data(at)) {
        at = rustix::fs::seek(&file, SeekFrom::Hole(begin)).unwrap();
        for place in (begin / BLOCK as u64 * BLOCK as u64..at).step_by(BLOCK) {
            let mut block = vec![0; BLOCK];
            let read = file.read_at(&mut block, place).unwrap();
            block.truncate(read);
            if block != [0; BLOCK][..read] {
                blocks.insert(place, block);
            }
        }
    }
    blocks
}

fn noise() -> Vec<u8> {
    (1..=4096_u32)
        .map(|number| u8::try_from(number.wrapping_mul(2_654_435_761) >> 24).unwrap())
        .collect()
}

#[test]
fn a_blank_volume_is_formatted_once_and_mounted_ever_after() {
    let Some(rig) = Rig::new(GIB) else { return };
    let mounts = rig.boots(
        "echo precious >lib/docker/data; echo dear >lib/containerd/data; cat \
        /proc/self/mounts",
    );
    for place in ["mnt", "lib/docker", "lib/containerd"] {
        let mounted = format!("{} {} ext4 ", rig.device.display(), rig.path(place).display());
        assert!(mounts.contains(&mounted), "{mounted} in {mounts}");
    }
    assert_eq!(rig.superblock("Filesystem volume name"), "dockbridge");
    let made = rig.superblock("Filesystem UUID");

    assert_eq!(
        rig.boots(
            "cat lib/docker/data lib/containerd/data \
        mnt/docker/data"
        ),
        "precious\ndear\nprecious\n"
    );
    assert_eq!(rig.superblock("Filesystem UUID"), made, "it was formatted again");
    assert!(
        !rig.path("lib/docker/data").exists(),
        "the data is on the volume, not below its mount \
        point"
    );
}

#[test]
fn the_script_may_run_twice_in_one_boot() {
    let Some(rig) = Rig::new(GIB) else { return };
    let mounts = rig.boots(&format!(
        "sh {SCRIPT}; grep -c {} \
        /proc/self/mounts",
        rig.folder.path().display()
    ));
    assert_eq!(mounts, "3\n");
}

#[test]
fn foreign_file_systems_and_tables_are_named_and_left_alone() {
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
            "{program} \
            {arguments:?}: {reason}"
        );
    }
    for (label, found) in [("gpt", "gpt"), ("dos", "dos")] {
        let Some(rig) = Rig::new(GIB) else { return };
        let table = format!(
            "printf 'label: {label}\\n,100M\\n' | sfdisk --quiet --no-reread \
            --no-tell-kernel {}",
            rig.device.display()
        );
        assert!(Command::new("sh").args(["-c", &table]).status().unwrap().success());
        let reason = rig.is_refused();
        assert!(reason.contains(&format!("a partition table of type {found}")), "{reason}");
    }
}

#[test]
fn bytes_of_no_known_kind_are_left_alone_wherever_they_are_looked_for() {
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
            reason.contains(
                "data of an unknown \
            kind"
            ) && reason.contains("was not formatted"),
            "at {place}: {reason}"
        );
    }
}

#[test]
fn a_volume_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let Some(rig) = Rig::new(GIB) else { return };
    // The disk lies in a file on another file system, which is then cut off.
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
        .current_dir(rig.folder.path());
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
        state.starts_with("refused: ")
            && state.contains(
                "cannot be \
        read"
            ),
        "{state:?}; {said}"
    );
}

#[test]
fn a_tool_that_fails_is_told_in_its_own_words() {
    for (program, told) in [
        (
            "mkfs.ext4",
            "volume 4711 cannot be \
        formatted: ",
        ),
        ("mount", "volume 4711 cannot be mounted: "),
    ] {
        let Some(rig) = Rig::new(GIB) else { return };
        let path = rig.stand_in(program, "echo 'no such luck' >&2; exit 32");
        let output = rig.machine("").env("PATH", path).output().unwrap();
        assert!(!output.status.success());
        assert_eq!(rig.state(), format!("refused: {told}no such luck"));
    }
}

#[test]
fn a_disk_with_another_serial_is_not_touched() {
    let Some(rig) = Rig::new(GIB) else { return };
    rig.set_serial("4712");
    let reason = rig.is_refused();
    assert!(
        reason.contains(
            "has the serial 4712 instead of \
        4711"
        ) && reason.contains("was not touched"),
        "{reason}"
    );
    assert!(content(&rig.image()).is_empty());
}

#[test]
fn a_disk_without_a_serial_is_not_touched() {
    let Some(rig) = Rig::new(GIB) else { return };
    fs::remove_dir_all(rig.path("sys")).unwrap();
    let reason = rig.is_refused();
    assert!(reason.contains("was not touched"), "{reason}");
}

#[test]
fn a_volume_that_never_appears_is_told() {
    let Some(rig) = Rig::new(GIB) else { return };
    fs::remove_dir_all(rig.path("dev")).unwrap();
    assert_eq!(rig.is_refused(), "volume 4711 did not appear within 2 s");
}

#[test]
fn a_device_that_appears_late_and_first_leads_elsewhere_is_waited_for() {
    let Some(rig) = Rig::new(GIB) else { return };
    fs::remove_file(rig.path(&format!("dev/disk/by-id/scsi-0HC_Volume_{ID}"))).unwrap();
    // Opening a pipe for writing waits until the script looks.
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
            "it does not wait; state \
            {:?}",
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
fn a_volume_of_ours_is_repaired_after_a_power_cut() {
    let Some(rig) = Rig::new(GIB) else { return };
    // What was synced is in the journal only when the disk is cut off.
    rig.boots("echo precious >lib/docker/data; sync lib/docker/data; xfs_io -r -x -c shutdown mnt");
    assert!(
        rig.superblock(
            "Filesystem \
        features"
        )
        .contains("needs_recovery"),
        "the rig leaves a clean file system"
    );
    rig.tool("debugfs", &["-w", "-R", "set_super_value state 2"]);
    assert!(rig.superblock("Filesystem state").contains("with errors"));

    assert_eq!(rig.boots("cat lib/docker/data"), "precious\n");
    assert_eq!(rig.superblock("Filesystem state"), "clean");
    assert!(!rig.superblock("Filesystem features").contains("needs_recovery"));
}

#[test]
fn a_formatting_that_was_cut_off_is_done_again() {
    for cut in [
        "dd if=/dev/urandom of=\"$device\" bs=64k seek=16 count=4 \
        conv=fsync",
        "/sbin/mkfs.ext4 \"$@\"",
    ] {
        let Some(rig) = Rig::new(GIB) else { return };
        // The power goes while it formats, or just after it.
        let path = rig.stand_in("mkfs.ext4", &format!("for device do :; done\n{cut}\nkill -9 0"));
        let mut machine = rig.machine("");
        // A group of its own, all of which dies at once.
        assert!(!machine.env("PATH", path).process_group(0).output().unwrap().status.success());
        assert_eq!(rig.state(), "formatting");
        fs::remove_file(rig.path("mkfs.ext4")).unwrap();
        rig.boots("echo kept >mnt/file");
        assert_eq!(rig.boots("cat mnt/file"), "kept\n");
        assert!(
            !content(&rig.image()).values().any(|block| block.starts_with(
                b"dockbridge is \
            formatting"
            )),
            "nothing says so any more"
        );
    }
}

#[test]
fn nothing_that_was_mounted_is_formatted_whatever_its_last_block_says() {
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
fn a_volume_of_ours_that_is_damaged_beyond_repair_is_left_to_the_person() {
    let Some(rig) = Rig::new(GIB) else { return };
    rig.boots("echo precious >lib/docker/data");
    rig.tool("debugfs", &["-w", "-R", "clri <2>"]);
    rig.tool("debugfs", &["-w", "-R", "set_super_value state 2"]);
    let Output { status, .. } = rig.machine("").output().unwrap();
    assert!(!status.success());
    assert!(
        rig.state().starts_with(
            "refused: the file system of volume 4711 needs repair by \
        hand"
        ),
        "{}",
        rig.state()
    );
}
