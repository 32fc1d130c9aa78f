//! All losses of the path to a machine, one after the other on one machine: a running command gets
//! an error, an idle client's connection serves its next request, nothing is created again, and
//! the container does not notice.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

use super::cuts::{FOREVER, REPORTED_WITHIN, processes_of, signal_all, started};
use super::{Holdings, docker};
use crate::rig::{Daemon, Stage, pass_over, run, set_link};

/// Longer than the watchdog waits for anything.
const SLEEP: Duration = Duration::from_secs(25);
/// The machine may be busy; each of these takes a second at most.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn every_loss_of_the_path_is_reported_only_to_waiting_clients() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[("DOCKBRIDGE_KEEPALIVE_INTERVAL", "1s")]).await;
    stage.make_image("tiny").await;
    stage
        .docker(&[
            "run",
            "--detach",
            "--stop-timeout",
            "1",
            "--name",
            "web",
            "tiny",
            "sleep",
            "3600",
        ])
        .await
        .succeeded();
    let server = Holdings::of(&stage).await.only().0;
    let before = (Holdings::of(&stage).await, started(&stage).await);
    let mut idle = Idle::connect(&stage).await;
    let story = Story { stage: &stage, daemon: &daemon };

    story
        .of(
            "logins killed",
            &mut idle,
            async || signal_all(&logins(server), Signal::KILL),
            async || {},
        )
        .await;
    story
        .of(
            "agent killed",
            &mut idle,
            async || signal_all(&processes_of(server, "agent-"), Signal::KILL),
            async || {},
        )
        .await;
    assert_eq!(resident(&stage).await, "active", "the lease is held again");
    a_killed_resident_is_replaced_under_a_running_command(&stage, &daemon, server).await;

    let cut = stage.link();
    story
        .of(
            "network cut",
            &mut idle,
            async || set_link(&cut, "down").await,
            async || set_link(&cut, "up").await,
        )
        .await;
    let suspended = async || {
        daemon_hears(&daemon, Signal::STOP);
        set_link(&cut, "down").await;
        sleep(SLEEP).await;
        daemon_hears(&daemon, Signal::CONT);
    };
    story
        .of("suspended without a network", &mut idle, suspended, async || {
            set_link(&cut, "up").await;
        })
        .await;
    let stranded = Stranded::default();
    let strike = async || stranded.strike(&stage, server).await;
    story.of("address changed", &mut idle, strike, async || {}).await;
    drop(stranded);
    a_suspend_that_the_network_survives_goes_unnoticed(&stage, &daemon).await;

    assert_eq!(
        (Holdings::of(&stage).await, started(&stage).await),
        before,
        "nothing was created again, and the container never stopped"
    );
    daemon.stop().await;
    stage.close().await;
}

struct Story<'a> {
    stage: &'a Stage,
    daemon: &'a Daemon,
}

impl Story<'_> {
    /// Strikes under a running command, repairs what must be repaired once the client knows, and
    /// runs a command again. Figures count from the end of the strike.
    async fn of(
        &self,
        what: &str,
        idle: &mut Idle,
        strike: impl AsyncFnOnce(),
        mend: impl AsyncFnOnce(),
    ) {
        let (running, mut lines) = Running::begin(self.stage, FOREVER).await;
        let begun = Instant::now();
        strike().await;
        let struck = Instant::now();
        let noticed = async {
            // It is up again already, or not yet.
            let since = |status: &api::Status| status.since_seconds < begun.elapsed().as_secs_f64();
            while !self
                .daemon
                .client()
                .status()
                .await
                .is_ok_and(|status| status.state != api::MachineState::Up || since(&status))
            {
                sleep(Duration::from_millis(20)).await;
            }
            struck.elapsed()
        };
        let output = async {
            while let Ok(Some(_)) = lines.next_line().await {}
            struck.elapsed()
        };
        let both = timeout(REPORTED_WITHIN, async { tokio::join!(noticed, output) }).await;
        let (noticed, output) = both.unwrap_or_else(|_| {
            panic!("{what}: not reported within {REPORTED_WITHIN:?}:\n{}", self.stage.daemon_log())
        });
        running.failed(what).await;
        mend().await;
        let mended = Instant::now();
        idle.ask(what).await;
        let answered = mended.elapsed();
        let ran = self.stage.docker(&["exec", "web", "echo", "there"]).await;
        assert_eq!(ran.succeeded().stdout, "there\n", "{what}");
        eprintln!(
            "{what}: noticed after {:.2} s, the client output after {:.2} s; asked again, answered \
             in {:.2} s",
            noticed.as_secs_f64(),
            output.as_secs_f64(),
            answered.as_secs_f64()
        );
    }
}

/// The machine would end with its lease while its client uses it.
async fn a_killed_resident_is_replaced_under_a_running_command(
    stage: &Stage,
    daemon: &Daemon,
    server: u64,
) {
    let (running, mut lines) = Running::begin(
        stage,
        &["exec", "web", "sh", "-c", "while :; do echo tick; sleep 0.2; done"],
    )
    .await;
    let residents: Vec<Pid> =
        processes_of(server, "agent-").into_iter().filter(|pid| is_resident(*pid)).collect();
    assert_eq!(residents.len(), 1);
    let since = daemon.client().status().await.unwrap().since_seconds;
    signal_all(&residents, Signal::KILL);
    let replaced = async || {
        processes_of(server, "agent-")
            .into_iter()
            .any(|pid| is_resident(pid) && !residents.contains(&pid))
    };
    stage.eventually("another resident runs", SOON, replaced).await;
    let leased =
        async || {
            daemon.client().status().await.is_ok_and(|status| {
                status.report.is_some_and(|report| report.lease_seconds.is_some())
            })
        };
    stage.eventually("it holds the lease", SOON, leased).await;
    timeout(SOON, lines.next_line())
        .await
        .expect("the command goes on")
        .unwrap()
        .expect("the command goes on");
    let status = daemon.client().status().await.unwrap();
    assert!(
        status.state == api::MachineState::Up && status.since_seconds >= since,
        "nothing was connected again: {status:?}"
    );
    drop(running);
}

/// This computer suspends but the network survives: streams continue where they were.
async fn a_suspend_that_the_network_survives_goes_unnoticed(stage: &Stage, daemon: &Daemon) {
    let (running, mut lines) = Running::begin(
        stage,
        &["exec", "web", "sh", "-c", "while :; do echo tick; sleep 0.2; done"],
    )
    .await;
    let since = daemon.client().status().await.unwrap().since_seconds;
    daemon_hears(daemon, Signal::STOP);
    sleep(SLEEP).await;
    daemon_hears(daemon, Signal::CONT);
    let awake = Instant::now();
    while awake.elapsed() < Duration::from_secs(5) {
        timeout(SOON, lines.next_line())
            .await
            .expect("the command goes on")
            .unwrap()
            .expect("the command goes on");
    }
    let status = daemon.client().status().await.unwrap();
    assert!(
        status.state == api::MachineState::Up && status.since_seconds >= since,
        "nothing was connected again: {status:?}\n{}",
        stage.daemon_log()
    );
    drop(running);
}

/// A command that prints and does not end by itself.
struct Running(Child);

impl Running {
    async fn begin(stage: &Stage, arguments: &[&str]) -> (Self, Lines<BufReader<ChildStdout>>) {
        let mut command = docker(stage, &stage.socket(), arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = timeout(SOON, lines.next_line()).await.expect("the command prints").unwrap();
        assert!(first.is_some(), "{arguments:?} prints: {}", stage.daemon_log());
        (Self(child), lines)
    }

    async fn failed(self, what: &str) {
        let ended = timeout(SOON, self.0.wait_with_output()).await.expect("it ends").unwrap();
        assert!(
            !ended.status.success() && !ended.stderr.is_empty(),
            "{what}: it fails and says why: {ended:?}"
        );
    }
}

/// A client that keeps its connection and uses it now and then, like a library with a pool.
struct Idle(UnixStream);

impl Idle {
    async fn connect(stage: &Stage) -> Self {
        let mut idle = Self(UnixStream::connect(stage.socket()).await.unwrap());
        idle.ask("nothing happened yet").await;
        idle
    }

    /// A change: a request that is never repeated without the client's knowledge.
    async fn ask(&mut self, what: &str) {
        let request = b"POST /v1.41/images/prune HTTP/1.1\r\nHost: docker\r\nContent-Length: \
         0\r\n\r\n";
        let exchange = async {
            self.0.write_all(request).await?;
            let mut answer = Vec::new();
            while !is_whole(&answer) {
                if self.0.read_buf(&mut answer).await? == 0 {
                    break;
                }
            }
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
        };
        let answer = timeout(SOON, exchange)
            .await
            .unwrap_or_else(|_| panic!("{what}: the idle client is not answered"));
        assert!(
            answer.as_ref().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")),
            "{what}: the idle client's connection serves on: {answer:?}"
        );
    }
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    match head.split_once("content-length:") {
        Some((_, rest)) => {
            body.len() >= rest.lines().next().unwrap().trim().parse::<usize>().unwrap()
        }
        None => body.ends_with("0\r\n\r\n"),
    }
}

/// All processes of sshd but the listener.
fn logins(server: u64) -> Vec<Pid> {
    let listens = |pid: &Pid| words(*pid).contains("listener");
    processes_of(server, "sshd").into_iter().filter(|pid| !listens(pid)).collect()
}

pub(super) fn is_resident(pid: Pid) -> bool {
    words(pid).split(' ').any(|word| word == "resident")
}

fn words(pid: Pid) -> String {
    let line = fs::read(PathBuf::from(format!("/proc/{}/cmdline", pid.as_raw_nonzero())))
        .unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}

async fn resident(stage: &Stage) -> String {
    stage.on_machine("systemctl is-active dockbridge-agent").await.stdout.trim().to_owned()
}

fn daemon_hears(daemon: &Daemon, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(daemon.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Existing connections are dead, while new ones work, as when either end gets another address.
/// Undone when dropped.
struct Stranded(String);

impl Default for Stranded {
    fn default() -> Self {
        Self(format!("dockbridge-e2e-{}", std::process::id()))
    }
}

impl Stranded {
    async fn strike(&self, stage: &Stage, server: u64) {
        let server = stage.api.servers().get(server).await.unwrap().unwrap();
        let address = server.public_net.ipv4.unwrap().ip.to_string();
        let mut list = Command::new("ss");
        list.args(["-Htn", "state", "established", "dst", &address, "dport", "=", ":22"]);
        let listed = run(list, "").await;
        let ports: Vec<&str> = listed
            .succeeded()
            .stdout
            .lines()
            .filter_map(|line| line.split_whitespace().nth(2)?.rsplit_once(':'))
            .map(|(_, port)| port)
            .collect();
        assert!(!ports.is_empty(), "{listed}");
        let rule = |direction: &str, hook: &str, port: &str, end: &str| {
            format!(
                "chain {hook} {{ type filter hook {hook} priority -10; ip {direction} {address} \
                 tcp {port} {{ {} }} {end}; }}\n",
                ports.join(", ")
            )
        };
        let table = format!(
            "table inet {} {{\n{}{}}}\n",
            self.0,
            rule("daddr", "output", "sport", "drop"),
            rule("saddr", "input", "dport", "drop")
        );
        let mut nft = Command::new("nft");
        nft.args(["-f", "-"]);
        run(nft, &table).await.succeeded();
    }
}

impl Drop for Stranded {
    fn drop(&mut self) {
        let _ =
            std::process::Command::new("nft").args(["delete", "table", "inet", &self.0]).status();
    }
}
