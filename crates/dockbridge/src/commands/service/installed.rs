//! A profile's units in the user's directory: written, removed, started and stopped. Knows no
//! output.

use std::fs;
use std::path::PathBuf;

use api::Code;
use etcetera::BaseStrategy as _;
use platform::local_socket;

use super::manager;
use super::units::{Names, UnitFile, listening_paths};
use crate::failure::{Failure, Outcome};
use crate::paths::{unremovable, unwritable, write_private};
use crate::resolved::Resolved;

/// A profile's units, installed or not.
#[derive(Debug, Clone)]
pub struct Units {
    pub names: Names,
    /// Where the user's manager finds them.
    directory: PathBuf,
}

impl Units {
    pub fn of(profile: &str) -> Outcome<Self> {
        let base = etcetera::base_strategy::choose_base_strategy().map_err(|error| {
            Failure::bare(Code::HomeUnknown, error.to_string()).hint("set HOME")
        })?;
        let directory = base.config_dir().join("systemd/user");
        Ok(Self { names: Names::of(profile), directory })
    }

    /// The units of the daemon that serves this socket, if they are installed.
    pub fn serving(resolved: &Resolved) -> Option<Self> {
        if !cfg!(target_os = "linux") {
            return None;
        }
        let units = Self::of(&resolved.profile.to_string()).ok()?;
        let socket = fs::read_to_string(units.path(&units.names.docker)).ok()?;
        let mut paths = listening_paths(&socket);
        paths.any(|path| Some(path.as_str()) == resolved.socket.to_str()).then_some(units)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        [self.names.service.as_str()].into_iter().chain(self.names.sockets())
    }

    /// The names of the socket units whose files exist.
    pub fn sockets(&self) -> Vec<&str> {
        let sockets = self.names.sockets().into_iter();
        sockets.filter(|name| self.path(name).exists()).collect()
    }

    /// The unit files that exist.
    pub fn files(&self) -> Vec<PathBuf> {
        self.all().map(|name| self.path(name)).filter(|path| path.exists()).collect()
    }

    /// Whether exactly these files exist.
    pub fn are(&self, files: &[UnitFile]) -> bool {
        self.files().len() == files.len()
            && files.iter().all(|file| {
                fs::read_to_string(self.path(&file.name)).is_ok_and(|text| text == file.text)
            })
    }

    pub fn write(&self, files: &[UnitFile]) -> Outcome {
        for UnitFile { name, text } in files {
            let path = self.path(name);
            write_private(&path, text.as_bytes()).map_err(|error| unwritable(&path, &error))?;
        }
        Ok(())
    }

    /// Removes the files, the links that enable them, and directories that are empty then.
    pub fn remove(&self) -> Outcome {
        let wanted = self.directory.join("sockets.target.wants");
        let links = self.names.sockets().map(|name| wanted.join(name));
        for path in self.all().map(|name| self.path(name)).chain(links) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(unremovable(&path, &error));
                }
                _ => {}
            }
        }
        // Only empty ones are removed.
        let parent = self.directory.parent();
        for directory in
            [Some(wanted.as_path()), Some(&*self.directory), parent].into_iter().flatten()
        {
            let _ = fs::remove_dir(directory);
        }
        Ok(())
    }

    /// Reads the files, and listens now and after each login.
    pub async fn enable(&self) -> Outcome {
        let sockets = self.sockets();
        manager::run(&["daemon-reload"]).await?;
        manager::run(&[&["enable"][..], &sockets[..]].concat()).await?;
        self.listen().await
    }

    /// Listens: from now on a client starts the daemon.
    pub async fn listen(&self) -> Outcome {
        let sockets = self.sockets();
        // Too many failures in a row would refuse another start. Nothing to reset is an error.
        let all: Vec<&str> = self.all().collect();
        let _ = manager::run(&[&["reset-failed"][..], &all[..]].concat()).await;
        manager::run(&[&["start"][..], &sockets[..]].concat()).await
    }

    /// Whether the manager listens.
    pub async fn is_listening(&self) -> Outcome<bool> {
        Ok(manager::show(&self.names.docker).await?.is_active())
    }

    /// Whether the daemon runs. The question does not start it.
    pub async fn has_daemon(&self) -> Outcome<bool> {
        Ok(manager::show(&self.names.service).await?.is_active())
    }

    /// Does not listen any more: no client starts the daemon. One that runs serves on.
    pub async fn stop_listening(&self) -> Outcome {
        manager::run(&[&["stop"][..], &self.sockets()[..]].concat()).await
    }

    /// Waits until the daemon has ended, and ends one that goes on. The sockets' files, which the
    /// manager leaves, are removed if nothing listens there.
    pub async fn end(&self) -> Outcome {
        manager::run(&["stop", &self.names.service]).await?;
        for unit in [&self.names.docker, &self.names.control] {
            let text = fs::read_to_string(self.path(unit)).unwrap_or_default();
            for path in listening_paths(&text).map(PathBuf::from) {
                if local_socket::is_abandoned(&path) {
                    let _ = fs::remove_file(&path);
                }
            }
        }
        Ok(())
    }
}
