//! A user's computer with a directory for all files, and a cloud project without machines.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use hetzner::{Client, CreatedServer, Labels, NewServer, NewVolume, Query, Server, Volume};
use local_cloud::{Access, Cloud, Options, Token};
use machine::{Identity, Owner, Profile};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

pub use testkit::{Control, Daemon, Ran, run, signal};

pub const TOKEN: &str = "readwrite-0123456789abcdef0123456789abcdef0123456789abcdef012345";
pub const READ_ONLY: &str = "readonly-0123456789abcdef0123456789abcdef0123456789abcdef0123456";

/// The computer of one user.
pub struct Desk {
    pub cloud: Cloud,
    /// The same cloud, through a client of its own.
    pub api: Client,
    pub directory: TempDir,
    pub environment: BTreeMap<String, String>,
}

impl Desk {
    pub async fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("dockbridge-cli-").tempdir().unwrap();
        let cloud = Cloud::start(Options {
            tokens: vec![
                Token::new(TOKEN, "default", Access::ReadWrite),
                Token::new(READ_ONLY, "default", Access::ReadOnly),
            ],
            ..Options::new(directory.path().join("cloud"))
        })
        .await
        .unwrap();
        let api = Client::new(cloud.endpoint().parse().unwrap(), TOKEN.to_owned().into()).unwrap();
        // `start` requires an agent; no machine runs it here.
        let agents = directory.path().join("agents");
        std::fs::create_dir(&agents).unwrap();
        std::fs::write(agents.join("dockbridge-agent-none"), "").unwrap();
        let environment = [
            ("DOCKBRIDGE_HOME", directory.path().join("home").display().to_string()),
            ("DOCKBRIDGE_AGENT_DIR", agents.display().to_string()),
            ("DOCKER_CONFIG", directory.path().join("docker").display().to_string()),
            ("HOME", directory.path().join("user").display().to_string()),
            ("HCLOUD_ENDPOINT", cloud.endpoint()),
            ("HCLOUD_TOKEN", TOKEN.to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        Self { cloud, api, directory, environment }
    }

    /// Sets an environment variable.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Removes an environment variable.
    pub fn unset(&mut self, name: &str) -> &mut Self {
        self.environment.remove(name);
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
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

    /// A past wake whose connecting took 18 s.
    pub fn past_wake(&self) {
        let wake = json!({
            "image": 1,
            "server_type": "cx23",
            "location": "fsn1",
            "at": 1,
            "took_ms": 18_000,
            "stages": [{"phase": "connect", "took_ms": 18_000}],
        });
        let state = self.path("home/state/default");
        std::fs::create_dir_all(&state).unwrap();
        let past = json!({"wakes": [wake]}).to_string();
        std::fs::write(state.join("wakes.json"), past).unwrap();
    }

    /// A program in this user's environment, which is minimal otherwise.
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
        let ran = run(command, input).await;
        testkit::assert_output_follows(arguments, &ran);
        ran
    }

    /// Runs dockbridge without root, from a copy of the program that every user can run.
    pub async fn dockbridge_without_root(&self, arguments: &[&str]) -> Ran {
        let program = self.path("dockbridge");
        if !program.exists() {
            std::fs::set_permissions(self.directory.path(), std::fs::Permissions::from_mode(0o755))
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
        let ran = run(command, "").await;
        testkit::assert_output_follows(arguments, &ran);
        ran
    }

    /// Runs docker on the default socket; `None`, with the test passed over, without a docker
    /// client.
    pub async fn docker(&self, arguments: &[&str]) -> Option<Ran> {
        if !has_docker() {
            testkit::passed_over!("no docker client");
            return None;
        }
        let mut command = self.command("docker");
        command.env("DOCKER_HOST", format!("unix://{}", self.socket().display())).args(arguments);
        Some(run(command, "").await)
    }

    /// The local cloud's control requests.
    pub fn control(&self) -> Control {
        Control::of(&self.cloud.endpoint())
    }

    /// A daemon that serves the default socket.
    pub async fn start(&self) -> Daemon {
        let mut command = self.command(env!("CARGO_BIN_EXE_dockbridge"));
        command.arg("start").stdin(Stdio::null());
        let client = api::client::Client::of(&self.socket());
        let is_ready = async || client.status().await.is_ok();
        Daemon::start(command, &self.path("daemon.log"), is_ready).await
    }

    /// Names of everything in the cloud project.
    pub async fn inventory(&self) -> Vec<String> {
        let (api, all) = (&self.api, Query::default());
        let mut names: Vec<String> = Vec::new();
        let servers = api.servers().list(&all).await.unwrap();
        names.extend(servers.into_iter().map(|server| format!("server {}", server.name)));
        let volumes = api.volumes().list(&all).await.unwrap();
        names.extend(volumes.into_iter().map(|volume| format!("volume {}", volume.name)));
        let keys = api.ssh_keys().list(&all).await.unwrap();
        names.extend(keys.into_iter().map(|key| format!("SSH key {}", key.name)));
        let firewalls = api.firewalls().list(&all).await.unwrap();
        names.extend(firewalls.into_iter().map(|firewall| format!("firewall {}", firewall.name)));
        names
    }

    pub async fn nothing_was_created(&self) {
        assert_eq!(self.inventory().await, Vec::<String>::new());
    }

    /// The user's identity in the cloud, created at first use.
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

    /// Creates a volume in the project.
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

    /// Creates a server, and keeps its IPv4 address after deleting it.
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
        // dockbridge's client cannot set `auto_delete`.
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

    /// Creates a server in the project, running or off.
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

/// The permission bits of a file.
pub fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
