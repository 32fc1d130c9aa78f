//! install.sh: what it installs, and that it installs nothing when something is wrong.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::rig::{Computer, install_script};
use crate::server::Manner;

const PROGRAM: &str = "#!/bin/sh\necho dockbridge 0.1.0\n";
const PAGE: &str = "share/man/man1/dockbridge.1";

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[tokio::test]
async fn archive_is_installed_below_the_home_and_every_file_is_listed() {
    let computer = Computer::new(Manner::Whole);
    computer.offer(PROGRAM, &[PAGE]).await;
    let ran = computer.install(&[]).await;
    let prefix = computer.path("home/.local");
    ran.succeeded().said(&[
        &format!("Installed dockbridge 0.1.0 in {}.", prefix.display()),
        &format!("export PATH=\"{}/bin:$PATH\"", prefix.display()),
        "Next: dockbridge init",
    ]);
    let installed =
        [".local/bin/dockbridge", &format!(".local/{PAGE}"), ".local/share/dockbridge/installed"];
    assert_eq!(computer.files(), set(&installed));
    let list = fs::read_to_string(prefix.join("share/dockbridge/installed")).unwrap();
    let list: Vec<&str> = list.lines().collect();
    for file in ["bin/dockbridge", PAGE, "share/dockbridge/installed", "bin", "share/man"] {
        assert!(list.contains(&file), "{file}: {list:?}");
    }
    let place = |name: &str| list.iter().position(|&line| line == name).unwrap();
    assert!(place("share/man/man1") < place("share/man") && place("share/man") < place("share"));
}

#[tokio::test]
async fn newer_version_replaces_the_older_one_and_removes_what_it_lacks() {
    let computer = Computer::new(Manner::Whole);
    let prefix = computer.path("elsewhere");
    let arguments = ["--prefix", prefix.to_str().unwrap()];
    computer.offer(PROGRAM, &[PAGE, "share/man/man1/old.1"]).await;
    computer.install(&arguments).await.succeeded();
    fs::write(prefix.join("share/man/man1/other.1"), "of another program").unwrap();
    let newer = PROGRAM.replace("0.1.0", "0.2.0");
    computer.offer(&newer, &[PAGE]).await;
    computer.install(&arguments).await.succeeded().said(&["Installed dockbridge 0.2.0"]);
    assert_eq!(fs::read_to_string(prefix.join("bin/dockbridge")).unwrap(), newer);
    assert!(!prefix.join("share/man/man1/old.1").exists(), "the new version lacks it");
    assert!(prefix.join("share/man/man1/other.1").exists(), "it is not dockbridge's");
    let list = fs::read_to_string(prefix.join("share/dockbridge/installed")).unwrap();
    assert!(list.lines().any(|line| line == "share/man/man1"), "it was created here: {list}");
    assert!(!list.contains("old.1") && !list.contains("other.1"), "{list}");
}

#[tokio::test]
async fn wrong_or_missing_checksum_installs_nothing() {
    let computer = Computer::new(Manner::Whole);
    computer.offer(PROGRAM, &[PAGE]).await;
    let sums = computer.path("served/SHA256SUMS");
    let right = fs::read_to_string(&sums).unwrap();
    let (sum, name) = right.split_at(64);
    fs::write(&sums, format!("{}{name}", "0".repeat(64))).unwrap();
    let expected = format!("has the checksum {sum}, not {}", "0".repeat(64));
    computer.install(&[]).await.failed(1, &[&expected, "nothing is installed"]);
    computer.has_nothing();

    fs::write(&sums, format!("{sum}  another.tar.gz\n")).unwrap();
    computer.install(&[]).await.failed(1, &["does not list dockbridge-"]);
    computer.has_nothing();

    fs::remove_file(&sums).unwrap();
    computer.install(&[]).await.failed(1, &["cannot fetch", "/SHA256SUMS"]);
    computer.has_nothing();
}

#[tokio::test]
async fn unknown_architecture_and_system_are_named() {
    let computer = Computer::new(Manner::Whole);
    computer.offer(PROGRAM, &[]).await;
    let uname = |system: &str, machine: &str| {
        let text = format!("#!/bin/sh\n[ $1 = -s ] && echo {system} || echo {machine}\n");
        computer.script("uname", &text);
    };
    uname("Linux", "riscv64");
    let refused = ["Error: there is no dockbridge for riscv64", "archives for x86_64 and aarch64"];
    computer.install(&[]).await.failed(1, &refused);
    uname("Darwin", "arm64");
    computer.install(&[]).await.failed(1, &["Error: there is no dockbridge for Darwin yet"]);
    computer.install(&["--nonsense"]).await.failed(1, &["unknown argument --nonsense"]);
    computer.has_nothing();
}

#[tokio::test]
async fn wget_is_used_where_there_is_no_curl_and_without_both_it_says_so() {
    let computer = Computer::new(Manner::Whole);
    computer.offer(PROGRAM, &[]).await;
    fs::remove_file(computer.path("bin/curl")).unwrap();
    computer.install(&[]).await.failed(1, &["Error: neither curl nor wget is installed"]);
    computer.has_nothing();
    computer.link("wget", Path::new("/bin/busybox"));
    computer.install(&[]).await.succeeded().said(&["Installed dockbridge 0.1.0"]);
}

#[tokio::test]
async fn download_that_breaks_off_installs_nothing() {
    let computer = Computer::new(Manner::BreaksOff);
    computer.offer(PROGRAM, &[PAGE]).await;
    computer.install(&[]).await.failed(1, &["Error: cannot fetch http://"]);
    computer.has_nothing();
}

#[tokio::test]
async fn interrupted_installation_leaves_nothing() {
    let computer = Computer::new(Manner::Stalls);
    computer.offer(PROGRAM, &[PAGE]).await;
    let mut command = computer.command(&install_script(), &[]);
    // As a terminal does: every process of the group gets the signal.
    let mut child = command.process_group(0).spawn().unwrap();
    computer.server.stalled.recv_timeout(Duration::from_secs(60)).unwrap();
    let group = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
    rustix::process::kill_process_group(group, Signal::INT).unwrap();
    let status = child.wait().await.unwrap();
    assert!(!status.success(), "{status}");
    computer.has_nothing();
}

#[tokio::test]
async fn program_that_does_not_run_here_is_not_installed() {
    let computer = Computer::new(Manner::Whole);
    computer.offer("#!/bin/sh\necho 'GLIBC_2.34 not found'\nexit 1\n", &[PAGE]).await;
    let expected =
        ["Error: the program does not run here: GLIBC_2.34 not found", "GNU C library 2.34"];
    computer.install(&[]).await.failed(1, &expected);
    computer.has_nothing();
}

/// As `curl … | sh` does with a connection that is lost.
#[tokio::test]
async fn script_that_was_cut_off_does_nothing() {
    let computer = Computer::new(Manner::Whole);
    computer.offer(PROGRAM, &[PAGE]).await;
    let whole = fs::read_to_string(install_script()).unwrap();
    assert!(whole.ends_with("\nmain \"$@\"\n"));
    let cut = computer.path("cut.sh");
    let ends = whole.trim_end().match_indices('\n').map(|(end, _)| end);
    for end in ends.chain([whole.len() - "main \"$@\"\n".len()]) {
        fs::write(&cut, &whole[..end]).unwrap();
        testkit::run(computer.command(&cut, &[]), "").await;
        computer.has_nothing();
    }
}
