//! Finds the resident agent, and starts it where a session was told to.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use agent_proto::{Call, Reply};
use tokio::net::UnixStream;
use tokio::process::Command;

use crate::framed;
use crate::paths::Paths;
use crate::report::Machine;

/// How long a resident may take to listen.
const COMES_UP: Duration = Duration::from_secs(10);
/// Between two looks.
const RETRY: Duration = Duration::from_millis(20);
/// How long systemd may take to start a unit.
const STARTS: Duration = Duration::from_secs(10);

/// Starts the resident unless one listens, and waits until it does. As a unit of its own where
/// systemd runs, so that it neither belongs to a login nor is hidden. Says whether it had to be
/// started.
pub async fn summon(machine: &Machine) -> Result<bool, String> {
    let Machine { paths, commands, .. } = machine;
    if UnixStream::connect(&paths.socket).await.is_ok() {
        return Ok(false);
    }
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
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
        match commands.run("systemd-run", &arguments, b"", STARTS).await {
            // It also fails when another session was faster.
            Ok(_) => {}
            Err(error) => return Err(format!("systemd-run: {error}")),
        }
    } else {
        // It makes a session of its own.
        let mut child = Command::new(command[0]);
        child.args(&command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        child.current_dir("/").spawn().map_err(|error| error.to_string())?;
    }
    let listening = async {
        while UnixStream::connect(&paths.socket).await.is_err() {
            tokio::time::sleep(RETRY).await;
        }
    };
    match tokio::time::timeout(COMES_UP, listening).await {
        Ok(()) => Ok(true),
        Err(_) => Err(format!("it does not listen within {} s", COMES_UP.as_secs())),
    }
}

/// Brings one call to the resident. `None` when none listens.
pub async fn ask(paths: &Paths, call: &Call) -> Option<io::Result<Reply>> {
    let mut stream = UnixStream::connect(&paths.socket).await.ok()?;
    let asking = async {
        framed::send(&mut stream, call).await?;
        framed::receive::<Reply>(&mut stream).await
    };
    Some(asking.await)
}
