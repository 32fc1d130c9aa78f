//! The message about a path of this computer in a request: why it is refused, and what works
//! instead.

use std::fmt;

/// A path that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// As the client wrote it.
    pub(crate) path: String,
    /// It does not exist yet.
    pub(crate) missing: bool,
    pub(crate) kind: Kind,
}

/// What it was wanted for: what works instead differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file or a directory.
    Path,
    /// A bind mount in the options of a volume.
    Driver,
    /// A secret of a compose file.
    Secret,
    /// A file that a service of a compose file only reads: most likely one of its `configs:`.
    Config,
    /// A socket of this computer.
    Socket,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, missing, kind } = self;
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
        match kind {
            Kind::Secret => write!(
                f,
                "In the compose file, replace `file:` of this secret with `environment: NAME` \
                    and set NAME when compose runs: NAME=\"$(cat {path})\" docker compose up"
            ),
            Kind::Socket => f.write_str(
                "A socket cannot be forwarded into a container on another computer. For SSH keys \
                    in a build use docker build --ssh default; a program that needs a display, \
                    sound or a key agent of this computer has to run here",
            ),
            Kind::Driver => write!(
                f,
                "A volume with `o: bind` is a bind mount of that path. Leave out the options of \
                    the driver (`driver_opts`, -o, volume-opt) and copy the files into the \
                    volume (docker cp). If the machine's own {path} is meant, set \
                    gateway.bind_mounts: remote"
            ),
            Kind::Config => write!(
                f,
                "A config of a compose file works with `content:` or `environment:` instead of \
                    `file:`. Any other file: copy it into a named volume (docker volume \
                    create, docker cp) or into an image (docker build); docker compose watch \
                    copies changes into running containers. If the machine's own {path} is \
                    meant, set gateway.bind_mounts: remote"
            ),
            Kind::Path => write!(
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

    fn said(kind: Kind, missing: bool) -> String {
        Refused { path: "/srv/app/x".into(), missing, kind }.to_string()
    }

    #[test]
    fn what_works_instead_fits_what_it_was_wanted_for() {
        for (kind, words) in [
            (
                Kind::Path,
                &[
                    "docker cp",
                    "docker build",
                    "docker compose watch",
                    "gateway.bind_mounts: remote",
                ] as &[_],
            ),
            (
                Kind::Driver,
                &["`o: bind`", "driver_opts", "docker cp", "gateway.bind_mounts: remote"],
            ),
            (
                Kind::Secret,
                &["`environment: NAME`", "NAME=\"$(cat /srv/app/x)\" docker compose up"],
            ),
            (Kind::Config, &["`content:`", "`environment:`", "docker compose watch"]),
            (Kind::Socket, &["docker build --ssh default", "has to run here"]),
        ] {
            for missing in [false, true] {
                let said = said(kind, missing);
                assert!(words.iter().all(|word| said.contains(word)), "{kind:?}: {said}");
                assert!(
                    said.starts_with("/srv/app/x ")
                        && said.contains("on this computer, and the engine is not"),
                    "{said}"
                );
            }
        }
        assert!(
            said(Kind::Path, true).contains("does not exist yet")
                && said(Kind::Path, true).contains("deleted with the machine")
        );
        assert!(
            !said(Kind::Secret, false).contains("bind_mounts")
                && !said(Kind::Socket, false).contains("docker cp")
        );
    }
}
