//! A dockerd with its own directories and network namespace, and a gateway in front of it. Both end
//! with the test and leave nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dockbridge_gateway::{EngineIdentity, Gateway};
use futures::FutureExt;
use futures::future::BoxFuture;
use lifecycle::{Activity, SuspendClock};
use ports::Ports;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use tunnel::{Class, Connector, Destination, OpenError, Stream};

const CEILING: Duration = Duration::from_secs(60);

pub fn busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"].iter().map(PathBuf::from).find(|path| path.exists())
}

pub struct Dockerd {
    pub directory: TempDir,
    child: Child,
    pub ports: Ports,
    pub activity: Activity,
    shutdown: CancellationToken,
}

/// The result of a shell script.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Dockerd {
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        // Host programs: dockerd iptables ip
        // In its own network namespace: its bridge and its firewall rules must not be the host's.
        let script = format!(
            "ip link set lo up; exec dockerd --data-root {path}/data --exec-root {path}/exec \
                --pidfile {path}/pid -H unix://{path}/engine.sock --storage-driver vfs \
                --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent {}",
            control_group(&directory)
        );
        let child = std::process::Command::new("unshare")
            .args(["--net", "--mount", "sh", "-c", &script])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();

        let connector =
            Arc::new(Direct { socket: directory.path().join("engine.sock"), pid: child.id() });
        let activity = Activity::new(Arc::new(SuspendClock));
        let ports = Ports::new(connector.clone(), activity.clone(), ports::Options::default());
        let shutdown = CancellationToken::new();
        let identity = EngineIdentity::load(&directory.path().join("engine.json"));
        let gateway = Gateway::new(connector, activity.clone(), Some(ports.clone()), identity);
        let listener = UnixListener::bind(directory.path().join("gateway.sock")).unwrap();
        let dockerd = Self { directory, child, ports, activity, shutdown };
        tokio::spawn({
            let shutdown = dockerd.shutdown.clone();
            async move { gateway.serve(listener, shutdown).await }
        });
        dockerd.ready().await;
        dockerd.import_image().await;
        dockerd
    }

    /// Runs a shell script against the engine itself.
    pub async fn directly(&self, script: &str) -> Outcome {
        self.run("engine.sock", script).await
    }

    /// Runs a shell script against the gateway.
    pub async fn through_the_gateway(&self, script: &str) -> Outcome {
        self.run("gateway.sock", script).await
    }

    async fn run(&self, socket: &str, script: &str) -> Outcome {
        let work = tempfile::tempdir_in(self.directory.path()).unwrap();
        let output = Command::new("sh")
            .args(["-c", script])
            .current_dir(work.path())
            .env("DOCKER_HOST", format!("unix://{}", self.directory.path().join(socket).display()))
            .env("DOCKER_CONFIG", self.directory.path().join("config"))
            .env("DOCKER_CLI_HINTS", "false")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(CEILING, output)
            .await
            .unwrap_or_else(|_| panic!("does not end through {socket}: {script}"))
            .unwrap();
        Outcome {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    async fn ready(&self) {
        let since = tokio::time::Instant::now();
        while self.directly("docker version").await.code != Some(0) {
            assert!(since.elapsed() < CEILING, "dockerd does not start:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// `tiny`: a static busybox under the names that the tests use.
    async fn import_image(&self) {
        let bin = self.directory.path().join("root/bin");
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::copy(busybox().unwrap(), bin.join("busybox")).unwrap();
        for name in [
            "sh",
            "cat",
            "echo",
            "httpd",
            "nc",
            "sleep",
            "seq",
            "tty",
            "stty",
            "wc",
            "touch",
            "ls",
            "kill",
            "true",
            "sha256sum",
        ] {
            symlink("busybox", bin.join(name)).unwrap();
        }
        let script = format!(
            "tar -C {} -c . | docker import - tiny",
            self.directory.path().join("root").display()
        );
        let outcome = self.directly(&script).await;
        assert_eq!(outcome.code, Some(0), "{outcome:?}\n{}", self.log());
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.ports.detach();
        // dockerd ends its containers and its containerd when it is asked to.
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
        // One directory for each hierarchy, or one for all of them; empty by now.
        let name = control_group(&self.directory);
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path().join(&name));
        for group in hierarchies.chain([Path::new("/sys/fs/cgroup").join(&name)]) {
            let _ = std::fs::remove_dir(group);
        }
    }
}

fn control_group(directory: &TempDir) -> String {
    format!(
        "dockbridge-test{}",
        directory.path().file_name().unwrap().to_string_lossy().replace('.', "-")
    )
}

/// Connects to the engine's socket, and to ports in its network namespace.
struct Direct {
    socket: PathBuf,
    pid: u32,
}

impl Connector for Direct {
    fn open(&self, to: Destination, _: Class) -> BoxFuture<'_, Result<Stream, OpenError>> {
        async move {
            let opened = match to {
                Destination::Docker => UnixStream::connect(&self.socket).await.map(Stream::new),
                Destination::Socket(path) => UnixStream::connect(path).await.map(Stream::new),
                Destination::Tcp { host, port } => {
                    connect_inside(self.pid, host, port).await.map(Stream::new)
                }
                Destination::Udp { .. } => Err(std::io::ErrorKind::Unsupported.into()),
            };
            opened.map_err(|error| OpenError::Refused { message: error.to_string() })
        }
        .boxed()
    }
}

/// A socket belongs to the namespace that its thread was in when it was made.
async fn connect_inside(pid: u32, host: String, port: u16) -> io::Result<TcpStream> {
    let (done, stream) = futures::channel::oneshot::channel::<io::Result<std::net::TcpStream>>();
    std::thread::spawn(move || {
        let connect = || {
            let namespace = File::open(Path::new("/proc").join(pid.to_string()).join("ns/net"))?;
            move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&namespace),
                Some(LinkNameSpaceType::Network),
            )?;
            let stream = std::net::TcpStream::connect((host.as_str(), port))?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        let _ = done.send(connect());
    });
    TcpStream::from_std(stream.await.map_err(io::Error::other)??)
}
