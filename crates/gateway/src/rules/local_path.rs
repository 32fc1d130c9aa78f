//! Decides whether a path means this computer or the engine's host.
//!
//! A path that exists here means this computer, unless it always means the engine's host. A path
//! that does not exist means this computer where a project would keep its data: in the home
//! directory, beside or below a project that the request names, or below a directory that the
//! machine does not have. Docker would create it on the machine, and it would be deleted with the
//! machine.

use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What to do with a bind mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BindMounts {
    /// Paths of this computer are refused.
    #[default]
    Refuse,
    /// All paths are the machine's.
    Remote,
}

/// What is known of the paths of this computer.
#[derive(Debug, Clone, Default)]
pub struct LocalPaths {
    /// What to do with a bind mount.
    pub bind_mounts: BindMounts,
    /// The socket that clients connect to.
    pub socket: Option<PathBuf>,
    /// The home directory: paths in it are this computer's, whether they exist yet or not.
    pub home: Option<PathBuf>,
}

/// Paths that always mean the engine's host: these, and paths below those that end in `/`.
const ENGINE_PATHS: &[&str] = &[
    "/run",
    "/run/docker.sock",
    "/run/docker/",
    "/run/containerd/",
    "/var/lib/docker/",
    "/var/lib/containerd/",
    "/dev/",
    "/proc/",
    "/sys/",
    "/lib/modules/",
    "/usr/lib/modules/",
    "/boot/",
    "/etc/localtime",
    "/etc/timezone",
];

/// Directories that every Linux system has (hier(7)). A path that is missing in one of them may
/// well exist on the machine.
const SYSTEM_DIRECTORIES: &[&str] = &[
    "/",
    "/bin",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/etc",
    "/usr/local/lib",
    "/usr/local/share",
    "/usr/sbin",
    "/usr/share",
    "/usr/src",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/local",
    "/var/log",
    "/var/opt",
    "/var/spool",
    "/var/tmp",
];

/// Where sockets of the user's session are: displays, sound and key agents. The last one exists in
/// the machine of Docker Desktop.
const SESSION_SOCKETS: &[&str] =
    &["/tmp/.X11-unix", "/run/user", "/run/host-services/ssh-auth.sock"];

/// The computer that a path means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathHost {
    /// The engine's host has it, or creates it.
    Engine,
    /// This computer, where it may not exist yet.
    Here { missing: bool },
}

/// Reads the file system. `projects` are directories of this computer that the request names.
pub(crate) fn host_of(path: &str, here: &LocalPaths, projects: &[PathBuf]) -> PathHost {
    if !path.starts_with('/') {
        return PathHost::Here { missing: false };
    }
    let path = normalized(path);
    if is_of_engine(&path) {
        return PathHost::Engine;
    }
    match (exists(&path), belongs_here(&path, here, projects)) {
        (true, _) => PathHost::Here { missing: false },
        (false, true) => PathHost::Here { missing: true },
        (false, false) => PathHost::Engine,
    }
}

/// Whether a path that does not exist would be this computer's.
fn belongs_here(path: &Path, here: &LocalPaths, projects: &[PathBuf]) -> bool {
    let below = |directory: &Path| directory.parent().is_some() && path.starts_with(directory);
    // `../data` of a project stands beside it.
    let of_project = |project: &PathBuf| below(project) || project.parent().is_some_and(below);
    let nearest = || path.ancestors().skip(1).find(|ancestor| exists(ancestor));
    here.home.as_deref().is_some_and(below)
        || projects.iter().any(of_project)
        || is_socket(path)
        || nearest().is_some_and(|nearest| {
            !SYSTEM_DIRECTORIES.iter().any(|directory| nearest == Path::new(directory))
                && !is_of_engine(nearest)
        })
}

/// A socket, or a directory of sockets.
pub(crate) fn is_socket(path: &Path) -> bool {
    SESSION_SOCKETS.iter().any(|known| path.starts_with(known))
        || std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// A path without permission to read it exists.
fn exists(path: &Path) -> bool {
    !std::fs::symlink_metadata(path)
        .is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

/// Without `.`, `..` and double slashes, and with `/run` for `/var/run`. Does not read the disk.
pub(crate) fn normalized(path: &str) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            _ => {}
        }
    }
    match clean.strip_prefix("/var/run") {
        Ok(rest) => Path::new("/run").join(rest).components().collect(),
        Err(_) => clean,
    }
}

fn is_of_engine(path: &Path) -> bool {
    ENGINE_PATHS.iter().any(|known| {
        if known.ends_with('/') { path.starts_with(known) } else { path == Path::new(known) }
    })
}

/// Whether both paths name the same file, perhaps through symbolic links.
pub(crate) fn same(path: &Path, socket: &Path) -> bool {
    path == normalized(&socket.to_string_lossy())
        || std::fs::canonicalize(path)
            .is_ok_and(|path| std::fs::canonicalize(socket).is_ok_and(|socket| path == socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, projects: &[&str]) -> PathHost {
        let here = LocalPaths { home: Some("/home/user".into()), ..LocalPaths::default() };
        let projects: Vec<PathBuf> = projects.iter().map(PathBuf::from).collect();
        host_of(path, &here, &projects)
    }

    #[test]
    fn missing_path_of_a_project_means_this_computer() {
        const MISSING: PathHost = PathHost::Here { missing: true };
        let directory = tempfile::tempdir().unwrap();
        let project = directory.path().to_str().unwrap();
        for path in ["data", "a/b/c", "x/../data"] {
            assert_eq!(of(&format!("{project}/{path}"), &[]), MISSING, "{path}");
        }
        assert_eq!(of("/home/user/project/data", &[]), MISSING);
        // Where only the labels of compose name the project.
        for path in ["/opt/no-such/app/data", "/opt/no-such/data", "/opt/no-such/app"] {
            assert_eq!(of(path, &[]), PathHost::Engine, "{path}");
            assert_eq!(of(path, &["/opt/no-such/app"]), MISSING, "{path}");
        }
        assert_eq!(of("/opt/no-such-other", &["/opt/no-such/app"]), PathHost::Engine);
        assert_eq!(of("/no-such/data", &["/", "/project"]), PathHost::Engine);
        assert_eq!(of("data", &[]), PathHost::Here { missing: false });
    }

    #[test]
    fn missing_path_in_a_system_directory_means_the_machine() {
        for path in [
            "/no-such",
            "/opt/no-such/data",
            "/var/lib/no-such",
            "/srv/no-such",
            "/mnt/no-such/x",
            "/home/no-such-user/data",
        ] {
            assert_eq!(of(path, &[]), PathHost::Engine, "{path}");
        }
    }

    #[test]
    fn engine_paths_mean_the_engines_host() {
        for path in [
            "/var/run/docker.sock",
            "//var/run/docker.sock",
            "/run/docker.sock",
            "/var/run",
            "/dev/shm",
            "/proc",
            "/sys/fs/cgroup",
        ] {
            assert_eq!(of(path, &[]), PathHost::Engine, "{path}");
        }
        for path in [
            "/lib/modules",
            "/var/lib/docker/containers",
            "/etc/localtime",
            "/run/containerd/containerd.sock",
            "/dev",
        ] {
            assert_eq!(of(path, &[]), PathHost::Engine, "{path}");
        }
        for path in ["/devil", "/run/user", "/sys/../etc", "/var/lib/dockerx/../../lib"] {
            assert!(!is_of_engine(&normalized(path)), "{path}");
        }
    }

    #[test]
    fn session_sockets_mean_this_computer_even_if_they_are_missing() {
        assert_eq!(of("/run/host-services/ssh-auth.sock", &[]), PathHost::Here { missing: true });
        assert_eq!(of("/run/user/99999/no-such", &[]), PathHost::Here { missing: true });
        let directory = tempfile::tempdir().unwrap();
        let agent = directory.path().join("agent.1");
        let _listening = std::os::unix::net::UnixListener::bind(&agent).unwrap();
        assert!(is_socket(&agent) && !is_socket(directory.path()));
    }
}
