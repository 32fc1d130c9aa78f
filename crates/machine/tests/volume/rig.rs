//! A machine with one volume on a loop device, and the script's run on it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::fs::SeekFrom;
use tempfile::TempDir;

pub const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bootstrap/volume.sh");
pub const ID: &str = "4711";
pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;

/// A machine with one volume: the directories that the script uses, and a loop device with the
/// right serial and link.
pub struct Rig {
    pub directory: TempDir,
    pub device: PathBuf,
}

impl Rig {
    /// `None` without root.
    pub fn new(size: u64) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            testkit::passed_over!("loop devices need root");
            return None;
        }
        let directory =
            tempfile::Builder::new().prefix("dockbridge-volume-").tempdir_in("/var/tmp").unwrap();
        for name in ["run", "etc", "mnt", "lib", "dev/disk/by-id"] {
            fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        fs::write(directory.path().join("etc/volume-id"), format!("{ID}\n")).unwrap();
        File::create(directory.path().join("disk.img")).unwrap().set_len(size).unwrap();
        let mut rig = Self { directory, device: PathBuf::new() };
        rig.device = loop_device(&rig.image());
        rig.set_serial(ID);
        rig.link();
        Some(rig)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn image(&self) -> PathBuf {
        self.path("disk.img")
    }

    pub fn serial_page(&self) -> PathBuf {
        let number = self.device.to_str().unwrap().strip_prefix("/dev/loop").unwrap();
        self.path(&format!("sys/dev/block/7:{number}/device/vpd_pg80"))
    }

    pub fn set_serial(&self, serial: &str) {
        let path = self.serial_page();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // SCSI page 0x80: four bytes of header, then the serial.
        let mut page = vec![0, 0x80, 0, u8::try_from(serial.len()).unwrap()];
        page.extend(serial.bytes());
        fs::write(path, page).unwrap();
    }

    pub fn link(&self) {
        symlink(&self.device, self.path(&format!("dev/disk/by-id/scsi-0HC_Volume_{ID}"))).unwrap();
    }

    /// A machine that runs the script, then `then`, and ends.
    pub fn machine(&self, then: &str) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-ec"])
            .arg(format!("sh {SCRIPT}\ncd {}\n{then}", self.directory.path().display()));
        for (name, directory) in [
            ("RUN", "run"),
            ("ETC", "etc"),
            ("MNT", "mnt"),
            ("LIB", "lib"),
            ("DEV", "dev"),
            ("SYS", "sys"),
        ] {
            command.env(format!("DOCKBRIDGE_{name}"), self.path(directory));
        }
        command.env("DOCKBRIDGE_DOCKER_ETC", self.path("docker"));
        command.env("DOCKBRIDGE_VOLUME_WAIT", "2");
        command
    }

    /// Boots, runs `then` and powers off in order; returns its output.
    pub fn boots(&self, then: &str) -> String {
        let Output { status, stdout, stderr } = self.machine(then).output().unwrap();
        let (stdout, stderr) = (
            String::from_utf8_lossy(&stdout).into_owned(),
            String::from_utf8_lossy(&stderr).into_owned(),
        );
        assert!(
            status.success(),
            "{status}; state {:?}\nstdout: {stdout}\nstderr: {stderr}",
            self.state()
        );
        assert_eq!(self.state(), "ready");
        stdout
    }

    /// Boots, and the script refuses the volume; returns why. No byte of the volume may change.
    pub fn is_refused(&self) -> String {
        sync(&self.device);
        let before = content(&self.image());
        let Output { status, stderr, .. } = self.machine("").output().unwrap();
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        assert!(!status.success(), "it was used");
        let state = self.state();
        let reason = state
            .strip_prefix("refused: ")
            .unwrap_or_else(|| panic!("state {state:?}; stderr: {stderr}"));
        assert!(stderr.contains(reason), "the log has the same reason: {stderr}");
        sync(&self.device);
        assert!(content(&self.image()) == before, "its bytes changed");
        reason.to_owned()
    }

    pub fn state(&self) -> String {
        fs::read_to_string(self.path("run/volume.state")).unwrap_or_default().trim().to_owned()
    }

    /// Replaces a program of the system; returns the search path.
    pub fn stand_in(&self, program: &str, script: &str) -> String {
        let path = self.path(program);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        format!("{}:{}", self.directory.path().display(), std::env::var("PATH").unwrap())
    }

    /// Runs a tool on the device.
    pub fn tool(&self, program: &str, arguments: &[&str]) -> String {
        let output = Command::new(program).args(arguments).arg(&self.device).output().unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{program}: {said}");
        said
    }

    /// The value of one line of the super block, such as `Filesystem state`.
    pub fn superblock(&self, field: &str) -> String {
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

pub fn sync(device: &Path) {
    File::options().write(true).open(device).unwrap().sync_all().unwrap();
}

/// All blocks that are not zero, by their offset. Holes are not read.
pub fn content(image: &Path) -> BTreeMap<u64, Vec<u8>> {
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

pub fn noise() -> Vec<u8> {
    (1..=4096_u32)
        .map(|number| u8::try_from(number.wrapping_mul(2_654_435_761) >> 24).unwrap())
        .collect()
}
