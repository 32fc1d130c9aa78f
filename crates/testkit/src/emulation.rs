//! Arm64 programs on a host of another architecture, by qemu's user emulation. The kernel runs them
//! in one user namespace of this process, with a `binfmt_misc` of its own (Linux 6.7 and later): no
//! other process of the host sees it, and it ends with the last process in it.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// Debian's package `qemu-user-static` has it. Static, so that it runs in any mount namespace.
const EMULATOR: &str = "/usr/bin/qemu-aarch64-static";
/// The magic and the mask of a little-endian 64-bit ELF file for AArch64 (the kernel's
/// Documentation/admin-guide/binfmt-misc.rst). `F` opens the interpreter at once.
const FORMAT: &str = concat!(
    ":dockbridge-aarch64:M::",
    r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00",
    r":\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff",
    ":/usr/bin/qemu-aarch64-static:F"
);
/// Waits until it has ids; `exec` then makes it root of the namespace. Ends with its input.
// Host programs: mount
const HOLD: &str = r#"echo unshared && read -r _ && exec sh -c '
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc &&
printf %s "$1" >/proc/sys/fs/binfmt_misc/register && echo ready && exec cat' sh "$0""#;

/// A namespace in which arm64 programs run.
#[derive(Debug)]
pub struct Emulation {
    /// The process that holds the namespace until this process ends.
    holder: Child,
}

/// Why this host has none.
#[derive(Debug)]
pub struct NoEmulation(String);

impl fmt::Display for NoEmulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Emulation {
    /// The namespace of this process; the first call makes it.
    pub fn arm64() -> Result<&'static Self, &'static NoEmulation> {
        static MADE: OnceLock<Result<Emulation, NoEmulation>> = OnceLock::new();
        MADE.get_or_init(|| {
            if cfg!(target_arch = "aarch64") {
                return Err(NoEmulation("this host is arm64 itself".to_owned()));
            }
            if !Path::new(EMULATOR).exists() {
                return Err(NoEmulation(format!(
                    "there is no {EMULATOR} (Debian's package qemu-user-static)"
                )));
            }
            Self::make().map_err(|error| {
                NoEmulation(format!("arm64 programs cannot be emulated here: {error}"))
            })
        })
        .as_ref()
    }

    fn make() -> io::Result<Self> {
        let mut holder = Command::new("unshare")
            .args(["--user", "--mount", "sh", "-c", HOLD, FORMAT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let pipe = || io::Error::from(io::ErrorKind::BrokenPipe);
        let mut said = BufReader::new(holder.stdout.take().ok_or_else(pipe)?).lines();
        let unshared = said.next().transpose()?;
        if unshared.is_some() {
            // All ids as they are outside.
            for map in ["uid_map", "gid_map"] {
                std::fs::write(format!("/proc/{}/{map}", holder.id()), "0 0 4294967295\n")?;
            }
            holder.stdin.as_mut().ok_or_else(pipe)?.write_all(b"go\n")?;
            if said.next().transpose()?.is_some() {
                return Ok(Self { holder });
            }
        }
        let output = holder.wait_with_output()?;
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }

    /// A command in the namespace, with the process id of the child. Scripts and programs of the
    /// host run there as well.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        let holder = self.holder.id().to_string();
        command.args(["--target", &holder, "--user", "--mount", "--"]).arg(program);
        command
    }
}

/// The arm64 agent that `scripts/build --agents` has put into this directory.
pub fn arm64_agent(directory: &Path) -> Result<PathBuf, NoEmulation> {
    let agent = directory.join("dockbridge-agent-aarch64");
    match agent.exists() {
        true => Ok(agent),
        false => {
            Err(NoEmulation(format!("there is no {} (`scripts/build --agents`)", agent.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(not(target_arch = "aarch64"))]
    #[test]
    fn programs_of_the_host_run_as_root_of_the_namespace() {
        let emulation = match Emulation::arm64() {
            Ok(emulation) => emulation,
            Err(reason) => return crate::passed_over!("{reason}"),
        };
        let look = "id -u; cat /proc/sys/fs/binfmt_misc/dockbridge-aarch64";
        let output = emulation.command("sh").args(["-c", look]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let expected = format!("0\nenabled\ninterpreter {EMULATOR}\n");
        assert!(said.starts_with(&expected), "{said}");
        let outside = Path::new("/proc/sys/fs/binfmt_misc/dockbridge-aarch64");
        assert!(!outside.exists(), "the host has no such format");
    }
}
