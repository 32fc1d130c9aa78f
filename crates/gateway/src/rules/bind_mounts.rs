//! Paths of this computer that a container shall see: the engine runs elsewhere and would make an
//! empty directory of that name. Such a request is refused, with what to do instead.
//!
//! What passes, and why. Named volumes live with the engine. The engine's sockets and directories,
//! the kernel's (`/dev`, `/proc`, `/sys`, modules) and the clock's zone are asked for by tools that
//! mean the engine's host: kind, minikube, Testcontainers, monitors. Our own socket means the
//! engine's, so it becomes that. `local_path` says which path that does not exist is this
//! computer's all the same.

use std::path::PathBuf;

use serde_json::Value;

use crate::rules::bind_advice::{Kind, Refused};
use crate::rules::body_paths::{Syntax, labels, sources};
use crate::rules::endpoints::Binds;
use crate::rules::local_path::{self, Whose, normal, same};

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

/// Where compose mounts a secret.
const SECRETS: &str = "/run/secrets/";

/// What is known of the folders of this computer.
#[derive(Debug, Clone, Default)]
pub struct LocalPaths {
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
    /// It is refused.
    Refused(Box<Refused>),
}

/// Looks at the body of a request. One that is not understood is the engine's to refuse. May ask
/// the file system.
pub(crate) fn look(binds: Binds, body: &[u8], here: &LocalPaths) -> Outcome {
    if here.bind_mounts == BindMounts::Remote {
        return Outcome::Pass;
    }
    let Ok(mut body) = serde_json::from_slice::<Value>(body) else { return Outcome::Pass };
    let (labels, mut changed) = (labels(binds, &body), false);
    for mut source in sources(binds, &mut body) {
        let Some(path) = source.path() else { continue };
        let clean = normal(&path);
        if here.socket.as_deref().is_some_and(|socket| same(&clean, socket)) {
            changed |= source.becomes(ENGINE_SOCKET);
            continue;
        }
        let missing = match local_path::whose(&path, here, &labels.projects) {
            Whose::Engines => continue,
            Whose::Here { missing } => missing,
        };
        let kind = match source.syntax {
            _ if local_path::is_socket(&clean) => Kind::Socket,
            Syntax::Driver => Kind::Driver,
            _ if labels.compose
                && source.target.as_deref().is_some_and(|target| target.starts_with(SECRETS)) =>
            {
                Kind::Secret
            }
            Syntax::Mount { read_only: true } if labels.compose && !clean.is_dir() => Kind::Config,
            _ => Kind::Path,
        };
        return Outcome::Refused(Box::new(Refused { path, missing, kind }));
    }
    if changed {
        serde_json::to_vec(&body).map_or(Outcome::Pass, Outcome::Instead)
    } else {
        Outcome::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(body: &str, here: &LocalPaths) -> Outcome {
        look(Binds::Container, body.as_bytes(), here)
    }

    fn refused(outcome: Outcome) -> (String, bool, Kind) {
        match outcome {
            Outcome::Refused(refused) => (refused.path, refused.missing, refused.kind),
            other => panic!("it is not refused: {other:?}"),
        }
    }

    fn bind(source: &str) -> Outcome {
        let here = LocalPaths { home: Some("/home/somebody".into()), ..LocalPaths::default() };
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
        for path in [
            path.to_owned(),
            format!("{path}/"),
            format!("{path}/file"),
            format!("{path}/dangling"),
            format!("{path}/./x/.."),
        ] {
            assert_eq!(refused(bind(&path)), (path.clone(), false, Kind::Path), "{path}");
        }
        for path in ["/", "/etc", "/tmp", "/etc/../tmp", "//tmp"] {
            assert_eq!(refused(bind(path)), (path.to_owned(), false, Kind::Path), "{path}");
        }
        assert_eq!(
            refused(bind(&format!("{path}/missing"))),
            (format!("{path}/missing"), true, Kind::Path)
        );
        assert_eq!(bind("/no-such-folder/data"), Outcome::Pass);
        assert_eq!(bind("/var/run/docker.sock"), Outcome::Pass);
    }

    #[test]
    fn a_missing_path_of_a_compose_project_is_refused() {
        let body = |source: &str| {
            let labels = serde_json::json!({
                "com.docker.compose.project": "app",
                "com.docker.compose.project.working_dir": "/opt/no-such/app",
                "com.docker.compose.project.config_files": "/opt/no-such/etc/compose.yaml,/opt/no-such/app/more.yaml",
            });
            serde_json::json!({ "Labels": labels, "HostConfig": { "Binds": [format!("{source}:/data:rw")] } }).to_string()
        };
        for source in ["/opt/no-such/app/data", "/opt/no-such/data", "/opt/no-such/etc/x"] {
            assert_eq!(
                refused(outcome(&body(source), &LocalPaths::default())),
                (source.to_owned(), true, Kind::Path)
            );
        }
        assert_eq!(outcome(&body("/mnt/no-such/data"), &LocalPaths::default()), Outcome::Pass);
    }

    #[test]
    fn a_volume_whose_driver_binds_is_a_bind_mount() {
        let volume = |options: &str| {
            look(
                Binds::Volume,
                format!("{{\"Name\":\"v\",{options}}}").as_bytes(),
                &LocalPaths::default(),
            )
        };
        for (options, path) in [
            (r#""Driver":"local","DriverOpts":{"type":"none","o":"bind","device":"/etc"}"#, "/etc"),
            (r#""DriverOpts":{"o":"ro, rbind","device":"/tmp/../etc"}"#, "/tmp/../etc"),
            (r#""driver":"","driveropts":{"type":"bind","device":"./data"}"#, "./data"),
            (
                r#""DriverOpts":{"type":"overlay","device":"overlay","o":"lowerdir=/proc:/etc,upperdir=/tmp,workdir=/tmp"}"#,
                "/etc",
            ),
        ] {
            assert_eq!(
                refused(volume(options)),
                (path.to_owned(), false, Kind::Driver),
                "{options}"
            );
        }
        for options in [
            r#""Driver":"local""#,
            r#""Driver":"local","DriverOpts":null"#,
            r#""DriverOpts":{"type":"tmpfs","device":"tmpfs","o":"size=10m"}"#,
            r#""DriverOpts":{"type":"nfs","device":":/etc","o":"addr=192.0.2.1"}"#,
            r#""DriverOpts":{"type":"none","o":"bind","device":"/var/lib/docker/x"}"#,
            r#""Driver":"other","DriverOpts":{"o":"bind","device":"/etc"}"#,
        ] {
            assert_eq!(volume(options), Outcome::Pass, "{options}");
        }
        let mount = r#"{"Type":"volume","Target":"/x","VolumeOptions":{"DriverConfig":{"Options":{"o":"bind","device":"/etc"}}}}"#;
        let container = format!("{{\"HostConfig\":{{\"Mounts\":[{mount}]}}}}");
        assert_eq!(refused(outcome(&container, &LocalPaths::default())).2, Kind::Driver);
        let service =
            format!("{{\"TaskTemplate\":{{\"ContainerSpec\":{{\"Mounts\":[{mount}]}}}}}}");
        assert_eq!(
            refused(look(Binds::Service, service.as_bytes(), &LocalPaths::default())).2,
            Kind::Driver
        );
        let remote = LocalPaths { bind_mounts: BindMounts::Remote, ..LocalPaths::default() };
        assert_eq!(outcome(&container, &remote), Outcome::Pass);
    }

    #[test]
    fn what_a_path_is_wanted_for_is_known() {
        let compose = |mount: Value| {
            let body = serde_json::json!({ "Labels": { "com.docker.compose.project": "app" }, "HostConfig": { "Mounts": [mount] } });
            refused(outcome(&body.to_string(), &LocalPaths::default())).2
        };
        let mount = |target: &str, read_only: bool| serde_json::json!({ "Type": "bind", "Source": "/etc/hostname", "Target": target, "ReadOnly": read_only });
        assert_eq!(compose(mount("/run/secrets/password", true)), Kind::Secret);
        assert_eq!(compose(mount("/settings", true)), Kind::Config);
        assert_eq!(compose(mount("/settings", false)), Kind::Path);
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.7");
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(refused(bind(socket.to_str().unwrap())).2, Kind::Socket);
        let plain = r#"{"HostConfig":{"Mounts":[{"Type":"bind","Source":"/etc/hostname","Target":"/run/secrets/x","ReadOnly":true}]}}"#;
        assert_eq!(refused(outcome(plain, &LocalPaths::default())).2, Kind::Path);
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
            assert_eq!(outcome(body, &LocalPaths::default()), Outcome::Pass, "{body}");
        }
    }

    #[test]
    fn fields_are_found_as_go_finds_them() {
        assert_eq!(
            refused(outcome(r#"{"hostconfig":{"BINDS":["/tmp:/x"]}}"#, &LocalPaths::default())).0,
            "/tmp"
        );
        let service =
            r#"{"TaskTemplate":{"ContainerSpec":{"Mounts":[{"type":"bind","source":"/tmp"}]}}}"#;
        assert_eq!(
            refused(look(Binds::Service, service.as_bytes(), &LocalPaths::default())).0,
            "/tmp"
        );
    }

    #[test]
    fn our_own_socket_is_the_engines() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock");
        std::fs::write(&socket, "").unwrap();
        let here = LocalPaths { socket: Some(socket.clone()), ..LocalPaths::default() };
        let body = serde_json::json!({ "Image": "ryuk", "HostConfig": { "Binds": [format!("{}:/var/run/docker.sock:rw", socket.display())] } });
        let Outcome::Instead(body) = outcome(&body.to_string(), &here) else { panic!("it passes") };
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({ "Image": "ryuk", "HostConfig": { "Binds": ["/var/run/docker.sock:/var/run/docker.sock:rw"] } })
        );
    }
}
