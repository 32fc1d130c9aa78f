//! Where our files are. Settings, owner id, token and login key stand in the configuration folder;
//! sockets in the runtime folder, which only their owner may enter. `DOCKBRIDGE_HOME` puts all of
//! it under one folder.

use std::io;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use machine::Profile;

use crate::failure::Failure;

/// The folders.
#[derive(Debug, Clone)]
pub struct Paths {
    config: PathBuf,
    state: PathBuf,
    run: PathBuf,
}

/// No home folder to be found.
#[derive(Debug, thiserror::Error)]
#[error("the home folder is not known")]
pub struct NoHome(#[from] etcetera::HomeDirError);

impl Paths {
    /// From the environment.
    pub fn find() -> Result<Self, NoHome> {
        if let Some(home) = std::env::var_os("DOCKBRIDGE_HOME").filter(|home| !home.is_empty()) {
            let home = std::path::absolute(&home).unwrap_or_else(|_| PathBuf::from(&home));
            return Ok(Self {
                config: home.join("config"),
                state: home.join("state"),
                run: home.join("run"),
            });
        }
        let base = etcetera::base_strategy::choose_base_strategy()?;
        let state = base.state_dir().unwrap_or_else(|| base.data_dir()).join("dockbridge");
        let run =
            base.runtime_dir().map_or_else(|| state.join("run"), |run| run.join("dockbridge"));
        Ok(Self { config: base.config_dir().join("dockbridge"), state, run })
    }

    /// The settings file.
    pub fn settings(&self) -> PathBuf {
        self.config.join("config.yaml")
    }

    /// The owner id that `init` makes.
    pub fn owner(&self) -> PathBuf {
        self.config.join("owner")
    }

    /// Where `init` keeps what belongs to one profile: its token and the endpoint of that token.
    pub fn kept(&self, profile: &Profile) -> PathBuf {
        match profile.to_string().as_str() {
            "default" => self.config.clone(),
            name => self.config.join("profiles").join(name),
        }
    }

    /// The token of a profile, when `init` was given one.
    pub fn token(&self, profile: &Profile) -> PathBuf {
        self.kept(profile).join("token")
    }

    /// The API address that a profile's token was checked with, when the settings name another.
    pub fn endpoint(&self, profile: &Profile) -> PathBuf {
        self.kept(profile).join("endpoint")
    }

    /// The login key that `init` makes.
    pub fn private_key(&self) -> PathBuf {
        self.config.join("ssh_ed25519")
    }

    /// What one profile remembers; all of it may be lost.
    pub fn profile_state(&self, profile: &Profile) -> PathBuf {
        self.state.join(profile.to_string())
    }

    /// Which profile's machine chooses which numbers for published ports.
    pub fn port_windows(&self) -> PathBuf {
        self.state.join("port-windows")
    }

    /// Locks that keep builds of one image apart.
    pub fn image_locks(&self) -> PathBuf {
        self.state.join("images")
    }

    /// The state of a local cloud that runs on its own.
    pub fn local_cloud(&self) -> PathBuf {
        self.state.join("local-cloud")
    }

    /// The Docker socket of a profile, unless the settings say otherwise.
    pub fn docker_socket(&self, profile: &Profile) -> PathBuf {
        self.run.join(profile.to_string()).join("docker.sock")
    }
}

/// Makes a folder that only its owner may enter; one that exists is left as it is.
pub fn make_private_folder(path: &Path) -> io::Result<()> {
    platform::private_file::create_dir(path)
}

/// What a person is told when one of our files cannot be made.
pub fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(format!("{} cannot be written: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failure.hint(
            "the disk is full: free some space, or let DOCKBRIDGE_HOME name a folder \
                on another disk",
        ),
        _ => failure.hint(
            "let DOCKBRIDGE_HOME name a folder that you may write to; all of our \
            files go there",
        ),
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        make_private_folder(folder)?;
    }
    platform::private_file::write(path, content)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/token");
        write_private(&path, b"s3cret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
}
