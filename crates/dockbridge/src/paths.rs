//! Where dockbridge keeps its files: settings, owner id, token and login key in the configuration
//! directory, sockets in the runtime directory, which only its owner may enter. `DOCKBRIDGE_HOME`
//! puts everything under one directory.

use std::io;
use std::path::{Path, PathBuf};

use api::Code;
use etcetera::BaseStrategy as _;
use machine::Profile;

use crate::failure::Failure;

/// dockbridge's directories.
#[derive(Debug, Clone)]
pub struct Paths {
    config: PathBuf,
    state: PathBuf,
    run: PathBuf,
    /// See [`Paths::shared`].
    shared: Vec<PathBuf>,
}

/// No home directory was found.
#[derive(Debug, thiserror::Error)]
#[error("the home directory is unknown")]
pub struct NoHome(#[from] etcetera::HomeDirError);

impl Paths {
    /// Reads the environment.
    pub fn find() -> Result<Self, NoHome> {
        if let Some(home) = std::env::var_os("DOCKBRIDGE_HOME").filter(|home| !home.is_empty()) {
            let home = std::path::absolute(&home).unwrap_or_else(|_| PathBuf::from(&home));
            return Ok(Self {
                config: home.join("config"),
                state: home.join("state"),
                run: home.join("run"),
                shared: Vec::new(),
            });
        }
        let base = etcetera::base_strategy::choose_base_strategy()?;
        let config = base.config_dir();
        let states = base.state_dir().unwrap_or_else(|| base.data_dir());
        let shared = [&config, &states].into_iter().flat_map(|path| inside(base.home_dir(), path));
        let shared = shared.map(Path::to_owned).collect();
        let state = states.join("dockbridge");
        let run =
            base.runtime_dir().map_or_else(|| state.join("run"), |run| run.join("dockbridge"));
        Ok(Self { config: config.join("dockbridge"), state, run, shared })
    }

    /// The directory of settings and credentials.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The directory of what each profile remembers.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The directory of the sockets.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// Directories of the user's home that dockbridge creates where no other program has, such as
    /// `~/.config`, each after what it contains. None if `DOCKBRIDGE_HOME` is set.
    pub fn shared(&self) -> &[PathBuf] {
        &self.shared
    }

    /// The settings file.
    pub fn settings(&self) -> PathBuf {
        self.config.join("config.yaml")
    }

    /// The owner id that `init` creates.
    pub fn owner(&self) -> PathBuf {
        self.config.join("owner")
    }

    /// Where `init` saves the files of one profile: its token and the token's endpoint.
    pub fn kept(&self, profile: &Profile) -> PathBuf {
        match profile.to_string().as_str() {
            "default" => self.config.clone(),
            name => self.config.join("profiles").join(name),
        }
    }

    /// The token of a profile, if `init` saved one.
    pub fn token(&self, profile: &Profile) -> PathBuf {
        self.kept(profile).join("token")
    }

    /// The API address that a profile's token was checked with, if it is not the default.
    pub fn endpoint(&self, profile: &Profile) -> PathBuf {
        self.kept(profile).join("endpoint")
    }

    /// The login key that `init` creates.
    pub fn private_key(&self) -> PathBuf {
        self.config.join("ssh_ed25519")
    }

    /// What one profile remembers; losing it does no harm.
    pub fn profile_state(&self, profile: &Profile) -> PathBuf {
        self.state.join(profile.to_string())
    }

    /// The log of a profile's daemon.
    pub fn daemon_log(&self, profile: &Profile) -> PathBuf {
        self.profile_state(profile).join("daemon.log")
    }

    /// Which profile's machine chooses which numbers for published ports.
    pub fn port_windows(&self) -> PathBuf {
        self.state.join("port-windows")
    }

    /// Locks that keep builds of one image apart.
    pub fn image_locks(&self) -> PathBuf {
        self.state.join("images")
    }

    /// The state of `dockbridge local-cloud`.
    #[cfg(all(feature = "local-cloud", target_os = "linux"))]
    pub fn local_cloud(&self) -> PathBuf {
        self.state.join("local-cloud")
    }

    /// The Docker socket of a profile, if the settings name no other.
    pub fn docker_socket(&self, profile: &Profile) -> PathBuf {
        self.run.join(profile.to_string()).join("docker.sock")
    }
}

/// The path and the directories above it, up to the home, which is not among them.
fn inside<'a>(home: &Path, path: &'a Path) -> impl Iterator<Item = &'a Path> {
    path.ancestors().take_while(move |path| *path != home && path.starts_with(home))
}

/// Creates a directory that only its owner may enter; an existing one stays as it is.
pub fn make_private_directory(path: &Path) -> io::Result<()> {
    platform::private_file::create_dir(path)
}

/// The failure when one of dockbridge's files cannot be removed.
pub fn unremovable(path: &Path, error: &io::Error) -> Failure {
    Failure::of_code(Code::FileNotWritten, format!("cannot remove {}: {error}", path.display()))
}

/// The failure when one of dockbridge's files cannot be written.
pub fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let failure =
        Failure::of_code(Code::FileNotWritten, format!("cannot write {}: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failure.hint(
            "the disk is full: free some space, or set DOCKBRIDGE_HOME to a directory on another \
             disk",
        ),
        _ => failure.hint(
            "set DOCKBRIDGE_HOME to a writable directory; dockbridge keeps all its files there",
        ),
    }
}

/// Writes a file that only its owner may read, completely or not at all.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        make_private_directory(directory)?;
    }
    platform::private_file::write(path, content)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn directories_above_a_path_end_below_the_home() {
        let above = |path| inside(Path::new("/home/ada"), Path::new(path)).collect::<Vec<_>>();
        let below = ["/home/ada/.local/state", "/home/ada/.local"].map(Path::new);
        assert_eq!(above("/home/ada/.local/state"), below);
        for elsewhere in ["/home/ada", "/home/adam/.config", "/srv/settings"] {
            assert!(above(elsewhere).is_empty(), "{elsewhere}");
        }
    }

    #[test]
    fn a_secret_is_readable_by_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/token");
        write_private(&path, b"s3cret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
}
