//! Where the story runs: a profile of its own over a local cloud, with functions to act and to
//! check.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use api::Code;
use hetzner::{Client, Query};
use local_cloud::Cloud;
use local_cloud::nspawn::programs::{self, Use};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::failure::{Failure, Outcome, with_causes};
use crate::log::record::Record;
use crate::settings::duration;

/// The statically linked shell that becomes the story's image.
pub const BUSYBOX: &str = "/bin/busybox";

/// A profile over a local cloud.
pub struct Stage {
    directory: PathBuf,
    environment: Vec<(&'static str, String)>,
    /// The same cloud, through a client of its own.
    pub cloud: Client,
    /// The daemon's Docker socket.
    pub socket: PathBuf,
}

/// Number of items in the cloud project.
#[derive(Debug, PartialEq, Eq)]
pub struct Counts {
    pub servers: usize,
    pub volumes: usize,
    pub keys: usize,
    pub firewalls: usize,
}

/// Checks what the story needs from the host.
pub fn check_host() -> Outcome {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::of_code(
            Code::RootNeeded,
            "the local cloud runs real machines and needs root",
        )
        .hint("run it with sudo, or as root in a throwaway machine"));
    }
    if std::process::Command::new("docker")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        return Err(Failure::of_code(Code::ProgramMissing, "no docker client is installed")
            .hint("install one (Debian: docker-cli); no engine is needed"));
    }
    programs::check(&[Use::Machines, Use::Story])
        .map_err(|failure| Failure::of_code(Code::ProgramMissing, failure.to_string()))
}

/// Machines have real disks in it, so it must not be on a small memory file system.
pub fn temporary_directory() -> Outcome<TempDir> {
    let parent = if Path::new("/var/tmp").is_dir() {
        PathBuf::from("/var/tmp")
    } else {
        std::env::temp_dir()
    };
    Ok(tempfile::Builder::new().prefix("dockbridge-try-").tempdir_in(parent)?)
}

impl Stage {
    pub fn new(directory: &Path, cloud: &Cloud, idle_timeout: Duration) -> Outcome<Self> {
        let endpoint = cloud.machine_endpoint().unwrap_or_else(|| cloud.endpoint());
        let url = endpoint.parse().map_err(|_| {
            Failure::of_code(Code::TrialFailed, format!("{endpoint:?} is not an address"))
        })?;
        let client = Client::new(url, SecretString::from(cloud.token().to_owned()))
            .map_err(|error| Failure::of_code(Code::TrialFailed, with_causes(&error)))?;
        let socket = directory.join("home/run/default/docker.sock");
        let mut environment = vec![
            ("DOCKBRIDGE_HOME", directory.join("home").display().to_string()),
            ("DOCKBRIDGE_PROFILE", "default".to_owned()),
            ("DOCKBRIDGE_HETZNER_ENDPOINT", endpoint),
            ("DOCKBRIDGE_HETZNER_API_TOKEN", cloud.token().to_owned()),
            ("DOCKBRIDGE_HETZNER_VOLUME_SIZE", "10".to_owned()),
            ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", duration::format(idle_timeout)),
            ("DOCKBRIDGE_ACTIVITY_CONNECTION_TIMEOUT", duration::format(idle_timeout)),
            ("DOCKBRIDGE_ACTIVITY_GRACE_PERIOD", "2s".to_owned()),
            // The story does not wait for the end of a paid hour.
            ("DOCKBRIDGE_ACTIVITY_KEEP_PAID_HOUR", "false".to_owned()),
            ("DOCKER_HOST", format!("unix://{}", socket.display())),
            ("DOCKER_CONFIG", directory.join("docker").display().to_string()),
        ];
        if let Some(agents) = crate::agents::directory() {
            environment.push(("DOCKBRIDGE_AGENT_DIR", agents.display().to_string()));
        }
        Ok(Self { directory: directory.to_owned(), environment, cloud: client, socket })
    }

    /// Creates a directory for the story's own files.
    pub fn directory(&self, name: &str) -> Outcome<PathBuf> {
        let directory = self.directory.join(name);
        std::fs::create_dir_all(&directory)?;
        Ok(directory)
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        // Keeps the user's own profiles, projects and engines out of this.
        for name in [
            "HCLOUD_TOKEN",
            "HCLOUD_ENDPOINT",
            "HETZNER_API_TOKEN",
            "DOCKER_CONTEXT",
            "DOCKBRIDGE_CONFIG",
        ] {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).kill_on_drop(true);
        command
    }

    /// Runs docker as a user would. The caller checks the output.
    pub async fn docker(&self, arguments: &[&str], input: &str) -> Outcome<String> {
        let mut child = self
            .command("docker")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes()).await?;
        }
        text_of("docker", arguments, child.wait_with_output().await?)
    }

    /// Runs this very program.
    pub async fn dockbridge(&self, arguments: &[&str]) -> Outcome<String> {
        let output = self
            .command(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .await?;
        text_of("dockbridge", arguments, output)
    }

    pub fn daemon(&self) -> api::client::Client {
        api::client::Client::of(&self.socket)
    }

    /// Stops a daemon that the story left running, if any.
    pub async fn end_daemon(&self) {
        let daemon = self.daemon();
        let _ = daemon.stop().await;
        while daemon.status().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The last lines of the daemon's log.
    pub fn daemon_log(&self, lines: usize) -> Vec<String> {
        let text = std::fs::read_to_string(self.directory.join("home/state/default/daemon.log"))
            .unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        let last = all[all.len().saturating_sub(lines)..].iter();
        last.map(|line| Record::of_line(line, None).line()).collect()
    }

    /// Counts what exists, according to the cloud itself.
    pub async fn counts(&self) -> Outcome<Counts> {
        let all = Query::default();
        let asked = |error| Failure::of_code(Code::TrialFailed, with_causes(&error));
        Ok(Counts {
            servers: self.cloud.servers().list(&all).await.map_err(asked)?.len(),
            volumes: self.cloud.volumes().list(&all).await.map_err(asked)?.len(),
            keys: self.cloud.ssh_keys().list(&all).await.map_err(asked)?.len(),
            firewalls: self.cloud.firewalls().list(&all).await.map_err(asked)?.len(),
        })
    }
}

fn text_of(program: &str, arguments: &[&str], output: Output) -> Outcome<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(Failure::of_code(
        Code::TrialFailed,
        format!(
            "`{program} {}` ended with {}: {}",
            arguments.join(" "),
            output.status,
            stderr.trim()
        ),
    ))
}
