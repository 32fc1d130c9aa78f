//! Bind mounts of this computer's paths. The engine runs elsewhere and would mount an empty
//! directory of that name, so the request is refused, with what works instead.
//!
//! These pass: named volumes, which live with the engine; the engine's sockets and directories, the
//! kernel's (`/dev`, `/proc`, `/sys`, modules) and the time zone, because tools such as kind,
//! minikube, Testcontainers and monitors mean the engine's host by them. dockbridge's own socket
//! means the engine's, so its path is replaced. `local_path` decides which paths that do not exist
//! are this computer's all the same.

use serde_json::Value;

use super::bind_advice::{Purpose, RefusedPath};
use super::body_paths::{Syntax, labels, sources};
use super::endpoint::BodyPaths;
use super::local_path::{self, BindMounts, LocalPaths, PathHost, normalized, same};

/// The engine's socket as its own host knows it.
const ENGINE_SOCKET: &str = "/var/run/docker.sock";

/// Where compose mounts a secret.
const SECRETS: &str = "/run/secrets/";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Pass,
    /// Passes with this body.
    Replace(Vec<u8>),
    Refuse(Box<RefusedPath>),
}

/// Examines the body of a request. A body that is not understood passes: the engine refuses it.
/// Reads the file system.
pub(crate) fn examine(paths: BodyPaths, body: &[u8], here: &LocalPaths) -> Outcome {
    if here.bind_mounts == BindMounts::Remote {
        return Outcome::Pass;
    }
    let Ok(mut body) = serde_json::from_slice::<Value>(body) else { return Outcome::Pass };
    let (labels, mut changed) = (labels(paths, &body), false);
    for mut source in sources(paths, &mut body) {
        let Some(path) = source.path() else { continue };
        let clean = normalized(&path);
        if here.socket.as_deref().is_some_and(|socket| same(&clean, socket)) {
            changed |= source.replace(ENGINE_SOCKET);
            continue;
        }
        let missing = match local_path::host_of(&path, here, &labels.projects) {
            PathHost::Engine => continue,
            PathHost::Here { missing } => missing,
        };
        let purpose = match source.syntax {
            _ if local_path::is_socket(&clean) => Purpose::Socket,
            Syntax::Driver => Purpose::Driver,
            _ if labels.compose
                && source.target.as_deref().is_some_and(|target| target.starts_with(SECRETS)) =>
            {
                Purpose::Secret
            }
            Syntax::Mount { read_only: true } if labels.compose && !clean.is_dir() => {
                Purpose::Config
            }
            _ => Purpose::Files,
        };
        return Outcome::Refuse(Box::new(RefusedPath { path, missing, purpose }));
    }
    if changed {
        serde_json::to_vec(&body).map_or(Outcome::Pass, Outcome::Replace)
    } else {
        Outcome::Pass
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(body: &str, here: &LocalPaths) -> Outcome {
        examine(BodyPaths::Container, body.as_bytes(), here)
    }

    fn refused(outcome: Outcome) -> (String, bool, Purpose) {
        match outcome {
            Outcome::Refuse(refused) => (refused.path, refused.missing, refused.purpose),
            other => panic!("it is not refused: {other:?}"),
        }
    }

    fn bind(source: &str) -> Outcome {
        let here = LocalPaths { home: Some("/home/user".into()), ..LocalPaths::default() };
        let bind = format!("{source}:/inside:ro");
        let body = json!({ "Image": "a", "HostConfig": { "Binds": [bind] } });
        let mount = json!({ "Type": "bind", "Source": source, "Target": "/inside" });
        let by_mount = json!({ "HostConfig": { "Mounts": [mount] } });
        let outcome_of = |body: Value| outcome(&body.to_string(), &here);
        assert_eq!(outcome_of(body.clone()), outcome_of(by_mount));
        outcome_of(body)
    }

    #[test]
    fn directories_and_files_of_this_computer_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("nowhere", directory.path().join("dangling")).unwrap();
        for path in [
            path.to_owned(),
            format!("{path}/"),
            format!("{path}/file"),
            format!("{path}/dangling"),
            format!("{path}/./x/.."),
        ] {
            assert_eq!(refused(bind(&path)), (path.clone(), false, Purpose::Files), "{path}");
        }
        for path in ["/", "/etc", "/tmp", "/etc/../tmp", "//tmp"] {
            assert_eq!(refused(bind(path)), (path.to_owned(), false, Purpose::Files), "{path}");
        }
        assert_eq!(
            refused(bind(&format!("{path}/missing"))),
            (format!("{path}/missing"), true, Purpose::Files)
        );
        assert_eq!(bind("/no-such-directory/data"), Outcome::Pass);
        assert_eq!(bind("/var/run/docker.sock"), Outcome::Pass);
    }

    #[test]
    fn missing_path_of_a_compose_project_is_refused() {
        let body = |source: &str| {
            let files = "/opt/no-such/etc/compose.yaml,/opt/no-such/app/more.yaml";
            let labels = json!({
                "com.docker.compose.project": "app",
                "com.docker.compose.project.working_dir": "/opt/no-such/app",
                "com.docker.compose.project.config_files": files,
            });
            let bind = format!("{source}:/data:rw");
            json!({ "Labels": labels, "HostConfig": { "Binds": [bind] } }).to_string()
        };
        for source in ["/opt/no-such/app/data", "/opt/no-such/data", "/opt/no-such/etc/x"] {
            assert_eq!(
                refused(outcome(&body(source), &LocalPaths::default())),
                (source.to_owned(), true, Purpose::Files)
            );
        }
        assert_eq!(outcome(&body("/mnt/no-such/data"), &LocalPaths::default()), Outcome::Pass);
    }

    #[test]
    fn volume_driver_that_binds_is_a_bind_mount() {
        let volume = |options: &str| {
            examine(
                BodyPaths::Volume,
                format!("{{\"Name\":\"v\",{options}}}").as_bytes(),
                &LocalPaths::default(),
            )
        };
        for (options, path) in [
            (r#""Driver":"local","DriverOpts":{"type":"none","o":"bind","device":"/etc"}"#, "/etc"),
            (r#""DriverOpts":{"o":"ro, rbind","device":"/tmp/../etc"}"#, "/tmp/../etc"),
            (r#""driver":"","driveropts":{"type":"bind","device":"./data"}"#, "./data"),
            (
                concat!(
                    r#""DriverOpts":{"type":"overlay","device":"overlay","#,
                    r#""o":"lowerdir=/proc:/etc,upperdir=/tmp,workdir=/tmp"}"#
                ),
                "/etc",
            ),
        ] {
            assert_eq!(
                refused(volume(options)),
                (path.to_owned(), false, Purpose::Driver),
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
        let options = r#"{"DriverConfig":{"Options":{"o":"bind","device":"/etc"}}}"#;
        let mount = format!(r#"{{"Type":"volume","Target":"/x","VolumeOptions":{options}}}"#);
        let container = format!("{{\"HostConfig\":{{\"Mounts\":[{mount}]}}}}");
        assert_eq!(refused(outcome(&container, &LocalPaths::default())).2, Purpose::Driver);
        let service =
            format!("{{\"TaskTemplate\":{{\"ContainerSpec\":{{\"Mounts\":[{mount}]}}}}}}");
        assert_eq!(
            refused(examine(BodyPaths::Service, service.as_bytes(), &LocalPaths::default())).2,
            Purpose::Driver
        );
        let remote = LocalPaths { bind_mounts: BindMounts::Remote, ..LocalPaths::default() };
        assert_eq!(outcome(&container, &remote), Outcome::Pass);
    }

    #[test]
    fn purpose_of_a_path_is_recognized() {
        let compose = |mount: Value| {
            let labels = json!({ "com.docker.compose.project": "app" });
            let body = json!({ "Labels": labels, "HostConfig": { "Mounts": [mount] } });
            refused(outcome(&body.to_string(), &LocalPaths::default())).2
        };
        let mount = |target: &str, read_only: bool| {
            let source = "/etc/hostname";
            json!({ "Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only })
        };
        assert_eq!(compose(mount("/run/secrets/password", true)), Purpose::Secret);
        assert_eq!(compose(mount("/settings", true)), Purpose::Config);
        assert_eq!(compose(mount("/settings", false)), Purpose::Files);
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("agent.7");
        let _listening = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(refused(bind(socket.to_str().unwrap())).2, Purpose::Socket);
        let plain = json!({ "HostConfig": { "Mounts": [mount("/run/secrets/x", true)] } });
        let plain = plain.to_string();
        assert_eq!(refused(outcome(&plain, &LocalPaths::default())).2, Purpose::Files);
    }

    #[test]
    fn named_volumes_and_other_mounts_pass() {
        for body in [
            r#"{"HostConfig":{"Binds":["data:/data","/anonymous"]}}"#,
            r#"{"HostConfig":{"Binds":null,"Mounts":[{"Type":"volume","Source":"/tmp"}]}}"#,
            r#"{"HostConfig":{"Mounts":[{"Type":"tmpfs"},7,null]}}"#,
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
            refused(examine(BodyPaths::Service, service.as_bytes(), &LocalPaths::default())).0,
            "/tmp"
        );
    }

    #[test]
    fn own_socket_is_replaced_by_the_engines() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        std::fs::write(&socket, "").unwrap();
        let here = LocalPaths { socket: Some(socket.clone()), ..LocalPaths::default() };
        let bind = format!("{}:/var/run/docker.sock:rw", socket.display());
        let body = json!({ "Image": "ryuk", "HostConfig": { "Binds": [bind] } });
        let Outcome::Replace(body) = outcome(&body.to_string(), &here) else { panic!("it passes") };
        let body: Value = serde_json::from_slice(&body).unwrap();
        let bind = "/var/run/docker.sock:/var/run/docker.sock:rw";
        assert_eq!(body, json!({ "Image": "ryuk", "HostConfig": { "Binds": [bind] } }));
    }
}
