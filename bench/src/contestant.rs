//! dockbridge as a contestant: the product's gateway, tunnel and agent in one process, connected as
//! the daemon connects them, with two sockets over one tunnel: one for dockerd, one for the engine
//! that does nothing.
//!
//! A daemon has one engine only. What differs: no supervisor, and the host key that the host
//! presents first is trusted. `--against` runs this command of another revision's program, so that
//! its arguments stay as they are.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::BoxFuture;
use gateway::{EngineIdentity, Gateway};
use lifecycle::{Activity, SuspendClock};
use ports::{PortState, Ports};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tunnel::{
    AgentPlan, AgentState, Class, Connector, Destination, Endpoint, HostKeys, Identity, OpenError,
    Options, Stream, Transport, Tunnel,
};

use crate::{clock, machine};

/// The engine's list of containers takes a round trip or two.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(20);

/// Arguments of `contestant`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address of the machine; its host key is trusted
    #[arg(long)]
    host: String,
    /// Private key that lets root in
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Local socket for dockerd
    #[arg(long, value_name = "SOCKET")]
    docker: PathBuf,
    /// Local socket for the engine that does nothing
    #[arg(long, value_name = "SOCKET")]
    fake: PathBuf,
    /// Port of this computer that is forwarded to the same engine's port, as published ports are;
    /// needs the container that `compare` starts
    #[arg(long, value_name = "PORT")]
    web: Option<u16>,
    /// Socket of the engine that does nothing, on the machine
    #[arg(long, value_name = "SOCKET", default_value = "/run/fake.sock")]
    remote_fake: String,
    /// Directory with the agent, instead of lib/dockbridge beside the directory of this program
    #[arg(long, value_name = "DIR", env = "DOCKBRIDGE_AGENT_DIR")]
    agent: Option<PathBuf>,
}

/// Serves until it is interrupted or terminated.
pub fn run(arguments: &Args) -> Result<()> {
    // As in `dockbridge`.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: &Args) -> Result<()> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let directory = tempfile::tempdir()?;
    let options = Options {
        endpoint: Endpoint { host: arguments.host.clone(), port: 22, user: "root".to_owned() },
        host_keys: HostKeys::KnownHosts(trust(&arguments.host, directory.path())?),
        identity: Identity::File(arguments.key.clone()),
        transport: Transport::Tcp,
        agent: Some(AgentPlan {
            binaries: agent(arguments)?.into(),
            directory: "~/.cache/dockbridge".to_owned(),
            installed: None,
            resident: false,
        }),
        docker_socket: Options::DOCKER_SOCKET.to_owned(),
    };
    let tunnel = connect(options).await?;

    let activity = Activity::new(Arc::new(SuspendClock));
    let serving = CancellationToken::new();
    let to_docker: Arc<dyn Connector> = Arc::new(tunnel.clone());
    let to_nothing: Arc<dyn Connector> =
        Arc::new(Elsewhere { tunnel: tunnel.clone(), socket: arguments.remote_fake.clone() });
    let served =
        [(to_docker, &arguments.docker, "docker"), (to_nothing, &arguments.fake, "nothing")].map(
            |(link, socket, name)| {
                let (activity, serving, kept) =
                    (activity.clone(), serving.clone(), directory.path().join(name));
                let listener = listen(socket);
                tokio::spawn(async move {
                    let gateway = Gateway::new(link, activity, None, EngineIdentity::load(&kept));
                    gateway.serve(listener?, serving).await;
                    Ok::<(), anyhow::Error>(())
                })
            },
        );
    let ports = Ports::new(Arc::new(tunnel.clone()), activity, ports::Options::default());
    let following = tokio::spawn({
        let (ports, serving) = (ports.clone(), serving.clone());
        async move { ports.run(serving).await }
    });
    if let Some(port) = arguments.web {
        publish(&ports, port).await?;
    }
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
        reason = tunnel.dead() => anyhow::bail!("the tunnel is lost: {reason}"),
    }
    serving.cancel();
    for ended in served {
        ended.await??;
    }
    following.await??;
    ports.close().await;
    tunnel.close().await;
    Ok(())
}

/// A forward as one that a container publishes: the container has the machine's own network, in
/// which that engine listens.
async fn publish(ports: &Ports, port: u16) -> Result<()> {
    let forward = format!("{port}:{}:{}", machine::HOST_NETWORK, machine::ENGINE_PORT).parse()?;
    let mut made = ports.add(forward)?;
    let begun = clock::now();
    while !made.first().is_some_and(|made| made.state == PortState::Open) {
        ensure!(
            begun.elapsed() < FOLLOWED_WITHIN,
            "the container {} is not seen to run",
            machine::HOST_NETWORK
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
        made = ports.list();
    }
    Ok(())
}

/// The same tunnel with another engine at its end.
struct Elsewhere {
    tunnel: Tunnel,
    socket: String,
}

impl Connector for Elsewhere {
    fn open(&self, to: Destination, class: Class) -> BoxFuture<'_, Result<Stream, OpenError>> {
        let to =
            if to == Destination::Docker { Destination::Socket(self.socket.clone()) } else { to };
        Connector::open(&self.tunnel, to, class)
    }
}

async fn connect(options: Options) -> Result<Tunnel> {
    let tunnel = Tunnel::connect(options).await?;
    if let AgentState::Absent { reason } = tunnel.agent() {
        anyhow::bail!("no agent runs on the machine: {reason}");
    }
    Ok(tunnel)
}

fn listen(socket: &Path) -> Result<UnixListener> {
    let _ = std::fs::remove_file(socket);
    UnixListener::bind(socket)
        .with_context(|| format!("{} cannot be listened at", socket.display()))
}

/// Asks the host for its keys and trusts them: right only for a machine that was made for the
/// benchmark.
fn trust(host: &str, directory: &Path) -> Result<PathBuf> {
    let known = directory.join("known_hosts");
    let keys = Command::new("ssh-keyscan")
        .args(["-T", "10", "-t", "ed25519", host])
        .stderr(Stdio::null())
        .output();
    let keys = keys.context("ssh-keyscan cannot be run")?;
    ensure!(!keys.stdout.is_empty(), "{host} shows no key");
    std::fs::write(&known, keys.stdout)?;
    Ok(known)
}

fn agent(arguments: &Args) -> Result<PathBuf> {
    let beside =
        std::env::current_exe()?.parent().map(|directory| directory.join("../lib/dockbridge"));
    let directory = arguments.agent.clone().or(beside).unwrap_or_default();
    ensure!(
        directory.is_dir(),
        "there is no agent in {}: build it with scripts/build",
        directory.display()
    );
    Ok(directory)
}
