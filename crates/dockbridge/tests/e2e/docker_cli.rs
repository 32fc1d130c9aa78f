//! The real docker command through the whole product, compared with the same command on the
//! machine's engine itself: output, errors and exit codes. Both paths reach one engine.

mod builds;
mod compose;
pub mod scripts;
mod sessions;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::rig::{Daemon, Ran, Stage, foreign_agent, pass_over, run_within};

/// Some scripts are long, and computers may be busy.
const LONGEST_SCRIPT: Duration = Duration::from_secs(400);

/// Helper for scripts: `await TEXT FILE` waits until a file contains a text.
const PRELUDE: &str = r#"
await() {
    for i in $(seq 400); do grep -qF -- "$1" "$2" 2>/dev/null && return; sleep 0.05; done
    echo "never: $1 in $2"; cat "$2"
}
"#;

/// A name, a script, and a text that its output must contain, so that two equal failures do not
/// count as success.
pub type Script<'a> = (&'a str, &'a str, &'a str);

/// A machine with two paths to its engine.
pub struct Comparison {
    pub stage: Stage,
    daemon: Daemon,
    /// A socket that reaches the engine without dockbridge.
    pub direct: PathBuf,
    forward: Child,
    blob: PathBuf,
}

impl Comparison {
    /// A woken machine with the image `tiny`; `None` if this host cannot run one.
    pub async fn new() -> Option<Self> {
        Some(Self::on(Stage::new().await?).await)
    }

    pub async fn on(stage: Stage) -> Self {
        // The daemon does not see requests that go straight to the engine, and would take the
        // machine for idle.
        let daemon = stage.start(&[("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "3h")]).await;
        stage.make_image("tiny").await;
        let direct = stage.directory.path().join("engine.sock");
        let forward = forward(&stage, &direct).await;
        Self::of(stage, daemon, direct, forward)
    }

    /// Two sockets of one engine: the daemon's, and one that something else forwards.
    pub fn of(stage: Stage, daemon: Daemon, direct: PathBuf, forward: Child) -> Self {
        let blob = stage.directory.path().join("blob");
        fs::write(&blob, noise(8 << 20)).unwrap();
        Self { stage, daemon, direct, forward, blob }
    }

    /// Runs each script on the engine and through dockbridge, and reports all differences.
    async fn compare(&self, scripts: &[Script<'_>]) {
        let differences = self.differences(scripts).await;
        assert!(
            differences.is_empty(),
            "{} of {} differ\n{}",
            differences.len(),
            scripts.len(),
            differences.join("\n\n")
        );
    }

    /// Runs each script on the engine and through dockbridge; returns the differences, and the
    /// texts that are missing on the engine itself.
    pub async fn differences(&self, scripts: &[Script<'_>]) -> Vec<String> {
        let only = std::env::var("ONLY").ok();
        let mut differences = Vec::new();
        for (name, script, expected) in scripts
            .iter()
            .filter(|(name, ..)| only.as_deref().is_none_or(|only| name.contains(only)))
        {
            let directly = self.run(&self.direct, script).await;
            let through = self.run(&self.stage.socket(), script).await;
            eprintln!(
                "{:.1} s, {:.1} s: {name}",
                directly.took.as_secs_f64(),
                through.took.as_secs_f64()
            );
            if only.is_some() {
                eprintln!("{name}: {directly}\n{through}");
            }
            if !directly.stdout.contains(expected) {
                differences.push(format!(
                    "{name}: {expected:?} is missing on the engine itself: {directly}"
                ));
            } else if seen(&directly) != seen(&through) {
                differences.push(format!(
                    "{name}\non the engine {directly}\nthrough dockbridge {through}"
                ));
            }
        }
        differences
    }

    /// Runs a shell script in an empty directory of its own.
    pub async fn run(&self, socket: &Path, script: &str) -> Ran {
        let work = tempfile::tempdir_in(self.stage.directory.path()).unwrap();
        let mut command = self.stage.command("sh");
        command.args(["-c", &format!("{PRELUDE}{script}")]).current_dir(work.path());
        command
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .env("DOCKER_CLI_HINTS", "false")
            .env("BLOB", &self.blob);
        // A published port is on the machine, or here.
        let curl = if socket == self.direct {
            format!("{} server ssh curl -s", env!("CARGO_BIN_EXE_dockbridge"))
        } else {
            "curl -s".to_owned()
        };
        command.env("ASK", curl);
        run_within(LONGEST_SCRIPT, command, "").await
    }

    pub async fn close(mut self) {
        // The machine's host key has changed since its first login, and big transfers open
        // connections later than that.
        let log = self.stage.daemon_log();
        assert!(!log.contains("presented the host key"), "a connection was refused:\n{log}");
        self.forward.kill().await.unwrap();
        self.daemon.stop().await;
        self.stage.close().await;
    }
}

/// The engine's own socket, forwarded by the system's ssh.
async fn forward(stage: &Stage, local: &Path) -> Child {
    let home = stage.directory.path().join("home");
    let known_hosts = home.join("state/default/known_hosts");
    // After the first login the host key is replaced; until then ssh is refused.
    stage
        .eventually("a login by ssh", Duration::from_secs(20), async || {
            stage.on_machine("true").await.status.success()
        })
        .await;
    let known = fs::read_to_string(&known_hosts).unwrap();
    let address = known.split_whitespace().next().unwrap();
    let mut command = Command::new("ssh");
    command.args([
        "-N",
        "-l",
        "root",
        "-o",
        "IdentitiesOnly=yes",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "ExitOnForwardFailure=yes",
    ]);
    command.arg("-o").arg(format!("UserKnownHostsFile={}", known_hosts.display()));
    command.arg("-i").arg(home.join("config/ssh_ed25519"));
    command.arg("-L").arg(format!("{}:/var/run/docker.sock", local.display())).arg(address);
    let forward = command.kill_on_drop(true).spawn().unwrap();
    let answers = async || stage.docker_at(local, &["version"], "").await.status.success();
    stage.eventually("the engine answers directly", Duration::from_secs(20), answers).await;
    forward
}

/// What a user sees, without random parts.
fn seen(ran: &Ran) -> (Option<i32>, String, String) {
    (ran.status.code(), mask(&ran.stdout), mask(&ran.stderr))
}

/// Ids differ from run to run: hexadecimal words of at least twelve digits become `<id>`. The
/// complaint of the client's own archiver is removed as well: it depends on timing whether it is
/// still packing when a refusal arrives.
fn mask(text: &str) -> String {
    let separator = |c: char| !c.is_ascii_alphanumeric();
    let lines =
        text.split_inclusive('\n').filter(|line| !line.contains("io: read/write on closed pipe"));
    let masked = |piece: &str| {
        let word = piece.trim_end_matches(separator);
        let is_id =
            word.len() >= 12 && word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_id { format!("<id>{}", &piece[word.len()..]) } else { piece.to_owned() }
    };
    lines.collect::<String>().split_inclusive(separator).map(masked).collect()
}

/// Bytes without a pattern, always the same (a linear congruential generator with Knuth's
/// constants).
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Gives the docker client a plugin, if the directory named by `DOCKBRIDGE_TEST_PLUGINS` contains
/// it.
pub fn plug_in(stage: &Stage, name: &str) -> bool {
    let Some(plugin) = std::env::var_os("DOCKBRIDGE_TEST_PLUGINS")
        .map(|directory| Path::new(&directory).join(name))
        .filter(|path| path.exists())
    else {
        testkit::passed_over!("DOCKBRIDGE_TEST_PLUGINS names no directory with {name}");
        return false;
    };
    let plugins = stage.directory.path().join("docker/cli-plugins");
    fs::create_dir_all(&plugins).unwrap();
    symlink(plugin, plugins.join(name)).unwrap();
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn the_docker_command_sees_no_difference_from_the_engine() {
    let Some(comparison) = Comparison::new().await else { return pass_over() };
    comparison.compare(scripts::CORE).await;
    comparison.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_can_the_less_common_commands() {
    let Some(comparison) = Comparison::new().await else { return pass_over() };
    comparison.compare(scripts::MORE).await;
    comparison.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_can_signals_terminals_and_the_upkeep_of_an_engine() {
    let Some(comparison) = Comparison::new().await else { return pass_over() };
    comparison.compare(sessions::SESSIONS).await;
    comparison.compare(sessions::UPKEEP).await;
    comparison.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_agent_for_the_machine_the_docker_command_sees_no_difference() {
    let Some(mut stage) = Stage::new().await else { return pass_over() };
    foreign_agent(&mut stage);
    let comparison = Comparison::on(stage).await;
    let arrived = comparison.stage.on_machine("ls -A /run/dockbridge").await;
    assert!(!arrived.succeeded().stdout.contains("agent-"), "an agent was sent: {arrived}");
    comparison.compare(scripts::CORE).await;
    comparison.close().await;
}
