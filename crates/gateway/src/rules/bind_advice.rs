//! The message about a path of this computer in a request: why it is refused, and what works
//! instead.

use std::fmt;

/// A path that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefusedPath {
    /// As the client wrote it.
    pub(crate) path: String,
    /// It does not exist yet.
    pub(crate) missing: bool,
    pub(crate) purpose: Purpose,
}

/// What the path is for. What works instead depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A file or a directory.
    Files,
    /// A bind mount in the options of a volume.
    Driver,
    /// A secret of a compose file.
    Secret,
    /// A file that a service of a compose file only reads: most likely one of its `configs:`.
    Config,
    /// A socket of this computer.
    Socket,
}

impl fmt::Display for RefusedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, missing, purpose } = self;
        if *missing {
            write!(
                f,
                "{path} does not exist yet. It belongs on this computer, and the engine is not \
                    on it: Docker would create it on the machine, and it would be deleted with \
                    the machine. "
            )?;
        } else {
            write!(
                f,
                "{path} is on this computer, and the engine is not: a container there cannot see \
                    it. "
            )?;
        }
        match purpose {
            Purpose::Secret => write!(
                f,
                "In the compose file, replace `file:` of this secret with `environment: NAME` \
                    and set NAME when compose runs: NAME=\"$(cat {path})\" docker compose up"
            ),
            Purpose::Socket => f.write_str(
                "A socket cannot be forwarded into a container on another computer. For SSH keys \
                    in a build use docker build --ssh default; a program that needs a display, \
                    sound or a key agent of this computer has to run here",
            ),
            Purpose::Driver => write!(
                f,
                "A volume with `o: bind` is a bind mount of that path. Leave out the options of \
                    the driver (`driver_opts`, -o, volume-opt) and copy the files into the \
                    volume (docker cp). If the machine's own {path} is meant, set \
                    gateway.bind_mounts: remote"
            ),
            Purpose::Config => write!(
                f,
                "A config of a compose file works with `content:` or `environment:` instead of \
                    `file:`. Any other file: copy it into a named volume (docker volume \
                    create, docker cp) or into an image (docker build); docker compose watch \
                    copies changes into running containers. If the machine's own {path} is \
                    meant, set gateway.bind_mounts: remote"
            ),
            Purpose::Files => write!(
                f,
                "Copy it into a named volume (docker volume create, docker cp) or into an image \
                    (docker build); docker compose watch copies changes into running \
                    containers. If the machine's own {path} is meant, set gateway.bind_mounts: \
                    remote"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(purpose: Purpose, missing: bool) -> String {
        RefusedPath { path: "/srv/app/x".into(), missing, purpose }.to_string()
    }

    const CASES: &[(Purpose, &[&str])] = &[
        (
            Purpose::Files,
            &["docker cp", "docker build", "docker compose watch", "gateway.bind_mounts: remote"],
        ),
        (
            Purpose::Driver,
            &["`o: bind`", "driver_opts", "docker cp", "gateway.bind_mounts: remote"],
        ),
        (Purpose::Secret, &["`environment: NAME`", "NAME=\"$(cat /srv/app/x)\" docker compose up"]),
        (Purpose::Config, &["`content:`", "`environment:`", "docker compose watch"]),
        (Purpose::Socket, &["docker build --ssh default", "has to run here"]),
    ];

    #[test]
    fn advice_fits_the_purpose_of_the_path() {
        for (purpose, words) in CASES {
            for missing in [false, true] {
                let message = message(*purpose, missing);
                assert!(words.iter().all(|word| message.contains(word)), "{purpose:?}: {message}");
                let names_both = message.starts_with("/srv/app/x ")
                    && message.contains("on this computer, and the engine is not");
                assert!(names_both, "{message}");
            }
        }
        let missing = message(Purpose::Files, true);
        assert!(missing.contains("does not exist yet"), "{missing}");
        assert!(missing.contains("deleted with the machine"), "{missing}");
        assert!(!message(Purpose::Secret, false).contains("bind_mounts"));
        assert!(!message(Purpose::Socket, false).contains("docker cp"));
    }
}
