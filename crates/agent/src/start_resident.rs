//! Starts the resident agent where it does not run, and sends calls to it.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use agent_proto::io::{receive, send};
use agent_proto::{Call, Reply};
use thiserror::Error;
use tokio::net::UnixStream;
use tokio::process::Command;

use crate::machine::Machine;
use crate::paths::Paths;

/// How long a resident may take until it listens.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two checks.
const RETRY: Duration = Duration::from_millis(20);
/// How long systemd may take to start a unit.
const UNIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why no resident runs.
#[derive(Debug, Error)]
pub enum StartError {
    /// The program was not found, or could not be run.
    #[error(transparent)]
    Program(io::Error),
    #[error("systemd-run")]
    SystemdRun(#[source] io::Error),
    #[error("it does not listen within {} s", LISTEN_TIMEOUT.as_secs())]
    Silent,
}

/// Starts the resident unless it listens, and waits until it does. Where systemd runs it becomes a
/// unit of its own, so that it belongs to no login and is visible. Returns whether it had to be
/// started.
pub async fn ensure(machine: &Machine) -> Result<bool, StartError> {
    let Machine { paths, commands, .. } = machine;
    if UnixStream::connect(&paths.socket).await.is_ok() {
        return Ok(false);
    }
    let program = std::env::current_exe().map_err(StartError::Program)?;
    let program = program.to_string_lossy();
    let (root, socket) = (paths.root.to_string_lossy(), paths.docker_socket.to_string_lossy());
    let mut command = vec![&*program, "resident", "--docker-socket", &socket];
    if root != "/" {
        command.extend(["--test-root", &root]);
    }
    if paths.systemd.exists() {
        let description = "--property=Description=dockbridge agent: lease of this machine";
        let mut arguments = vec!["--unit=dockbridge-agent", "--collect", "--quiet", description];
        arguments.extend(["--property=OOMScoreAdjust=-900", "--"]);
        arguments.extend(&command);
        match commands.run("systemd-run", &arguments, b"", UNIT_TIMEOUT).await {
            // It also fails if another session was faster.
            Ok(_) => {}
            Err(error) => return Err(StartError::SystemdRun(error)),
        }
    } else {
        // The resident detaches itself.
        let mut child = Command::new(command[0]);
        child.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        child.current_dir("/").spawn().map_err(StartError::Program)?;
    }
    let listening = async {
        while UnixStream::connect(&paths.socket).await.is_err() {
            tokio::time::sleep(RETRY).await;
        }
    };
    match tokio::time::timeout(LISTEN_TIMEOUT, listening).await {
        Ok(()) => Ok(true),
        Err(_) => Err(StartError::Silent),
    }
}

/// Sends one call to the resident. `None` if none listens.
pub async fn ask(paths: &Paths, call: &Call) -> Option<io::Result<Reply>> {
    let mut stream = UnixStream::connect(&paths.socket).await.ok()?;
    let asking = async {
        send(&mut stream, call).await?;
        receive::<Reply>(&mut stream).await
    };
    Some(asking.await)
}
