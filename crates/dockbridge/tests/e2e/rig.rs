//! Where the tests play: a local cloud with real machines, a folder for one person's files, and the
//! commands that this person types.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use hetzner::{Client, Query};
use local_cloud::{Cloud, ContainerEngine, Machines, Options, Sshd};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// A command that hangs is a failed test, not a hanging one.
pub const LONGEST_COMMAND: Duration = Duration::from_secs(180);

/// Says that, and why, the test did not run.
pub fn pass_over() {
    eprintln!("passed over: needs root, a docker client and the agent (scripts/build)");
}

/// Where the agents of this build are.
pub fn agent_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("DOCKBRIDGE_AGENT_DIR") {
        return folder.into();
    }
    Path::new(env!("CARGO_BIN_EXE_dockbridge")).parent().unwrap().join("../lib/dockbridge")
}

/// Leaves only an agent for another kind of machine: the head of an ELF file (e_machine at 18: 62
/// for x86-64, 183 for AArch64).
pub fn foreign_agent(stage: &mut Stage) {
    let folder = stage.folder.path().join("agents");
    std::fs::create_dir(&folder).unwrap();
    let (name, kind) = if cfg!(target_arch = "x86_64") { ("aarch64", 183) } else { ("x86_64", 62) };
    let mut elf = b"\x7fELF\x02\x01".to_vec();
    elf.resize(18, 0);
    elf.extend_from_slice(&[kind, 0]);
    std::fs::write(folder.join(format!("dockbridge-agent-{name}")), elf).unwrap();
    stage.environment.push(("DOCKBRIDGE_AGENT_DIR".to_owned(), folder.display().to_string()));
}

fn can_run() -> bool {
    let docker = std::process::Command::new("docker")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    rustix::process::geteuid().is_root() && docker && agent_folder().is_dir()
}

/// Whether machines can have this engine here; made where it is not there yet. Debian unstable may
/// be out of reach, or have moved on.
pub async fn has_engine(engine: ContainerEngine) -> bool {
    use local_cloud::nspawn::base;
    let made = base::ensure_of(&base::cache(), engine, &|step| eprintln!("{step}")).await;
    match made {
        Err(failure) if engine != ContainerEngine::default() => {
            eprintln!("passed over: no machine has the engine {engine:?} here: {failure}");
            false
        }
        made => made.map(|_| true).unwrap(),
    }
}

/// A local cloud and one person.
pub struct Stage {
    pub cloud: Cloud,
    /// The same cloud, asked directly.
    pub api: Client,
    pub folder: TempDir,
    pub environment: Vec<(String, String)>,
}

impl Stage {
    /// `None` where it cannot be had.
    pub async fn new() -> Option<Self> {
        Self::with(|_| ()).await
    }

    /// The same with servers that have this engine, to begin with.
    pub async fn with_engine(engine: ContainerEngine) -> Option<Self> {
        Self::with(|options| options.engine = engine).await
    }

    /// The same where sshd is started like this.
    pub async fn with_sshd(sshd: Sshd) -> Option<Self> {
        Self::with(|options| options.sshd = sshd).await
    }

    /// The same with a cloud that differs in these options.
    pub async fn with(change: impl FnOnce(&mut Options)) -> Option<Self> {
        if !can_run() {
            return None;
        }
        // What the cloud has to complain of is seen with a test that fails.
        let _ = tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
            .with_writer(std::io::stderr)
            .try_init();
        let folder =
            tempfile::Builder::new().prefix("dockbridge-e2e-").tempdir_in("/var/tmp").unwrap();
        let mut options =
            Options { machines: Machines::Nspawn, ..Options::new(folder.path().join("cloud")) };
        change(&mut options);
        if !has_engine(options.engine).await {
            return None;
        }
        let cloud = Cloud::start(options).await.unwrap();
        let endpoint = cloud.machine_endpoint().unwrap();
        let api = Client::new(endpoint.parse().unwrap(), cloud.token().to_owned().into()).unwrap();
        let home = folder.path().join("home").display().to_string();
        let environment = [
            ("DOCKBRIDGE_HOME", home.as_str()),
            ("DOCKBRIDGE_HETZNER_ENDPOINT", &endpoint),
            ("DOCKBRIDGE_HETZNER_API_TOKEN", cloud.token()),
            ("DOCKBRIDGE_HETZNER_VOLUME_SIZE", "10"),
            // No test waits for the end of an hour.
            ("DOCKBRIDGE_ACTIVITY_KEEP_PAID_HOUR", "false"),
            ("DOCKBRIDGE_AGENT_DIR", &agent_folder().display().to_string()),
            ("DOCKBRIDGE_LOGGING_LEVEL", "debug,russh=info,yamux=info,hyper_util=info"),
            ("DOCKER_CONFIG", &folder.path().join("docker").display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        Some(Self { cloud, api, folder, environment })
    }

    /// The default profile's Docker socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("home/run/default/docker.sock")
    }

    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for name in [
            "HCLOUD_TOKEN",
            "HCLOUD_ENDPOINT",
            "HETZNER_API_TOKEN",
            "DOCKER_CONTEXT",
            "DOCKER_HOST",
        ] {
            command.env_remove(name);
        }
        command
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Runs docker against the default socket.
    pub async fn docker(&self, arguments: &[&str]) -> Ran {
        self.docker_at(&self.socket(), arguments, "").await
    }

    /// Runs docker against a socket, with something on its standard input.
    pub async fn docker_at(&self, socket: &Path, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command("docker");
        command.env("DOCKER_HOST", format!("unix://{}", socket.display())).args(arguments);
        run(command, input).await
    }

    /// Runs dockbridge.
    pub async fn dockbridge(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_dockbridge"));
        command.args(arguments);
        run(command, "").await
    }

    /// A daemon on the default socket, with settings of its own, ready.
    pub async fn start(&self, settings: &[(&str, &str)]) -> Daemon {
        self.start_at(&self.socket(), settings).await
    }

    /// A daemon on a socket, ready.
    pub async fn start_at(&self, socket: &Path, settings: &[(&str, &str)]) -> Daemon {
        self.start_with(socket, &[], settings).await
    }

    /// A daemon on a socket, with arguments of its own, ready.
    pub async fn start_with(
        &self,
        socket: &Path,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> Daemon {
        let log_path = self.folder.path().join("daemon.log");
        let log = std::fs::File::options().create(true).append(true).open(&log_path).unwrap();
        let child = self
            .command(env!("CARGO_BIN_EXE_dockbridge"))
            .args(["start", "--socket"])
            .arg(socket)
            .args(arguments)
            .envs(settings.iter().copied())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut daemon = Daemon { child, socket: socket.to_owned() };
        let client = daemon.client();
        let begun = Instant::now();
        while client.status().await.is_err() {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the daemon ended with {status}:\n{}", self.daemon_log());
            }
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "the daemon does not answer:\n{}",
                self.daemon_log()
            );
            sleep(Duration::from_millis(20)).await;
        }
        daemon
    }

    /// All that daemons of this stage said.
    pub fn daemon_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("daemon.log")).unwrap_or_default()
    }

    /// Servers and volumes in the cloud project.
    pub async fn counts(&self) -> (usize, usize) {
        let all = Query::default();
        (
            self.api.servers().list(&all).await.unwrap().len(),
            self.api.volumes().list(&all).await.unwrap().len(),
        )
    }

    /// Polls until it holds.
    pub async fn eventually(
        &self,
        what: &str,
        ceiling: Duration,
        mut holds: impl AsyncFnMut() -> bool,
    ) {
        let begun = Instant::now();
        while !holds().await {
            let state = async { format!("{}; log:\n{}", self.look().await, self.daemon_log()) };
            assert!(
                begun.elapsed() < ceiling,
                "not within {} s: {what}; {}",
                ceiling.as_secs(),
                state.await
            );
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// The cloud's own look at itself, which meets no fault and is free: so many requests would
    /// exhaust the project's allowance.
    pub async fn look(&self) -> serde_json::Value {
        look_at(&self.cloud.endpoint()).await
    }

    /// The bad day is over.
    pub async fn end_faults(&self) {
        let endpoint = self.cloud.endpoint();
        let mut command = Command::new("curl");
        command
            .args(["-sS", "--fail-with-body", "-X", "DELETE"])
            .arg(format!("{}/_local/faults", endpoint.strip_suffix("/v1").unwrap()));
        run(command, "").await.succeeded();
    }

    /// The file behind a volume.
    pub fn volume_image(&self, volume: u64) -> PathBuf {
        self.folder.path().join(format!("cloud/volumes/{volume}.img"))
    }

    /// One of the local cloud's pokes, such as `servers/7/power_cut`.
    pub async fn poke(&self, path: &str, body: &str) {
        let endpoint = self.cloud.endpoint();
        let base = endpoint.strip_suffix("/v1").unwrap();
        let mut command = Command::new("curl");
        command.args([
            "-sS",
            "--fail-with-body",
            "-X",
            "POST",
            "-H",
            "Content-Type: application/json",
            "-d",
            body,
        ]);
        command.arg(format!("{base}/_local/{path}"));
        run(command, "").await.succeeded();
    }

    /// What the local cloud tells of itself, such as `state`.
    pub async fn told_by_the_cloud(&self, of: &str) -> serde_json::Value {
        let endpoint = self.cloud.endpoint();
        let mut command = Command::new("curl");
        command
            .args(["-sS", "--fail-with-body"])
            .arg(format!("{}/_local/{of}", endpoint.strip_suffix("/v1").unwrap()));
        serde_json::from_str(&run(command, "").await.succeeded().stdout).unwrap()
    }

    /// A tiny image on the machine: busybox, with its applets installed.
    pub async fn make_image(&self, name: &str) {
        let context = self.folder.path().join(format!("context-{name}"));
        std::fs::create_dir_all(&context).unwrap();
        std::fs::copy("/bin/busybox", context.join("busybox")).unwrap();
        let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \
         \"--install\", \"/bin\"]\nCMD [\"sh\"]\n";
        std::fs::write(context.join("Dockerfile"), dockerfile).unwrap();
        self.docker(&["build", "--quiet", "-t", name, context.to_str().unwrap()]).await.succeeded();
    }

    /// The same image where nothing can be built.
    pub async fn import_image(&self, name: &str) {
        let script = format!(
            "mkdir -p root/bin && cp /bin/busybox root/bin/ && for name in $(busybox --list | grep \
             -v '^busybox$'); do ln -s busybox root/bin/$name; done && tar -c -C root . | docker \
             import -c 'CMD [\"sh\"]' - {name} && rm -r root"
        );
        let mut command = self.command("sh");
        command.args(["-ec", &script]).current_dir(self.folder.path());
        command.env("DOCKER_HOST", format!("unix://{}", self.socket().display()));
        run(command, "").await.succeeded();
    }

    /// Runs a command on the machine, as root.
    pub async fn on_machine(&self, command: &str) -> Ran {
        self.dockbridge(&["server", "ssh", command]).await
    }

    /// Brings a file to the machine.
    pub async fn send(&self, file: &Path, to: &str) {
        let mut command = self.command("sh");
        command
            .args(["-c", &format!("\"$0\" server ssh 'cat >{to}' <\"$1\"")])
            .arg(env!("CARGO_BIN_EXE_dockbridge"))
            .arg(file);
        run(command, "").await.succeeded();
    }

    /// The host's end of the only machine's network link.
    pub fn link(&self) -> String {
        let endpoint = self.cloud.machine_endpoint().unwrap();
        let place = endpoint.trim_start_matches("http://").split('.').nth(2).unwrap().to_owned();
        let mut links = std::fs::read_dir(format!("/sys/class/net/dbcloud{place}/brif")).unwrap();
        let link = links.next().expect("a machine is on the bridge").unwrap();
        assert!(links.next().is_none(), "one machine");
        link.file_name().into_string().unwrap()
    }

    /// Ends the cloud in order.
    pub async fn close(self) {
        self.cloud.close().await;
    }
}

/// A local cloud's own look at itself.
pub async fn look_at(endpoint: &str) -> serde_json::Value {
    let address = endpoint.trim_start_matches("http://").trim_end_matches("/v1");
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET /_local/state HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// A daemon that a person started; killed when dropped.
pub struct Daemon {
    pub child: Child,
    pub socket: PathBuf,
}

impl Daemon {
    pub fn client(&self) -> daemon::client::Client {
        daemon::client::Client::of(&self.socket)
    }

    /// As a crash would.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// As `dockbridge stop` would.
    pub async fn stop(mut self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap())
            .unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
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
    pub took: Duration,
}

impl Ran {
    /// Panics with all it said unless it succeeded.
    pub fn succeeded(&self) -> &Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// Panics with all it said unless it failed with this text in its errors.
    pub fn failed_with(&self, text: &str) -> &Self {
        assert!(
            !self.status.success() && self.stderr.contains(text),
            "expected a failure with {text:?}: {self}"
        );
        self
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, status, stdout, stderr, took } = self;
        write!(
            f,
            "`{line}` ended with {status} after {:.1} s\nstdout: {stdout}\nstderr: {stderr}",
            took.as_secs_f64()
        )
    }
}

/// Sets a network link of this host `up` or `down`.
pub async fn set_link(link: &str, to: &str) {
    let mut command = Command::new("ip");
    command.args(["link", "set", link, to]);
    run(command, "").await.succeeded();
}

/// Runs a command to its end.
pub async fn run(command: Command, input: &str) -> Ran {
    run_within(LONGEST_COMMAND, command, input).await
}

/// Runs a command that may take so long to its end.
pub async fn run_within(longest: Duration, mut command: Command, input: &str) -> Ran {
    let line = format!("{:?}", command.as_std());
    let begun = Instant::now();
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
    let ended = timeout(longest, child.wait_with_output()).await;
    let Output { status, stdout, stderr } = ended
        .unwrap_or_else(|_| panic!("`{line}` did not end within {} s", longest.as_secs()))
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { line, status, stdout: text(stdout), stderr: text(stderr), took: begun.elapsed() }
}
