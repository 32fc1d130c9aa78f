//! Whose a path is: of this computer, or of the engine's host.
//!
//! A path that exists here is this computer's, unless it always means the engine's host. A path
//! that does not exist is this computer's where a project here would have it: in the home
//! directory, beside or below a project that the request names, or below a directory that the
//! machine does not have. Docker would create it on the machine, and it would be deleted with the
//! machine.

use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf};

use crate::rules::bind_mounts::LocalPaths;

/// Paths that always mean the engine's host: these, and what is below those that end in `/`.
const OF_THE_ENGINE: &[&str] = &[
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

/// Directories that every Linux system has (hier(7)). A path that is missing in one of them says
/// nothing about this computer.
const EVERYWHERE: &[&str] = &[
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

/// Sockets of a person's session: of displays, sound and key agents. Docker Desktop has the last
/// one in its own machine.
const OF_SOCKETS: &[&str] = &["/tmp/.X11-unix", "/run/user", "/run/host-services/ssh-auth.sock"];

/// Whose a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The engine's host has it, or makes it.
    Engines,
    /// This computer's, where it may not exist yet.
    Here { missing: bool },
}

/// Asks the file system. `projects` are directories of this computer that the request names.
pub(crate) fn whose(path: &str, here: &LocalPaths, projects: &[PathBuf]) -> Whose {
    if !path.starts_with('/') {
        return Whose::Here { missing: false };
    }
    let path = normal(path);
    if is_of_the_engine(&path) {
        return Whose::Engines;
    }
    match (exists(&path), is_wanted_here(&path, here, projects)) {
        (true, _) => Whose::Here { missing: false },
        (false, true) => Whose::Here { missing: true },
        (false, false) => Whose::Engines,
    }
}

/// Whether what does not exist would be this computer's.
fn is_wanted_here(path: &Path, here: &LocalPaths, projects: &[PathBuf]) -> bool {
    let below = |folder: &Path| folder.parent().is_some() && path.starts_with(folder);
    // `../data` of a project is beside it.
    let of_project = |project: &PathBuf| below(project) || project.parent().is_some_and(below);
    let nearest = || path.ancestors().skip(1).find(|ancestor| exists(ancestor));
    here.home.as_deref().is_some_and(below)
        || projects.iter().any(of_project)
        || is_socket(path)
        || nearest().is_some_and(|nearest| {
            !EVERYWHERE.iter().any(|folder| nearest == Path::new(folder))
                && !is_of_the_engine(nearest)
        })
}

/// A socket, or a directory of sockets.
pub(crate) fn is_socket(path: &Path) -> bool {
    OF_SOCKETS.iter().any(|known| path.starts_with(known))
        || std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

/// What may not be looked at is there.
fn exists(path: &Path) -> bool {
    !std::fs::symlink_metadata(path)
        .is_err_and(|error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

/// Without `.`, `..`, double slashes, and with `/var/run` by its present name: as far as a path can
/// be read without looking at the disk.
pub(crate) fn normal(path: &str) -> PathBuf {
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

fn is_of_the_engine(path: &Path) -> bool {
    OF_THE_ENGINE.iter().any(|known| {
        if known.ends_with('/') { path.starts_with(known) } else { path == Path::new(known) }
    })
}

/// By name, or by what the names lead to.
pub(crate) fn same(path: &Path, socket: &Path) -> bool {
    path == normal(&socket.to_string_lossy())
        || std::fs::canonicalize(path)
            .is_ok_and(|path| std::fs::canonicalize(socket).is_ok_and(|socket| path == socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, projects: &[&str]) -> Whose {
        let here = LocalPaths { home: Some("/home/somebody".into()), ..LocalPaths::default() };
        let projects: Vec<PathBuf> = projects.iter().map(PathBuf::from).collect();
        whose(path, &here, &projects)
    }

    #[test]
    fn what_is_missing_is_this_computers_where_a_project_here_would_have_it() {
        const MISSING: Whose = Whose::Here { missing: true };
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().to_str().unwrap();
        for path in ["data", "a/b/c", "x/../data"] {
            assert_eq!(of(&format!("{project}/{path}"), &[]), MISSING, "{path}");
        }
        assert_eq!(of("/home/somebody/project/data", &[]), MISSING);
        // By the name of the project alone, as compose says it.
        for path in ["/opt/no-such/app/data", "/opt/no-such/data", "/opt/no-such/app"] {
            assert_eq!(of(path, &[]), Whose::Engines, "{path}");
            assert_eq!(of(path, &["/opt/no-such/app"]), MISSING, "{path}");
        }
        assert_eq!(of("/opt/no-such-other", &["/opt/no-such/app"]), Whose::Engines);
        assert_eq!(of("/no-such/data", &["/", "/project"]), Whose::Engines);
        assert_eq!(of("data", &[]), Whose::Here { missing: false });
    }

    #[test]
    fn what_is_missing_where_every_system_has_a_directory_is_the_machines() {
        for path in [
            "/no-such",
            "/opt/no-such/data",
            "/var/lib/no-such",
            "/srv/no-such",
            "/mnt/no-such/x",
            "/home/nobody-here/data",
        ] {
            assert_eq!(of(path, &[]), Whose::Engines, "{path}");
        }
    }

    #[test]
    fn what_means_the_engines_host_is_the_engines() {
        for path in [
            "/var/run/docker.sock",
            "//var/run/docker.sock",
            "/run/docker.sock",
            "/var/run",
            "/dev/shm",
            "/proc",
            "/sys/fs/cgroup",
        ] {
            assert_eq!(of(path, &[]), Whose::Engines, "{path}");
        }
        for path in [
            "/lib/modules",
            "/var/lib/docker/containers",
            "/etc/localtime",
            "/run/containerd/containerd.sock",
            "/dev",
        ] {
            assert_eq!(of(path, &[]), Whose::Engines, "{path}");
        }
        for path in ["/devil", "/run/user", "/sys/../etc", "/var/lib/dockerx/../../lib"] {
            assert!(!is_of_the_engine(&normal(path)), "{path}");
        }
    }

    #[test]
    fn sockets_of_a_session_are_this_computers_even_where_they_are_missing() {
        assert_eq!(of("/run/host-services/ssh-auth.sock", &[]), Whose::Here { missing: true });
        assert_eq!(of("/run/user/99999/no-such", &[]), Whose::Here { missing: true });
        let folder = tempfile::tempdir().unwrap();
        let agent = folder.path().join("agent.1");
        let _listening = std::os::unix::net::UnixListener::bind(&agent).unwrap();
        assert!(is_socket(&agent) && !is_socket(folder.path()));
    }
}
