//! The dockbridge command itself, as a user runs it: the release build, in a home of its own, over
//! a local cloud that is only the API.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use local_cloud::{Cloud, Options};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A computer with nothing on it but the program.
pub struct Computer {
    program: PathBuf,
    runtime: Runtime,
    cloud: Option<Cloud>,
    directory: TempDir,
}

impl Computer {
    /// With a cloud that answers at once, since its time is not dockbridge's.
    pub fn new() -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("dockbridge");
        ensure!(program.exists(), "{} is missing: scripts/bench builds it", program.display());
        let directory = tempfile::Builder::new().prefix("dbc-").tempdir()?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let options = Options::new(directory.path().join("cloud"));
        let cloud = runtime.block_on(Cloud::start(options))?;
        Ok(Self { program, runtime, cloud: Some(cloud), directory })
    }

    /// Runs the command to its end and returns what it printed.
    pub fn dockbridge(&self, arguments: &[&str]) -> Result<String> {
        let cloud = self.cloud.as_ref().context("the cloud is closed")?;
        let home = self.directory.path().join("home");
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &home)
            .env("DOCKBRIDGE_HOME", &home)
            .env("HCLOUD_ENDPOINT", cloud.endpoint())
            .env("HCLOUD_TOKEN", cloud.token())
            .stdin(Stdio::null());
        if let Some(agents) = std::env::var_os("DOCKBRIDGE_AGENT_DIR") {
            command.env("DOCKBRIDGE_AGENT_DIR", agents);
        }
        let output = command.output()?;
        if !output.status.success() {
            let printed = String::from_utf8_lossy(&output.stderr);
            let typed = arguments.join(" ");
            bail!("`dockbridge {typed}` ended with {}: {}", output.status, printed.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts a daemon, and returns its process.
    pub fn start(&self) -> Result<u32> {
        self.dockbridge(&["start", "--detach"])?;
        let status: serde_json::Value =
            serde_json::from_str(&self.dockbridge(&["status", "--json"])?)?;
        let process = status["process"].as_u64().context("the status names no process")?;
        Ok(u32::try_from(process)?)
    }

    /// Stops the daemon.
    pub fn stop(&self) -> Result<()> {
        self.dockbridge(&["stop"]).map(drop)
    }
}

impl Drop for Computer {
    fn drop(&mut self) {
        // Of a measurement that failed.
        let _ = self.stop();
        if let Some(cloud) = self.cloud.take() {
            self.runtime.block_on(cloud.close());
        }
    }
}
