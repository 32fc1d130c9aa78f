//! Where the tests run: a local cloud with real machines, a directory for one user's files, and
//! the commands that this user types.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hetzner::{Client, Query};
use local_cloud::{Cloud, ContainerEngine, Machines, Options, Sshd};
use tempfile::TempDir;
use tokio::process::{Child, Command};

pub use testkit::{Control, LONGEST_COMMAND, Ran, run, run_within};

/// Passes the test over: this host cannot run machines.
pub fn pass_over() {
    testkit::passed_over!("needs root, a docker client and the agent (scripts/build)");
}

/// The agents of this build.
pub fn agent_directory() -> PathBuf {
    if let Some(directory) = std::env::var_os("DOCKBRIDGE_AGENT_DIR") {
        return directory.into();
    }
    Path::new(env!("CARGO_BIN_EXE_dockbridge")).parent().unwrap().join("../lib/dockbridge")
}

/// Leaves only an agent for another kind of machine: the head of an ELF file (e_machine at 18: 62
/// for x86-64, 183 for AArch64).
pub fn foreign_agent(stage: &mut Stage) {
    let directory = stage.directory.path().join("agents");
    std::fs::create_dir(&directory).unwrap();
    let (name, kind) = if cfg!(target_arch = "x86_64") { ("aarch64", 183) } else { ("x86_64", 62) };
    let mut elf = b"\x7fELF\x02\x01".to_vec();
    elf.resize(18, 0);
    elf.extend_from_slice(&[kind, 0]);
    std::fs::write(directory.join(format!("dockbridge-agent-{name}")), elf).unwrap();
    stage.environment.push(("DOCKBRIDGE_AGENT_DIR".to_owned(), directory.display().to_string()));
}

fn can_run() -> bool {
    let docker = std::process::Command::new("docker")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    rustix::process::geteuid().is_root() && docker && agent_directory().is_dir()
}

/// Whether machines can have this engine here; builds its base system if needed. Debian unstable
/// may be unreachable, or have moved on.
pub async fn has_engine(engine: ContainerEngine) -> bool {
    use local_cloud::nspawn::base;
    let made = base::ensure_of(&base::cache(), engine, &|step| eprintln!("{step}")).await;
    match made {
        Err(failure) if engine != ContainerEngine::default() => {
            testkit::passed_over!("no machine has the engine {engine:?} here: {failure}");
            false
        }
        made => made.map(|_| true).unwrap(),
    }
}

/// A local cloud and one user.
pub struct Stage {
    pub cloud: Cloud,
    /// The same cloud, through a client of its own.
    pub api: Client,
    pub directory: TempDir,
    pub environment: Vec<(String, String)>,
}

impl Stage {
    /// `None` if this host cannot run it.
    pub async fn new() -> Option<Self> {
        Self::with(|_| ()).await
    }

    /// Like `new`, with this engine on new servers.
    pub async fn with_engine(engine: ContainerEngine) -> Option<Self> {
        Self::with(|options| options.engine = engine).await
    }

    /// Like `new`, with this start of sshd.
    pub async fn with_sshd(sshd: Sshd) -> Option<Self> {
        Self::with(|options| options.sshd = sshd).await
    }

    /// Like `new`, with other options of the cloud.
    pub async fn with(change: impl FnOnce(&mut Options)) -> Option<Self> {
        if !can_run() {
            return None;
        }
        // A failing test shows the cloud's warnings.
        let _ = tracing_subscriber::fmt()
            .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
            .with_writer(std::io::stderr)
            .try_init();
        let directory =
            tempfile::Builder::new().prefix("dockbridge-e2e-").tempdir_in("/var/tmp").unwrap();
        let mut options =
            Options { machines: Machines::Nspawn, ..Options::new(directory.path().join("cloud")) };
        change(&mut options);
        if !has_engine(options.engine).await {
            return None;
        }
        let cloud = Cloud::start(options).await.unwrap();
        let endpoint = cloud.machine_endpoint().unwrap();
        let api = Client::new(endpoint.parse().unwrap(), cloud.token().to_owned().into()).unwrap();
        let home = directory.path().join("home").display().to_string();
        let environment = [
            ("DOCKBRIDGE_HOME", home.as_str()),
            ("DOCKBRIDGE_HETZNER_ENDPOINT", &endpoint),
            ("DOCKBRIDGE_HETZNER_API_TOKEN", cloud.token()),
            ("DOCKBRIDGE_HETZNER_VOLUME_SIZE", "10"),
            // No test waits for the end of an hour.
            ("DOCKBRIDGE_ACTIVITY_KEEP_PAID_HOUR", "false"),
            ("DOCKBRIDGE_AGENT_DIR", &agent_directory().display().to_string()),
            ("DOCKBRIDGE_LOGGING_LEVEL", "debug,russh=info,yamux=info,hyper_util=info"),
            ("DOCKER_CONFIG", &directory.path().join("docker").display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        Some(Self { cloud, api, directory, environment })
    }

    /// The default profile's Docker socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("home/run/default/docker.sock")
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

    /// Runs docker on the default socket.
    pub async fn docker(&self, arguments: &[&str]) -> Ran {
        self.docker_at(&self.socket(), arguments, "").await
    }

    /// Runs docker on a socket, with input.
    pub async fn docker_at(&self, socket: &Path, arguments: &[&str], input: &str) -> Ran {
        let mut command = self.command("docker");
        command.env("DOCKER_HOST", format!("unix://{}", socket.display())).args(arguments);
        run(command, input).await
    }

    /// Runs dockbridge.
    pub async fn dockbridge(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_dockbridge"));
        command.args(arguments);
        let ran = run(command, "").await;
        testkit::assert_output_follows(arguments, &ran);
        ran
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
        let mut command = self.command(env!("CARGO_BIN_EXE_dockbridge"));
        command
            .args(["start", "--socket"])
            .arg(socket)
            .args(arguments)
            .envs(settings.iter().copied());
        self.serve(command, socket).await
    }

    /// Runs a command that starts a daemon on a socket, until that is ready.
    pub async fn serve(&self, command: Command, socket: &Path) -> Daemon {
        let client = api::client::Client::of(socket);
        let is_ready = async || client.status().await.is_ok();
        let process = testkit::Daemon::start(command, &self.log(), is_ready).await;
        Daemon { process, socket: socket.to_owned() }
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("daemon.log")
    }

    /// The output of this stage's daemons.
    pub fn daemon_log(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Servers and volumes in the cloud project.
    pub async fn counts(&self) -> (usize, usize) {
        let all = Query::default();
        (
            self.api.servers().list(&all).await.unwrap().len(),
            self.api.volumes().list(&all).await.unwrap().len(),
        )
    }

    /// Polls until the condition holds.
    pub async fn eventually(
        &self,
        what: &str,
        ceiling: Duration,
        holds: impl AsyncFnMut() -> bool,
    ) {
        let state = async || format!("{}; log:\n{}", self.look().await, self.daemon_log());
        testkit::eventually(what, ceiling, holds, state).await;
    }

    /// The local cloud's control requests.
    pub fn control(&self) -> Control {
        Control::of(&self.cloud.endpoint())
    }

    /// The cloud's state. It meets no fault and does not count towards the rate limit, which so
    /// many requests would exhaust.
    pub async fn look(&self) -> serde_json::Value {
        self.control().get("state").await
    }

    /// The file behind a volume.
    pub fn volume_image(&self, volume: u64) -> PathBuf {
        self.directory.path().join(format!("cloud/volumes/{volume}.img"))
    }

    /// A tiny image on the machine: busybox, with its applets installed.
    pub async fn make_image(&self, name: &str) {
        let context = self.directory.path().join(format!("context-{name}"));
        std::fs::create_dir_all(&context).unwrap();
        std::fs::copy("/bin/busybox", context.join("busybox")).unwrap();
        let dockerfile = "FROM scratch\nCOPY busybox /bin/busybox\nRUN [\"/bin/busybox\", \
         \"--install\", \"/bin\"]\nCMD [\"sh\"]\n";
        std::fs::write(context.join("Dockerfile"), dockerfile).unwrap();
        self.docker(&["build", "--quiet", "-t", name, context.to_str().unwrap()]).await.succeeded();
    }

    /// The same image for engines that cannot build.
    pub async fn import_image(&self, name: &str) {
        let script = format!(
            "mkdir -p root/bin && cp /bin/busybox root/bin/ && for name in $(busybox --list | grep \
             -v '^busybox$'); do ln -s busybox root/bin/$name; done && tar -c -C root . | docker \
             import -c 'CMD [\"sh\"]' - {name} && rm -r root"
        );
        let mut command = self.command("sh");
        command.args(["-ec", &script]).current_dir(self.directory.path());
        command.env("DOCKER_HOST", format!("unix://{}", self.socket().display()));
        run(command, "").await.succeeded();
    }

    /// Runs a command on the machine, as root.
    pub async fn on_machine(&self, command: &str) -> Ran {
        self.dockbridge(&["server", "ssh", command]).await
    }

    /// Copies a file to the machine.
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
        let slot = endpoint.trim_start_matches("http://").split('.').nth(2).unwrap().to_owned();
        let mut links = std::fs::read_dir(format!("/sys/class/net/dbcloud{slot}/brif")).unwrap();
        let link = links.next().expect("a machine is on the bridge").unwrap();
        assert!(links.next().is_none(), "one machine");
        link.file_name().into_string().unwrap()
    }

    /// Closes the cloud.
    pub async fn close(self) {
        self.cloud.close().await;
    }
}

/// A daemon that the user started; killed when dropped.
pub struct Daemon {
    process: testkit::Daemon,
    pub socket: PathBuf,
}

impl Daemon {
    pub fn client(&self) -> api::client::Client {
        api::client::Client::of(&self.socket)
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.process.child
    }

    pub fn id(&self) -> u32 {
        self.process.child.id().unwrap()
    }

    /// Like a crash.
    pub async fn kill(self) {
        self.process.kill().await;
    }

    /// Like `dockbridge stop`.
    pub async fn stop(self) {
        self.process.stop().await;
    }
}

/// Sets a network link of this host `up` or `down`.
pub async fn set_link(link: &str, to: &str) {
    let mut command = Command::new("ip");
    command.args(["link", "set", link, to]);
    run(command, "").await.succeeded();
}
