//! A real sshd with its own configuration, host key and login, and peers for streams.
//!
//! All files are in a temporary directory, which is removed at the end.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests count as tests")]

mod agent;

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dockbridge_tunnel::{
    AgentPlan, Endpoint, Fingerprint, HostKeys, Identity, Options, Transport, Tunnel,
};
use russh::keys::PrivateKey;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};

#[allow(unused_imports, reason = "each test binary uses its part")]
pub use self::agent::{agent_directory, arch, is_emulated};

/// The limit for everything that should take milliseconds; the machine may be busy.
pub const SOON: Duration = Duration::from_secs(60);

pub struct Sshd {
    pub directory: tempfile::TempDir,
    pub port: u16,
    pub host_key: PrivateKey,
    pub key: Arc<PrivateKey>,
    child: Child,
}

impl Sshd {
    /// Starts sshd. A login's home is the temporary directory, so that no user's start-up files are
    /// run. `None`, with the reason printed, where no sshd can be started.
    pub async fn start() -> Option<Self> {
        Self::start_with("").await
    }

    /// Starts sshd with additional lines of configuration.
    pub async fn start_with(more: &str) -> Option<Self> {
        let program = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let Some(program) = program else {
            testkit::passed_over!("no sshd is installed");
            return None;
        };
        if !rustix::process::geteuid().is_root() {
            testkit::passed_over!("sshd needs root here to log anybody in");
            return None;
        }
        // A thousand streams need more than the 1024 descriptors of a new login. sshd and its
        // agents inherit the limit.
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        rustix::process::setrlimit(
            rustix::process::Resource::Nofile,
            rustix::process::Rlimit { current: limit.maximum, ..limit },
        )
        .unwrap();
        // sshd requires the directory of its privilege separation.
        let _ = std::fs::create_dir_all("/run/sshd");
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let (host_key, key) = (generate(), generate());
        write(&path("host_key"), &host_key.to_openssh(Default::default()).unwrap(), 0o600);
        write(&path("key"), &key.to_openssh(Default::default()).unwrap(), 0o600);
        write(&path("authorized_keys"), &key.public_key().to_openssh().unwrap(), 0o600);
        let port = free_port().await;
        let emulation = match agent::emulation() {
            Ok(emulation) => emulation,
            Err(reason) => {
                testkit::passed_over!("{reason}");
                return None;
            }
        };
        // `uname` of an emulated login.
        let uname = format!(
            "#!/bin/sh\n[ \"$1\" != -m ] || exec echo {}\nexec /bin/uname \"$@\"\n",
            arch()
        );
        std::fs::create_dir(path("bin")).unwrap();
        write(&path("bin/uname"), &uname, 0o755);
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {host}\nAuthorizedKeysFile {keys}\n\
             PidFile none\nStrictModes no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nPermitRootLogin yes\nUsePAM no\nLogLevel ERROR\n\
             SetEnv HOME={home} PATH={home}/bin:/usr/sbin:/usr/bin:/sbin:/bin\n{more}",
            home = directory.path().display(),
            host = path("host_key").display(),
            keys = path("authorized_keys").display(),
        );
        write(&path("sshd_config"), &config, 0o600);
        let mut command =
            emulation.map_or_else(|| Command::new(program), |emulation| emulation.command(program));
        let mut child = command
            .args(["-D", "-e", "-f"])
            .arg(path("sshd_config"))
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(path("sshd.log")).unwrap())
            .spawn()
            .unwrap();
        let log = path("sshd.log");
        eventually("sshd listens", || {
            let ended = child.try_wait().unwrap();
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            async move {
                assert!(ended.is_none(), "sshd ended: {log}");
                match tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                    Ok(_) => Ok(()),
                    Err(error) => Err(error.to_string()),
                }
            }
        })
        .await;
        Some(Self { directory, port, host_key, key: Arc::new(key), child })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint { host: "127.0.0.1".into(), port: self.port, user: "root".into() }
    }

    /// Options with plain channels only.
    pub fn options(&self) -> Options {
        Options {
            endpoint: self.endpoint(),
            host_keys: HostKeys::Pinned(vec![Fingerprint::of(self.host_key.public_key())].into()),
            identity: Identity::Key(self.key.clone()),
            transport: Transport::Tcp,
            agent: None,
            docker_socket: self.path("docker.sock").display().to_string(),
        }
    }

    /// Options with the agent.
    pub fn options_with_agent(&self) -> Options {
        let directory = self.path("remote").display().to_string();
        Options {
            agent: Some(AgentPlan {
                binaries: agent_directory().into(),
                directory,
                installed: None,
                resident: false,
            }),
            ..self.options()
        }
    }

    /// Options with and without the agent: streams have to behave alike.
    pub fn with_and_without_agent(&self) -> [(&'static str, Options); 2] {
        [("with agent", self.options_with_agent()), ("without agent", self.options())]
    }

    /// Makes sshd present another host key from now on. Existing logins stay.
    pub async fn change_host_key(&self) -> Fingerprint {
        let next = generate();
        write(&self.path("host_key"), &next.to_openssh(Default::default()).unwrap(), 0o600);
        let process = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(process, rustix::process::Signal::HUP).unwrap();
        let next = Fingerprint::of(next.public_key());
        let options = Options { host_keys: HostKeys::Pinned(vec![next].into()), ..self.options() };
        eventually("sshd presents its new key", async || {
            match Tunnel::connect(options.clone()).await {
                Ok(tunnel) => {
                    tunnel.close().await;
                    Ok(())
                }
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
        next
    }

    /// All processes of this sshd, itself first.
    pub fn processes(&self) -> Vec<i32> {
        let mut found = vec![self.child.id().cast_signed()];
        let mut next = 0;
        while next < found.len() {
            let children = Command::new("ps")
                .args(["-o", "pid=", "--ppid", &found[next].to_string()])
                .output()
                .unwrap();
            found.extend(
                String::from_utf8_lossy(&children.stdout)
                    .split_whitespace()
                    .map(|pid| pid.parse::<i32>().unwrap()),
            );
            next += 1;
        }
        found
    }

    /// The processes of this sshd's agents. `/proc/PID/exe` of an emulated one is the emulator.
    pub fn agents(&self) -> Vec<i32> {
        let agent = self.path("remote/agent-").display().to_string();
        let is_agent = |pid: &i32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            // An emulator's first argument is the program.
            let mut words = line.split(|byte| *byte == 0).take(2);
            words.any(|word| word.starts_with(agent.as_bytes()))
        };
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        processes.filter(is_agent).collect()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        for pid in self.processes() {
            if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, signal);
            }
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.signal(rustix::process::Signal::KILL);
        let _ = self.child.wait();
    }
}

pub fn generate() -> PrivateKey {
    let mut seed = [0; 32];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut seed)
        .unwrap();
    russh::keys::ssh_key::private::Ed25519Keypair::from_seed(&seed).into()
}

pub fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// Polls until it succeeds; the last error is part of the message.
pub async fn eventually<T, F: Future<Output = Result<T, String>>>(
    what: &str,
    mut attempt: impl FnMut() -> F,
) -> T {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(last) => assert!(
                tokio::time::Instant::now() < deadline,
                "not within {SOON:?}: {what}; last: {last}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for a future up to the limit.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SOON, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {SOON:?}: {what}"),
    }
}

/// Connects, and checks that the agent runs as requested: a test of the agent must not pass without
/// one.
pub async fn connect(options: Options) -> Tunnel {
    let wanted = options.agent.is_some();
    let tunnel = soon("connect", Tunnel::connect(options)).await.unwrap();
    let state = tunnel.agent();
    assert_eq!(matches!(state, dockbridge_tunnel::AgentState::Running { .. }), wanted, "{state:?}");
    tunnel
}

/// The behavior of a stream's destination.
#[derive(Clone, Copy)]
pub enum Peer {
    /// Sends everything back; closes its side when the other side is closed.
    Echo,
    /// Reads to the end, answers with the number of bytes, and closes.
    Count,
    /// Sends forever.
    Flood,
    /// Sends a word, closes its side, and reads to the end, which it reports in a file.
    EndsFirst,
    /// Sends a word and closes both sides.
    HangsUp,
    /// Reads one byte, sends [`SAID`] bytes and closes both sides, which is a reset for a peer that
    /// sent more than one byte.
    Breaks,
    /// Accepts and never reads.
    Deaf,
    /// Accepts, never reads, and closes both sides when a file `hang-up` appears beside the report.
    DeafThenHangsUp,
}

/// The number of bytes that [`Peer::Breaks`] sends.
pub const SAID: usize = 1 << 20;

/// How many bytes all [`Peer::Flood`]s of this process have sent.
pub static FLOODED: AtomicU64 = AtomicU64::new(0);

async fn behave(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    report: PathBuf,
) -> io::Result<()> {
    match peer {
        Peer::Echo => {
            let (mut read, mut write) = tokio::io::split(stream);
            tokio::io::copy(&mut read, &mut write).await?;
            write.shutdown().await
        }
        Peer::Count => {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await?;
            stream.write_all(bytes.len().to_string().as_bytes()).await
        }
        Peer::Flood => {
            let chunk = vec![7; 64 * 1024];
            loop {
                let written = stream
                    .write(&chunk)
                    .await
                    .inspect_err(|_| std::fs::write(&report, "given up").unwrap())?;
                FLOODED.fetch_add(written as u64, Ordering::Relaxed);
            }
        }
        Peer::EndsFirst => {
            stream.write_all(b"word").await?;
            stream.shutdown().await?;
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await?;
            std::fs::write(report, rest)
        }
        Peer::HangsUp => stream.write_all(b"word").await,
        Peer::Breaks => {
            stream.read_exact(&mut [0]).await?;
            stream.write_all(&vec![7; SAID]).await
        }
        Peer::Deaf => {
            std::future::pending::<()>().await;
            Ok(())
        }
        Peer::DeafThenHangsUp => {
            while !report.with_file_name("hang-up").exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        }
    }
}

/// Listens at the path of this sshd's Docker socket.
pub fn docker(sshd: &Sshd, peer: Peer) -> tokio::task::JoinHandle<()> {
    let path = sshd.path("docker.sock");
    let _ = std::fs::remove_file(&path);
    let (listener, report) = (UnixListener::bind(path).unwrap(), sshd.path("report"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(behave(stream, peer, report.clone()));
        }
    })
}

/// Listens on a TCP port.
pub async fn tcp(sshd: &Sshd, peer: Peer) -> u16 {
    let (listener, report) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), sshd.path("report"));
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(behave(stream, peer, report.clone()));
        }
    });
    port
}
