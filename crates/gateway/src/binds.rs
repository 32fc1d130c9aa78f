//! Folders of this computer that a container shall see: the engine runs elsewhere and would make an empty folder of that name. Such a
//! request is refused, with what to do instead.
//!
//! What passes, and why. Named volumes live with the engine. The engine's sockets and folders, the kernel's (`/dev`, `/proc`, `/sys`, modules)
//! and the clock's zone are asked for by tools that mean the engine's host: kind, minikube, Testcontainers, monitors. Our own socket means
//! the engine's, so it becomes that. A path that does not exist here cannot mean anything of this computer, and a local engine would make it
//! where it runs; only inside the home folder it is this computer's all the same: `./data` of a compose project is made by the
//! first `up`, and on the machine it would be gone with the machine.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::classify::Binds;

/// What to do with a bind mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BindMounts {
    /// Paths of this computer are refused.
    #[default]
    Refuse,
    /// All paths are the machine's.
    Remote,
}

/// The engine's socket as its own host knows it.
const ENGINE_SOCKET: &str = "/var/run/docker.sock";

/// Paths that mean the engine's host whoever asks: these, and what is below those that end in `/`.
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

/// What is known of the folders of this computer.
#[derive(Debug, Clone, Default)]
pub struct Folders {
    /// What to do with a bind mount.
    pub bind_mounts: BindMounts,
    /// The socket that clients connect to.
    pub socket: Option<PathBuf>,
    /// The home folder: what is in it is this computer's, whether it exists yet or not.
    pub home: Option<PathBuf>,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It passes as it is.
    Pass,
    /// It passes with this body.
    Instead(Vec<u8>),
    /// It is refused, for this path.
    Refused(String),
}

/// Looks at the body of a request. One that is not understood is the engine's to refuse. May ask the file system.
pub(crate) fn look(binds: Binds, body: &[u8], here: &Folders) -> Outcome {
    let Ok(mut body) = serde_json::from_slice::<Value>(body) else { return Outcome::Pass };
    let mut changed = false;
    for source in sources(binds, &mut body) {
        let Some(path) = source.path() else { continue };
        let clean = normal(&path);
        if here.socket.as_deref().is_some_and(|socket| same(&clean, socket)) {
            source.becomes(ENGINE_SOCKET);
            changed = true;
        } else if !is_of_the_engine(&clean) && is_of_this_computer(&clean, here) {
            return Outcome::Refused(path.into_owned());
        }
    }
    if changed { serde_json::to_vec(&body).map_or(Outcome::Pass, Outcome::Instead) } else { Outcome::Pass }
}

/// What is told to whoever asked for it.
pub(crate) fn explanation(path: &str) -> String {
    format!(
        "{path} is on this computer, and the engine is not: a container there cannot see it. Copy it into a named volume (docker volume create, \
         docker cp) or into an image (docker build). If the machine's own {path} is meant, set gateway.bind_mounts: remote"
    )
}

/// The place in the body where a source is written.
enum Source<'a> {
    /// `source:destination[:options]`
    Bind(&'a mut Value),
    /// `{"Type": "bind", "Source": …}`
    Mount(&'a mut Value),
}

impl Source<'_> {
    /// The path, if it is one.
    fn path(&self) -> Option<Cow<'_, str>> {
        let text = match self {
            Self::Bind(bind) => bind.as_str()?.split_once(':')?.0,
            Self::Mount(source) => source.as_str()?,
        };
        // Anything else is the name of a volume, or no mount at all.
        text.starts_with('/').then(|| Cow::Owned(text.to_owned()))
    }

    fn becomes(self, path: &str) {
        match self {
            Self::Bind(bind) => {
                let rest = bind.as_str().and_then(|text| text.split_once(':')).map_or(String::new(), |(_, rest)| format!(":{rest}"));
                *bind = Value::String(format!("{path}{rest}"));
            }
            Self::Mount(source) => *source = Value::String(path.to_owned()),
        }
    }
}

fn sources(binds: Binds, body: &mut Value) -> Vec<Source<'_>> {
    let mut sources = Vec::new();
    let specs: Vec<&mut Value> = match binds {
        Binds::Container => fields(body, "HostConfig").collect(),
        Binds::Service => fields(body, "TaskTemplate").flat_map(|template| fields(template, "ContainerSpec")).collect(),
    };
    for spec in specs {
        for (name, list) in spec.as_object_mut().into_iter().flatten() {
            let list = list.as_array_mut().into_iter().flatten();
            if name.eq_ignore_ascii_case("Binds") {
                sources.extend(list.map(Source::Bind));
            } else if name.eq_ignore_ascii_case("Mounts") {
                let of_type_bind = |mount: &&mut Value| {
                    let mut types = mount.as_object().into_iter().flatten().filter(|(name, _)| name.eq_ignore_ascii_case("Type"));
                    types.any(|(_, kind)| kind.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bind")))
                };
                sources.extend(list.filter(of_type_bind).flat_map(|mount| fields(mount, "Source")).map(Source::Mount));
            }
        }
    }
    sources
}

/// Fields of this name in any case, as Go reads JSON.
pub(crate) fn fields<'a>(value: &'a mut Value, name: &'static str) -> impl Iterator<Item = &'a mut Value> {
    value.as_object_mut().into_iter().flatten().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Without `.`, `..`, double slashes, and with `/var/run` by its present name: as far as a path can be read without looking at the disk.
fn normal(path: &str) -> PathBuf {
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
    OF_THE_ENGINE.iter().any(|known| if known.ends_with('/') { path.starts_with(known) } else { path == Path::new(known) })
}

fn is_of_this_computer(path: &Path, here: &Folders) -> bool {
    let in_home = here.home.as_deref().is_some_and(|home| home.parent().is_some() && path.starts_with(home));
    // What may not be looked at is there.
    let missing = || {
        std::fs::symlink_metadata(path)
            .is_err_and(|error| matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory))
    };
    in_home || !missing()
}

/// By name, or by what the names lead to.
fn same(path: &Path, socket: &Path) -> bool {
    path == normal(&socket.to_string_lossy())
        || std::fs::canonicalize(path).is_ok_and(|path| std::fs::canonicalize(socket).is_ok_and(|socket| path == socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(body: &str, here: &Folders) -> Outcome {
        look(Binds::Container, body.as_bytes(), here)
    }

    fn bind(source: &str) -> Outcome {
        let here = Folders { home: Some("/home/somebody".into()), ..Folders::default() };
        let body = serde_json::json!({ "Image": "a", "HostConfig": { "Binds": [format!("{source}:/inside:ro")] } });
        let by_mount = serde_json::json!({ "HostConfig": { "Mounts": [{ "Type": "bind", "Source": source, "Target": "/inside" }] } });
        let outcome_of = |body: serde_json::Value| outcome(&body.to_string(), &here);
        assert_eq!(outcome_of(body.clone()), outcome_of(by_mount));
        outcome_of(body)
    }

    #[test]
    fn folders_and_files_of_this_computer_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("dangling")).unwrap();
        for path in [path.to_owned(), format!("{path}/"), format!("{path}/file"), format!("{path}/dangling"), format!("{path}/./x/..")] {
            assert_eq!(bind(&path), Outcome::Refused(path.clone()), "{path}");
        }
        for path in ["/", "/etc", "/tmp", "/etc/../tmp", "//tmp"] {
            assert_eq!(bind(path), Outcome::Refused(path.to_owned()), "{path}");
        }
        assert_eq!(bind(&format!("{path}/missing")), Outcome::Pass);
        assert!(explanation("/x").contains("gateway.bind_mounts: remote"));
    }

    #[test]
    fn what_does_not_exist_here_is_the_machines_but_for_the_home_folder() {
        assert_eq!(bind("/no-such-folder/data"), Outcome::Pass);
        assert_eq!(bind("/home/somebody/project/data"), Outcome::Refused("/home/somebody/project/data".to_owned()));
        assert_eq!(bind("/home/somebody-else/data"), Outcome::Pass);
        let rooted = Folders { home: Some("/".into()), ..Folders::default() };
        assert_eq!(outcome(r#"{"HostConfig":{"Binds":["/no-such-folder:/x"]}}"#, &rooted), Outcome::Pass);
    }

    #[test]
    fn what_means_the_engines_host_passes() {
        for path in [
            "/var/run/docker.sock",
            "//var/run/docker.sock",
            "/run/docker.sock",
            "/var/run",
            "/run/containerd/containerd.sock",
            "/dev",
            "/dev/shm",
            "/proc",
            "/sys/fs/cgroup",
            "/lib/modules",
            "/var/lib/docker/containers",
            "/etc/localtime",
        ] {
            assert_eq!(bind(path), Outcome::Pass, "{path}");
        }
        for path in ["/devil", "/run/user", "/sys/../etc", "/var/lib/dockerx/../../lib"] {
            let there = normal(path);
            assert!(!is_of_the_engine(&there), "{path}");
        }
    }

    #[test]
    fn named_volumes_and_other_mounts_pass() {
        for body in [
            r#"{"HostConfig":{"Binds":["data:/data","/anonymous"]}}"#,
            r#"{"HostConfig":{"Binds":null,"Mounts":[{"Type":"volume","Source":"/tmp"},{"Type":"tmpfs"},7,null]}}"#,
            r#"{"HostConfig":null}"#,
            r#"{"Image":"a"}"#,
            r#"{"HostConfig":{"Binds":["/tmp:/x"]}"#,
            "[]",
            "",
        ] {
            assert_eq!(outcome(body, &Folders::default()), Outcome::Pass, "{body}");
        }
    }

    #[test]
    fn fields_are_found_as_go_finds_them() {
        assert_eq!(outcome(r#"{"hostconfig":{"BINDS":["/tmp:/x"]}}"#, &Folders::default()), Outcome::Refused("/tmp".to_owned()));
        let service = r#"{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"type":"bind","source":"/tmp"}]}}}"#;
        assert_eq!(look(Binds::Service, service.as_bytes(), &Folders::default()), Outcome::Refused("/tmp".to_owned()));
    }

    #[test]
    fn our_own_socket_is_the_engines() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        std::fs::write(&socket, "").unwrap();
        let here = Folders { socket: Some(socket.clone()), ..Folders::default() };
        let body =
            serde_json::json!({ "Image": "ryuk", "HostConfig": { "Binds": [format!("{}:/var/run/docker.sock:rw", socket.display())] } });
        let Outcome::Instead(body) = outcome(&body.to_string(), &here) else { panic!("it passes") };
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({ "Image": "ryuk", "HostConfig": { "Binds": ["/var/run/docker.sock:/var/run/docker.sock:rw"] } })
        );
    }
}
