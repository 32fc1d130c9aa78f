//! One person with a folder for all files, and a cloud project in which nothing runs.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use hetzner::{Client, CreatedServer, Labels, NewServer, NewVolume, Query, Server, Volume};
use local_cloud::{Access, Cloud, Options, Token};
use machine::{Identity, Owner, Profile};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// A command that hangs is a failed test, not a hanging one.
pub const LONGEST_COMMAND: Duration = Duration::from_secs(60);
pub const TOKEN: &str = "readwrite-0123456789abcdef0123456789abcdef0123456789abcdef012345";
pub const READ_ONLY: &str = "readonly-0123456789abcdef0123456789abcdef0123456789abcdef0123456";

/// A person before a terminal.
pub struct Desk {
    pub cloud: Cloud,
    /// The same cloud, asked directly.
    pub api: Client,
    pub folder: TempDir,
    pub environment: BTreeMap<String, String>,
}

impl Desk {
    pub async fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("dockbridge-cli-").tempdir().unwrap();
        let cloud = Cloud::start(Options {
            tokens: vec![
                Token::new(TOKEN, "default", Access::ReadWrite),
                Token::new(READ_ONLY, "default", Access::ReadOnly),
            ],
            ..Options::new(folder.path().join("cloud"))
        })
        .await
        .unwrap();
        let api = Client::new(cloud.endpoint().parse().unwrap(), TOKEN.to_owned().into()).unwrap();
        // `start` wants to see an agent; nothing here has a machine to run it on.
        let agents = folder.path().join("agents");
        std::fs::create_dir(&agents).unwrap();
        std::fs::write(agents.join("dockbridge-agent-none"), "").unwrap();
        let environment = [
            ("DOCKBRIDGE_HOME", folder.path().join("home").display().to_string()),
            ("DOCKBRIDGE_AGENT_DIR", agents.display().to_string()),
            ("DOCKER_CONFIG", folder.path().join("docker").display().to_string()),
            ("HOME", folder.path().join("person").display().to_string()),
            ("HCLOUD_ENDPOINT", cloud.endpoint()),
            ("HCLOUD_TOKEN", TOKEN.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        Self { cloud, api, folder, environment }
    }

    /// The same person with another setting in the environment.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same person without it.
    pub fn unset(&mut self, name: &str) -> &mut Self {
        self.environment.remove(name);
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The default profile's Docker socket.
    pub fn socket(&self) -> PathBuf {
        self.path("home/run/default/docker.sock")
    }

    /// Writes the settings file.
    pub fn settings(&self, text: &str) {
        std::fs::create_dir_all(self.path("home/config")).unwrap();
        std::fs::write(self.path("home/config/config.yaml"), text).unwrap();
    }

    /// A program in this person's environment, which has nothing else than what a shell needs.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(&self.environment)
            .kill_on_drop(true);
        command
    }

    pub async fn dockbridge(&self, arguments: &[&str]) -> Ran {
        self.dockbridge_with_input(arguments, "").await
    }

    pub async fn dockbridge_with_input(&self, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_dockbridge"));
        command.args(arguments);
        run(command, input).await
    }

    /// Runs dockbridge as somebody who is not root, with a copy of the program that everybody may
    /// run.
    pub async fn dockbridge_as_nobody(&self, arguments: &[&str]) -> Ran {
        let program = self.path("dockbridge");
        if !program.exists() {
            std::fs::set_permissions(self.folder.path(), std::fs::Permissions::from_mode(0o755))
                .unwrap();
            let built = env!("CARGO_BIN_EXE_dockbridge");
            std::fs::hard_link(built, &program)
                .or_else(|_| std::fs::copy(built, &program).map(drop))
                .unwrap();
        }
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = self.command("setpriv");
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program);
            command
        } else {
            self.command(program)
        };
        command.args(arguments);
        run(command, "").await
    }

    /// Runs docker against the default socket; `None`, with the reason said, where there is no
    /// docker.
    pub async fn docker(&self, arguments: &[&str]) -> Option<Ran> {
        if !has_docker() {
            eprintln!("passed over: no docker client");
            return None;
        }
        let mut command = self.command("docker");
        command.env("DOCKER_HOST", format!("unix://{}", self.socket().display())).args(arguments);
        Some(run(command, "").await)
    }

    /// Asks the local cloud beside its API: `POST` with a body, which orders a misfortune, and
    /// `GET` without.
    pub async fn poke(&self, path: &str, body: Option<&str>) -> serde_json::Value {
        let endpoint = self.cloud.endpoint();
        let base = endpoint.strip_suffix("/v1").unwrap();
        let mut command = Command::new("curl");
        command.args(["-sS", "--fail-with-body"]).arg(format!("{base}/_local/{path}"));
        if let Some(body) = body {
            command.args(["-H", "Content-Type: application/json", "-d", body]);
        }
        run(command, "").await.succeeded().json()
    }

    /// A daemon that serves the default socket, and what it said until then.
    pub async fn start(&self) -> Daemon {
        let log = self.path("daemon.log");
        let file = std::fs::File::create(&log).unwrap();
        let mut command = self.command(env!("CARGO_BIN_EXE_dockbridge"));
        let child = command
            .arg("start")
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut daemon = Daemon { child, log };
        let client = daemon::client::Client::of(&self.socket());
        let begun = Instant::now();
        while client.status().await.is_err() {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the daemon ended with {status}: {}", daemon.said());
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "the daemon does not answer: {}",
                daemon.said()
            );
            sleep(Duration::from_millis(20)).await;
        }
        daemon
    }

    /// Everything that there is in the cloud project.
    pub async fn inventory(&self) -> Vec<String> {
        let all = Query::default();
        let mut names: Vec<String> = Vec::new();
        names.extend(
            self.api
                .servers()
                .list(&all)
                .await
                .unwrap()
                .into_iter()
                .map(|server| format!("server {}", server.name)),
        );
        names.extend(
            self.api
                .volumes()
                .list(&all)
                .await
                .unwrap()
                .into_iter()
                .map(|volume| format!("volume {}", volume.name)),
        );
        names.extend(
            self.api
                .ssh_keys()
                .list(&all)
                .await
                .unwrap()
                .into_iter()
                .map(|key| format!("SSH key {}", key.name)),
        );
        names.extend(
            self.api
                .firewalls()
                .list(&all)
                .await
                .unwrap()
                .into_iter()
                .map(|firewall| format!("firewall {}", firewall.name)),
        );
        names
    }

    pub async fn nothing_was_created(&self) {
        assert_eq!(self.inventory().await, Vec::<String>::new());
    }

    /// Who this person is in the cloud; made by the first command that needs it.
    pub fn identity(&self, profile: &str) -> Identity {
        let path = self.path("home/config/owner");
        if !path.exists() {
            std::fs::create_dir_all(self.path("home/config")).unwrap();
            std::fs::write(&path, Owner::random().to_string()).unwrap();
        }
        Identity {
            profile: Profile::parse(profile).unwrap(),
            owner: Owner::parse(&std::fs::read_to_string(path).unwrap()).unwrap(),
        }
    }

    /// A volume in the project.
    pub async fn make_volume(&self, name: &str, labels: Labels) -> Volume {
        let new = NewVolume {
            name: name.to_owned(),
            size: 10,
            location: "fsn1".to_owned(),
            format: None,
            labels,
        };
        let created = self.api.volumes().create(&new).await.unwrap();
        self.api.wait(created.actions()).await.unwrap();
        created.volume
    }

    /// The IPv4 address of a server that is gone.
    pub async fn keep_address(&self, of: &str, labels: Labels) -> u64 {
        let server = self.make_server(of, Labels::new(), Vec::new(), false).await;
        let addresses = self.api.primary_ips();
        let found = addresses.list(&Query::default()).await.unwrap();
        let id = found
            .iter()
            .find(|address| address.assignee_id == Some(server.id) && address.kind == "ipv4")
            .unwrap()
            .id;
        addresses.update(id, None, Some(&labels)).await.unwrap();
        // Said by the person who wanted to keep the address; the client of ours has no need to say
        // it.
        let mut command = Command::new("curl");
        command.args([
            "-sS",
            "--fail-with-body",
            "-X",
            "PUT",
            "-H",
            &format!("Authorization: Bearer {}", self.cloud.token()),
        ]);
        command.args(["-H", "Content-Type: application/json", "-d", r#"{"auto_delete": false}"#]);
        command.arg(format!("{}/primary_ips/{id}", self.cloud.endpoint()));
        run(command, "").await.succeeded();
        self.api
            .wait(self.api.servers().delete(server.id).await.unwrap().into_iter().collect())
            .await
            .unwrap();
        id
    }

    /// A server in the project, running or off.
    pub async fn make_server(
        &self,
        name: &str,
        labels: Labels,
        volumes: Vec<u64>,
        running: bool,
    ) -> Server {
        let new = NewServer {
            name: name.to_owned(),
            server_type: "cx23".to_owned(),
            image: "docker-ce".to_owned(),
            location: Some("fsn1".to_owned()),
            volumes,
            labels,
            start_after_create: running,
            ..NewServer::default()
        };
        let CreatedServer { server, action, next_actions, .. } =
            self.api.servers().create(&new).await.unwrap();
        self.api.wait(std::iter::once(action).chain(next_actions).collect()).await.unwrap();
        server
    }
}

pub fn has_docker() -> bool {
    std::process::Command::new("docker")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// Sends a signal to a process of ours.
pub fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// A daemon that a person started; killed when dropped.
pub struct Daemon {
    pub child: Child,
    log: PathBuf,
}

impl Daemon {
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub async fn stop(mut self) {
        signal(&self.child, rustix::process::Signal::TERM);
        timeout(Duration::from_secs(20), self.child.wait())
            .await
            .expect("the daemon ends")
            .unwrap();
    }
}

/// A command that has ended.
pub struct Ran {
    pub line: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Panics with all it said unless it succeeded.
    #[track_caller]
    pub fn succeeded(&self) -> &Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// Panics with all it said unless it ended with this code and told all of this on standard
    /// error.
    #[track_caller]
    pub fn failed(&self, code: i32, told: &[&str]) -> &Self {
        assert_eq!(self.status.code(), Some(code), "{self}");
        for text in told {
            assert!(self.stderr.contains(text), "{text:?} is missing: {self}");
        }
        self
    }

    /// Panics with all it said unless it told all of this.
    #[track_caller]
    pub fn said(&self, told: &[&str]) -> &Self {
        for text in told {
            assert!(self.stdout.contains(text), "{text:?} is missing: {self}");
        }
        self
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, status, stdout, stderr } = self;
        write!(f, "`{line}` ended with {status}\nstdout: {stdout}\nstderr: {stderr}")
    }
}

/// Runs a command to its end.
pub async fn run(mut command: Command, input: &str) -> Ran {
    let line = format!("{:?}", command.as_std());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that does not read its input is fine.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let ended = timeout(LONGEST_COMMAND, child.wait_with_output()).await;
    let Output { status, stdout, stderr } =
        ended.unwrap_or_else(|_| panic!("`{line}` did not end")).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { line, status, stdout: text(stdout), stderr: text(stderr) }
}

/// The permission bits of a file.
pub fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
