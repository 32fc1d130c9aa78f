//! A simulated machine for tests: programs that log their calls, a list of mounts, and a minimal
//! dockerd.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use crate::machine::Machine;
use crate::paths::Paths;

/// A container that does not run.
#[derive(Debug, Clone, Copy)]
pub struct Stopped {
    pub id: &'static str,
    pub policy: &'static str,
    pub created: &'static str,
}

pub struct TestMachine(tempfile::TempDir);

impl TestMachine {
    /// A machine on which systemd runs and the volume is mounted at its three places.
    pub fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        let paths = this.paths();
        for directory in [
            "programs",
            "proc/self",
            "var/run",
            "run/dockbridge",
            "run/systemd/system",
            "mnt/dockbridge",
        ] {
            std::fs::create_dir_all(this.root().join(directory)).unwrap();
        }
        let mounts = paths
            .mounts
            .iter()
            .map(|path| format!("30 22 8:16 / {} rw - ext4 /dev/sdb rw\n", path.display()));
        std::fs::write(&paths.mount_info, mounts.collect::<String>()).unwrap();
        for name in ["systemctl", "sync", "poweroff", "curl"] {
            this.program(name, "exit 0");
        }
        this.program("systemctl", "[ \"$1\" != is-failed ]");
        this.program(
            "umount",
            &format!(
                "f={}; grep -v \" $2 \" $f > $f.new; mv $f.new $f",
                paths.mount_info.display()
            ),
        );
        this
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn paths(&self) -> Paths {
        Paths::under(self.root())
    }

    pub fn machine(&self) -> Machine {
        Machine::new(self.paths())
    }

    /// Installs a program that first logs its arguments.
    pub fn program(&self, name: &str, script: &str) {
        let path = self.root().join("programs").join(name);
        let log = self.log_file();
        let head =
            format!("#!/bin/sh\nPATH=/usr/bin:/bin\necho {name} \"$*\" >> {}", log.display());
        std::fs::write(&path, format!("{head}\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The logged calls in order, without queries of systemd.
    pub fn log(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.log_file()).unwrap_or_default();
        log.lines().filter(|line| !line.contains("is-failed")).map(Into::into).collect()
    }

    /// Adds a dockerd with these running containers.
    pub async fn with_docker(self, running: &[&str]) -> Self {
        self.with_containers(running, &[]).await
    }

    /// Adds a dockerd with these containers. The id of a running one's process follows a dash in
    /// its name. Containers whose id begins with `broken` do not start.
    pub async fn with_containers(self, containers: &[&str], stopped: &[Stopped]) -> Self {
        let listener = UnixListener::bind(self.paths().docker_socket).unwrap();
        let list: Vec<_> = containers.iter().map(|id| serde_json::json!({ "Id": id })).collect();
        let (list, log) = (serde_json::Value::from(list).to_string(), self.log_file());
        let inspect = |id: &str, running: bool, policy: &str, created: &str| {
            let pid = id.split_once('-').map_or(0, |(_, pid)| pid.parse::<i32>().unwrap());
            let state = serde_json::json!({ "Running": running, "Pid": pid });
            let host =
                serde_json::json!({ "RestartPolicy": { "Name": policy, "MaximumRetryCount": 0 } });
            let container = serde_json::json!({
                "Id": id,
                "Name": format!("/{id}"),
                "Created": created,
                "State": state,
                "HostConfig": host,
            });
            (format!("/containers/{id}/json"), container.to_string())
        };
        let running = containers.iter().map(|id| inspect(id, true, "always", ""));
        let inspected: BTreeMap<String, String> = running
            .chain(stopped.iter().map(|one| inspect(one.id, false, one.policy, one.created)))
            .collect();
        let (total, count) = (containers.len() + 1, containers.len());
        let info = serde_json::json!({ "Containers": total, "ContainersRunning": count });
        let info = info.to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = vec![0; 4096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                let (status, body) = match path.as_str() {
                    "/_ping" => ("200 OK", "OK"),
                    "/info" => ("200 OK", info.as_str()),
                    "/containers/json" => ("200 OK", list.as_str()),
                    path if path.ends_with("/json") => match inspected.get(path) {
                        Some(whole) => ("200 OK", whole.as_str()),
                        None => ("404 Not Found", "{}"),
                    },
                    path => {
                        let (id, verb) =
                            path.trim_start_matches("/containers/").split_once('/').unwrap();
                        append(&log, &format!("{verb} {id}"));
                        match id.starts_with("broken") {
                            true => ("500 Internal Server Error", r#"{"message":"driver failed"}"#),
                            false => ("204 No Content", ""),
                        }
                    }
                };
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}", body.len());
                let answer = format!("{head}\r\nConnection: close\r\n\r\n{body}");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        self
    }

    fn log_file(&self) -> PathBuf {
        self.root().join("log")
    }
}

fn append(path: &Path, line: &str) {
    use std::io::Write as _;
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    writeln!(file, "{line}").unwrap();
}
