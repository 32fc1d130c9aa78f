//! The host's programs that machines need, and the Debian packages that provide them. The scripts
//! install from the same list, so that the check and the installation agree. Runs nothing.

use std::path::Path;

use super::tool::{DIRECTORIES, failure};
use crate::hypervisor::Failure;

/// One program a line: program or file, Debian package, uses.
const LIST: &str = include_str!("../../../../scripts/lib/programs.txt");

/// What the host needs the programs for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// To run machines.
    Machines,
    /// Besides, for `dockbridge try`.
    Story,
}

impl Use {
    fn word(self) -> &'static str {
        match self {
            Use::Machines => "machines",
            Use::Story => "try",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Program {
    /// A name, or an absolute path.
    name: &'static str,
    package: &'static str,
}

impl Program {
    fn is_there(self) -> bool {
        if self.name.starts_with('/') {
            return Path::new(self.name).exists();
        }
        DIRECTORIES.iter().any(|directory| Path::new(directory).join(self.name).exists())
    }
}

/// Refuses a host that cannot run machines, and says what to do.
pub fn check_host() -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(failure(
            "real machines",
            "they need root; run this as root, or use only the API (--machines none)",
        ));
    }
    check(&[Use::Machines])
}

/// Refuses a host that lacks programs, and names them with their packages. It takes a few
/// milliseconds, so it can run before anything is created.
pub fn check(uses: &[Use]) -> Result<(), Failure> {
    let missing: Vec<Program> =
        programs(LIST, uses).filter(|program| !program.is_there()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(failure("real machines", refusal(&missing)))
}

fn programs(list: &'static str, wanted: &[Use]) -> impl Iterator<Item = Program> {
    list.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut columns = line.split_whitespace();
        let (name, package, uses) = (columns.next()?, columns.next()?, columns.next()?);
        let used = uses.split(',').any(|word| wanted.iter().any(|one| one.word() == word));
        used.then_some(Program { name, package })
    })
}

fn refusal(missing: &[Program]) -> String {
    let mut packages: Vec<&str> = Vec::new();
    for program in missing {
        if !packages.contains(&program.package) {
            packages.push(program.package);
        }
    }
    let names: Vec<&str> = missing.iter().map(|program| program.name).collect();
    format!("{} not found; install with: apt-get install {}", names.join(", "), packages.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_need_what_the_list_says_and_no_more() {
        let list = "# a comment\n\nnft nftables machines,test\n/srv/busybox busybox-static \
         try\nhcloud hcloud-cli test\n";
        let names = |uses| programs(list, uses).map(|program| program.name).collect::<Vec<_>>();
        assert_eq!(names(&[Use::Machines]), ["nft"]);
        assert_eq!(names(&[Use::Machines, Use::Story]), ["nft", "/srv/busybox"]);
    }

    #[test]
    fn the_list_can_be_read_here() {
        let all: Vec<Program> = programs(LIST, &[Use::Machines, Use::Story]).collect();
        assert!(
            all.iter().any(|program| program.name == "systemd-nspawn"
                && program.package == "systemd-container")
        );
        assert!(
            all.iter().all(|program| !program.name.contains('*')),
            "patterns are read by the scripts only: {all:?}"
        );
    }

    /// The script also names a program of each package whose absence shows that the package is
    /// missing.
    #[test]
    fn the_list_has_what_the_sources_call_and_no_package_can_be_left_out() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/lib/check-programs");
        let ran = std::process::Command::new(script).arg("--each").output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
        assert!(said.contains("Without fdisk: sfdisk is not in the list"), "{said}");
    }

    #[test]
    fn a_refusal_names_each_program_and_each_package_once() {
        let program = |name| Program { name, package: "xfsprogs" };
        let message = refusal(&[
            program("mkfs.xfs"),
            program("xfs_io"),
            Program { name: "sfdisk", package: "fdisk" },
        ]);
        assert_eq!(
            message,
            "mkfs.xfs, xfs_io, sfdisk not found; install with: apt-get install xfsprogs fdisk"
        );
    }

    #[test]
    fn a_program_is_looked_for_by_name_and_a_file_by_its_path() {
        let here = |name| Program { name, package: "any" }.is_there();
        assert!(here("sh") && here("/bin/sh"));
        assert!(!here("no-such-program") && !here("/srv/no-such-program"));
    }
}
