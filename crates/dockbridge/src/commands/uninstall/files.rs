//! The files that dockbridge writes on this computer, and their removal. `DOCKBRIDGE_HOME` may name
//! a directory with files of others, so only what dockbridge makes is removed, and directories only
//! when they are empty then.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use api::control_socket;
use machine::Profile;
use platform::local_socket;

use crate::paths::Paths;

/// Files by one of which a directory is known as the state of a profile.
const STATE: [&str; 9] = [
    "audit.jsonl",
    "bills.json",
    "daemon.log",
    "engine.json",
    "known_hosts",
    "ledger.json",
    "ledger.lock",
    "machine.json",
    "wakes.json",
];
/// What is beside the profiles in the state directory.
const SHARED_STATE: [&str; 2] = ["images", "port-windows"];
/// Settings and credentials of the home; those of a profile are among them.
const SETTINGS: [&str; 9] = [
    "config.edited.yaml",
    "config.yaml",
    "endpoint",
    "owner",
    "ssh_ed25519",
    "ssh_ed25519.next",
    "ssh_ed25519.old",
    "ssh_ed25519.old-daemons",
    "token",
];
/// Prefix of files that are being written, which a crash leaves.
const UNFINISHED: &str = ".new-";

/// The names of all profiles that have files here.
pub fn profiles(paths: &Paths) -> Vec<String> {
    let kept = paths.config().join("profiles");
    let states = entries(paths.state()).into_iter().filter(|path| is_state(path));
    states
        .chain(entries(paths.run()))
        .chain(entries(&kept))
        .filter(|path| path.is_dir())
        .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
        .filter(|name| Profile::parse(name).is_ok())
        .collect()
}

/// What was removed, and what was not.
#[derive(Debug, Default)]
pub struct Removal {
    /// Files of others in dockbridge's directories.
    pub foreign: Vec<PathBuf>,
    /// Paths that the system did not remove, with its reason.
    pub failed: Vec<String>,
}

impl Removal {
    /// The sockets of stopped daemons, with their locks.
    pub fn sockets(&mut self, paths: &Paths, sockets: &[PathBuf]) {
        for socket in sockets {
            for path in [socket.clone(), control_socket(socket)] {
                let is_socket = |found: Metadata| found.file_type().is_socket();
                let found = fs::symlink_metadata(&path).is_ok_and(is_socket);
                if found && local_socket::is_abandoned(&path) {
                    self.note(&path, fs::remove_file(&path));
                }
            }
            let mut lock = socket.clone().into_os_string();
            lock.push(".lock");
            let lock = Path::new(&lock);
            self.note(lock, fs::remove_file(lock));
            if let Some(directory) = socket.parent().filter(|it| it.starts_with(paths.run())) {
                self.directory(directory);
            }
        }
        self.directory(paths.run());
    }

    /// What dockbridge remembers of machines, costs and ports.
    pub fn state(&mut self, paths: &Paths) {
        for path in entries(paths.state()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if is_state(&path) || SHARED_STATE.contains(&name) {
                self.note(&path, tree(&path));
            }
        }
        self.directory(paths.state());
    }

    /// Settings, credentials and the login key.
    pub fn settings(&mut self, paths: &Paths) {
        let profiles = paths.config().join("profiles");
        let directories = entries(&profiles).into_iter().filter(|path| path.is_dir());
        for directory in directories.chain([paths.config().to_owned()]) {
            for name in SETTINGS {
                let path = directory.join(name);
                self.note(&path, fs::remove_file(&path));
            }
            if directory == paths.config() {
                self.directory(&profiles);
            }
            self.directory(&directory);
        }
    }

    /// Installed files, in this order.
    pub fn program(&mut self, prefix: &Path, files: &[PathBuf]) {
        for path in files.iter().filter(|path| path.starts_with(prefix)) {
            match path.is_dir() && !path.is_symlink() {
                // Others may have installed something there, too.
                true => drop(fs::remove_dir(path)),
                false => self.note(path, fs::remove_file(path)),
            }
        }
    }

    /// Directories that dockbridge shares with other programs, if they are empty now.
    pub fn shared(paths: &Paths) {
        for path in paths.shared() {
            let _ = fs::remove_dir(path);
        }
    }

    /// Keeps the reason if something was not removed.
    fn note(&mut self, path: &Path, removed: io::Result<()>) {
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.failed.push(format!("{}: {error}", path.display()));
            }
            _ => {}
        }
    }

    /// Removes a directory, or lists what others have in it.
    fn directory(&mut self, path: &Path) {
        for entry in entries(path) {
            let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(UNFINISHED) {
                self.note(&entry, fs::remove_file(&entry));
            }
        }
        match entries(path) {
            rest if rest.is_empty() => self.note(path, fs::remove_dir(path)),
            rest => self.foreign.extend(rest),
        }
    }
}

/// A file, or a directory with all that it contains.
fn tree(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path)?.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    }
}

/// Whether this is what dockbridge remembers of one profile.
fn is_state(path: &Path) -> bool {
    let is_profile = path
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| Profile::parse(name).is_ok());
    let is_known = || STATE.iter().any(|file| path.join(file).exists());
    is_profile && !path.is_symlink() && path.is_dir() && (entries(path).is_empty() || is_known())
}

/// The entries of a directory, in the order of names; none if it cannot be read.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut entries: Vec<PathBuf> = read.map(|entry| entry.path()).collect();
    entries.sort();
    entries
}
