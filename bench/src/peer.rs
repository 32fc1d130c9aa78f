//! One route to the engine, up and ready: connections through it, the docker command through it,
//! and the processes that carry it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::clock;
use crate::route::Route;
use crate::stage::Stage;

/// dockerd's socket and its port on the machine.
const DOCKER: (&str, u16) = ("/var/run/docker.sock", 2375);
/// Those of the engine that does nothing.
const NOTHING: (&str, u16) = ("/run/fake.sock", 2376);
/// Every answer comes sooner.
const TIME_LIMIT: Duration = Duration::from_secs(120);
/// A route that is not up by then does not come up.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Which engine a connection reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// dockerd.
    Docker,
    /// The one that does nothing.
    Nothing,
    /// The same, by its port: a server in a container, as a program here reaches it.
    Published,
}

/// A route that is up. Its processes end with it.
pub struct Peer {
    /// Which one.
    pub route: Route,
    host: String,
    ssh: Vec<String>,
    /// Port of this computer that is forwarded to the machine's.
    web: u16,
    /// Big transfers so far.
    transfers: AtomicU32,
    carrier: Option<Ended>,
    /// Dropped after the carrier.
    directory: TempDir,
}

impl Peer {
    /// Brings a route up, in the network of this process. A second peer of the same route shares
    /// nothing with the first.
    pub fn start(route: Route, stage: &Stage) -> Result<Self> {
        let directory =
            tempfile::Builder::new().prefix(&route.to_string()).tempdir_in(&stage.directory)?;
        std::fs::create_dir_all(directory.path().join("docker"))?;
        // Free now, and no other program takes ports here.
        let web = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let ssh = stage.ssh_options();
        let mut peer = Self {
            route,
            host: stage.host.clone(),
            ssh,
            web,
            transfers: AtomicU32::new(0),
            carrier: None,
            directory,
        };
        peer.carrier = peer
            .carrier_command(stage)?
            .map(|mut command| Ended::spawn(&mut command))
            .transpose()?;
        peer.wait_until_up().with_context(|| format!("{} does not come up", route.title()))?;
        Ok(peer)
    }

    /// The process that carries it; it ends with this one in every case.
    fn carrier_command(&mut self, stage: &Stage) -> Result<Option<Command>> {
        let target = format!("root@{}", self.host);
        let (docker, nothing) = (self.socket(Engine::Docker), self.socket(Engine::Nothing));
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]);
        match self.route {
            Route::Tcp => return Ok(None),
            Route::Dockbridge | Route::Against => {
                let program = match (&stage.against, self.route) {
                    (Some(against), Route::Against) => {
                        command.env("DOCKBRIDGE_AGENT_DIR", &against.agent);
                        against.program.clone()
                    }
                    (None, Route::Against) => bail!("--against names no program"),
                    _ => std::env::current_exe()?,
                };
                command
                    .arg(program)
                    .args(["contestant", "--host", &self.host, "--key"])
                    .arg(&stage.key)
                    .arg("--docker")
                    .arg(&docker)
                    .arg("--fake")
                    .arg(&nothing)
                    .args(["--web", &self.web.to_string()]);
            }
            Route::Ssh => {
                self.wrap_ssh()?;
                return Ok(None);
            }
            Route::SshMaster => {
                let control =
                    format!("ControlPath={}", self.directory.path().join("control").display());
                command.arg("ssh").args(&self.ssh).args([
                    "-o",
                    &control,
                    "-o",
                    "ControlMaster=yes",
                    "-N",
                    &target,
                ]);
                self.ssh.extend(
                    ["-o", &control, "-o", "ControlMaster=auto", "-o", "ControlPersist=yes"]
                        .map(str::to_owned),
                );
                self.wrap_ssh()?;
            }
            Route::Forward | Route::ForwardGcm | Route::ForwardZlib => {
                command.arg("ssh").args(&self.ssh);
                match self.route {
                    Route::ForwardGcm => drop(command.args(["-c", "aes128-gcm@openssh.com"])),
                    Route::ForwardZlib => drop(command.arg("-C")),
                    _ => {}
                }
                for (local, (remote, _)) in [(&docker, DOCKER), (&nothing, NOTHING)] {
                    command.arg("-L").arg(format!("{}:{remote}", local.display()));
                }
                command
                    .arg("-L")
                    .arg(format!("127.0.0.1:{}:127.0.0.1:{}", self.web, NOTHING.1))
                    .args(["-N", &target]);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Some(command))
    }

    /// The docker command runs the first `ssh` in `PATH`.
    fn wrap_ssh(&self) -> Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let wrapper = self.directory.path().join("ssh");
        std::fs::write(
            &wrapper,
            format!("#!/bin/sh\nexec /usr/bin/ssh {} \"$@\"\n", self.ssh.join(" ")),
        )?;
        std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    fn wait_until_up(&mut self) -> Result<()> {
        let begun = clock::now();
        let signs = match self.route {
            Route::Tcp | Route::Ssh => vec![],
            Route::SshMaster => vec![self.directory.path().join("control")],
            _ => vec![self.socket(Engine::Docker), self.socket(Engine::Nothing)],
        };
        let answers = |route: Route| {
            !route.forwards() || TcpStream::connect((Ipv4Addr::LOCALHOST, self.web)).is_ok()
        };
        while !signs.iter().all(|sign| sign.exists()) || !answers(self.route) {
            if let Some(carrier) = &mut self.carrier
                && let Some(status) = carrier.0.try_wait()?
            {
                bail!("it ended with {status}");
            }
            if begun.elapsed() > START_LIMIT {
                bail!("nothing after {} s", START_LIMIT.as_secs());
            }
            clock::pause(Duration::from_millis(20));
        }
        Ok(())
    }

    fn socket(&self, engine: Engine) -> PathBuf {
        self.directory.path().join(if engine == Engine::Docker {
            "docker.sock"
        } else {
            "nothing.sock"
        })
    }

    /// A new connection, as a client makes it.
    pub fn dial(&self, engine: Engine) -> io::Result<Connection> {
        let (path, port) = if engine == Engine::Docker { DOCKER } else { NOTHING };
        let (socket, process) = match self.route {
            route if engine == Engine::Published && route.forwards() => {
                let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.web))?;
                socket.set_nodelay(true)?;
                (Socket::Tcp(socket), None)
            }
            Route::Tcp => {
                let socket = TcpStream::connect((self.host.as_str(), port))?;
                socket.set_nodelay(true)?;
                (Socket::Tcp(socket), None)
            }
            Route::Ssh | Route::SshMaster => {
                // As the docker command does it: one ssh per connection, whose standard streams are
                // the connection.
                let (near, far) = UnixStream::pair()?;
                let mut ssh = Command::new("ssh");
                ssh.args(&self.ssh).arg(format!("root@{}", self.host)).arg("docker");
                if engine == Engine::Nothing {
                    ssh.args(["-H", &format!("unix://{path}")]);
                }
                ssh.args(["system", "dial-stdio"]).stderr(Stdio::null());
                ssh.stdin(OwnedFd::from(far.try_clone()?)).stdout(OwnedFd::from(far));
                (Socket::Unix(near), Some(Ended::spawn(&mut ssh)?))
            }
            _ => (Socket::Unix(UnixStream::connect(self.socket(engine))?), None),
        };
        let connection = Connection { socket, process };
        connection.time_limit(TIME_LIMIT)?;
        Ok(connection)
    }

    /// The docker command, to be given arguments.
    pub fn docker(&self) -> Command {
        let mut docker = Command::new("docker");
        let endpoint = match self.route {
            Route::Tcp => format!("tcp://{}:{}", self.host, DOCKER.1),
            Route::Ssh | Route::SshMaster => format!("ssh://root@{}", self.host),
            _ => format!("unix://{}", self.socket(Engine::Docker).display()),
        };
        docker
            .env("DOCKER_HOST", endpoint)
            .env("DOCKER_CONFIG", self.directory.path().join("docker"))
            .env_remove("DOCKER_CONTEXT");
        docker
            .env("PATH", path_with(self.directory.path()))
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        docker
    }

    /// Counts a big transfer. Returns whether it is the first of this tunnel: the path was never
    /// full, and its capacity is not known.
    pub fn begins_first_transfer(&self) -> bool {
        self.transfers.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// The processes on this computer that carry it all the time.
    pub fn processes(&self) -> Vec<u32> {
        self.carrier.iter().map(|carrier| carrier.0.id()).collect()
    }
}

fn path_with(directory: &Path) -> std::ffi::OsString {
    let mut path = directory.as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

/// A process that is ended with this value.
struct Ended(Child);

impl Ended {
    fn spawn(command: &mut Command) -> io::Result<Self> {
        command.spawn().map(Self)
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let begun = clock::now();
        while matches!(self.0.try_wait(), Ok(None)) {
            if begun.elapsed() > Duration::from_secs(5) {
                let _ = self.0.kill();
            }
            clock::pause(Duration::from_millis(2));
        }
    }
}

enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A client's connection.
pub struct Connection {
    socket: Socket,
    process: Option<Ended>,
}

impl Connection {
    /// How long a read or a write may take.
    pub fn time_limit(&self, limit: Duration) -> io::Result<()> {
        match &self.socket {
            Socket::Unix(socket) => {
                socket.set_read_timeout(Some(limit)).and(socket.set_write_timeout(Some(limit)))
            }
            Socket::Tcp(socket) => {
                socket.set_read_timeout(Some(limit)).and(socket.set_write_timeout(Some(limit)))
            }
        }
    }

    /// The process that carries this connection alone, where there is one.
    pub fn process(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.0.id())
    }
}

impl Read for Connection {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.socket {
            Socket::Unix(socket) => socket.read(into),
            Socket::Tcp(socket) => socket.read(into),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.socket {
            Socket::Unix(socket) => socket.write(bytes),
            Socket::Tcp(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Unix(socket) => socket.as_fd(),
            Socket::Tcp(socket) => socket.as_fd(),
        }
    }
}
