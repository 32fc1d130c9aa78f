//! A computer on which install.sh runs: a home, a directory for temporary files, a PATH of its own,
//! and a server with an archive whose program is a shell script.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use testkit::{Ran, run};
use tokio::process::Command;

use crate::server::{Manner, Server};

/// What install.sh calls, apart from what fetches.
// Host programs: cat cp find grep gzip mkdir mktemp mv rm sed sha256sum sort tar uname
const PROGRAMS: [&str; 14] = [
    "cat",
    "cp",
    "find",
    "grep",
    "gzip",
    "mkdir",
    "mktemp",
    "mv",
    "rm",
    "sed",
    "sha256sum",
    "sort",
    "tar",
    "uname",
];

pub struct Computer {
    directory: TempDir,
    pub server: Server,
}

pub fn install_script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/install.sh")
}

/// Where a program of this host is.
pub fn host_program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|program| program.exists())
        .unwrap_or_else(|| panic!("there is no {name}"))
}

impl Computer {
    pub fn new(manner: Manner) -> Self {
        let directory = tempfile::Builder::new().prefix("dockbridge-install-").tempdir().unwrap();
        for name in ["home", "tmp", "served", "bin"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let server =
            Server::start_on(Ipv4Addr::LOCALHOST.into(), &directory.path().join("served"), manner);
        let computer = Self { directory, server };
        for name in PROGRAMS {
            computer.link(name, &host_program(name));
        }
        computer.link("curl", &host_program("curl"));
        computer
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts a program into the PATH.
    pub fn link(&self, name: &str, program: &Path) {
        symlink(program, self.path("bin").join(name)).unwrap();
    }

    /// Puts a shell script into the PATH, in the place of what is there.
    pub fn script(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::remove_file(&path).ok();
        write_program(&path, text);
    }

    /// Offers an archive with these files, all of them texts, besides the program.
    pub async fn offer(&self, program: &str, files: &[&str]) {
        let name = format!("dockbridge-{}-linux", std::env::consts::ARCH);
        let tree = self.path("served").join(&name);
        fs::create_dir_all(tree.join("bin")).unwrap();
        write_program(&tree.join("bin/dockbridge"), program);
        for file in files {
            let path = tree.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{file} of {program}")).unwrap();
        }
        let archive = format!("{name}.tar.gz");
        let mut pack = Command::new("tar");
        pack.args(["-c", "-z", "-f", &archive, &name]).current_dir(self.path("served"));
        run(pack, "").await.succeeded();
        fs::remove_dir_all(tree).unwrap();
        let mut sum = Command::new("sha256sum");
        sum.arg(&archive).current_dir(self.path("served"));
        let sums = run(sum, "").await.succeeded().stdout.clone();
        fs::write(self.path("served/SHA256SUMS"), sums).unwrap();
    }

    /// `sh SCRIPT ARGUMENT ...` on this computer.
    pub fn command(&self, script: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .arg(script)
            .args(arguments)
            .env_clear()
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("PATH", self.path("bin"))
            .env("DOCKBRIDGE_DOWNLOAD_URL", &self.server.url)
            .kill_on_drop(true);
        command
    }

    pub async fn install(&self, arguments: &[&str]) -> Ran {
        run(self.command(&install_script(), arguments), "").await
    }

    /// All files below the home.
    pub fn files(&self) -> BTreeSet<String> {
        files(&self.path("home"))
    }

    /// Checks that a failed installation left nothing, neither in the home nor in between.
    #[track_caller]
    pub fn has_nothing(&self) {
        assert_eq!(self.files(), BTreeSet::new());
        assert_eq!(fs::read_dir(self.path("home")).unwrap().count(), 0);
        assert_eq!(files(&self.path("tmp")), BTreeSet::new());
    }
}

fn write_program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn files(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => left.push(path),
                false => {
                    let name = path.strip_prefix(directory).unwrap();
                    found.insert(name.display().to_string());
                }
            }
        }
    }
    found
}
