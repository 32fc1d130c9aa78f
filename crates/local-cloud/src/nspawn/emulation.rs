//! Machines of arm types on a host of another architecture. Their system is the host's, but `uname`
//! says aarch64, and the kernel runs arm64 programs by qemu's user emulation. So what dockbridge
//! sends to such a machine is its arm64 agent; systemd, sshd and docker stay programs of the host.
//! A whole arm64 system is no base for machines: under qemu's user emulation dbus, logind and sshd
//! do not come up.
//!
//! Machines live in the host's user namespace, and `binfmt_misc` belongs to that: while the local
//! cloud runs, arm64 programs run on the whole host.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::claim::Slot;
use super::tool::{DIRECTORIES, During, failure, run};
use crate::hypervisor::Failure;

/// Debian's package `qemu-user-static` has it. The kernel opens it once, so that machines need not
/// contain it.
const EMULATOR: &str = "qemu-aarch64-static";
const FORMATS: &str = "/proc/sys/fs/binfmt_misc";
const PREFIX: &str = "dockbridge-aarch64-";
/// Magic and mask of a little-endian 64-bit ELF file for AArch64, in the form of the kernel's
/// Documentation/admin-guide/binfmt-misc.rst.
const MAGIC: &str = concat!(
    r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
    r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
);
/// Stands before the system's own in the search path of logins and services.
const UNAME: &str = "#!/bin/sh\n/usr/bin/uname \"$@\" | /usr/bin/sed s/x86_64/aarch64/g\n";

/// Refuses a host that cannot emulate arm64.
pub fn check_arm64() -> Result<(), Failure> {
    emulator().map(drop)
}

fn emulator() -> Result<PathBuf, Failure> {
    let what = "emulate arm64";
    if !cfg!(target_arch = "x86_64") {
        return Err(failure(what, "only an x86-64 host does"));
    }
    if !Path::new(FORMATS).is_dir() {
        return Err(failure(what, "the kernel has no binfmt_misc"));
    }
    let mut paths = DIRECTORIES.iter().map(|directory| Path::new(directory).join(EMULATOR));
    paths.find(|path| path.exists()).ok_or_else(|| {
        failure(
            what,
            format!("{EMULATOR} not found; install with: apt-get install qemu-user-static"),
        )
    })
}

/// Lets arm64 programs run on this host.
pub(super) async fn register(slot: Slot) -> Result<(), Failure> {
    let emulator = emulator()?;
    let what = "let arm64 programs run";
    if !Path::new(FORMATS).join("register").exists() {
        run(what, "mount", &["-t", "binfmt_misc", "binfmt_misc", FORMATS]).await?;
    }
    let format = format!(":{PREFIX}{}:M::{MAGIC}:{}:F", slot.0, emulator.display());
    write("register", &format).during(what)
}

/// Slots whose format exists.
pub(super) fn slots() -> Vec<Slot> {
    let entries = std::fs::read_dir(FORMATS).into_iter().flatten().flatten();
    entries.filter_map(|entry| Slot::of(entry.file_name().to_str()?, PREFIX)).collect()
}

/// Removes the slot's format; returns its name if there was one.
pub(super) fn remove(slot: Slot) -> Result<Option<String>, Failure> {
    let name = format!("{PREFIX}{}", slot.0);
    match write(&name, "-1") {
        Ok(()) => Ok(Some(name)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failure(format!("remove the format {name}"), error)),
    }
}

/// Only the kernel creates files there.
fn write(name: &str, text: &str) -> std::io::Result<()> {
    File::options().write(true).open(Path::new(FORMATS).join(name))?.write_all(text.as_bytes())
}

/// Makes the system of this writable layer say that it is arm64.
pub(super) fn pretend(upper: &Path) -> Result<(), Failure> {
    let what = "make a machine for arm64";
    let open = |path: &Path| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).during(what)
    };
    let mut directory = upper.to_owned();
    for name in ["usr", "local", "bin"] {
        directory.push(name);
        std::fs::create_dir_all(&directory).during(what)?;
        // The mode of a directory in the upper layer is the effective one.
        open(&directory)?;
    }
    let uname = directory.join("uname");
    std::fs::write(&uname, UNAME).during(what)?;
    open(&uname)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_says_that_it_is_arm64_and_nothing_else_changes() {
        let upper = tempfile::tempdir().unwrap();
        pretend(upper.path()).unwrap();
        let program = upper.path().join("usr/local/bin/uname");
        let uname = |argument: &str| {
            let output = std::process::Command::new(&program).arg(argument).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        if cfg!(target_arch = "x86_64") {
            assert_eq!(uname("-m"), "aarch64\n");
        }
        assert_eq!(uname("-s"), "Linux\n");
    }

    #[test]
    fn format_leads_back_to_its_slot() {
        assert_eq!(Slot::of(&format!("{PREFIX}17"), PREFIX), Some(Slot(17)));
        assert_eq!(Slot::of("qemu-aarch64", PREFIX), None);
    }
}
