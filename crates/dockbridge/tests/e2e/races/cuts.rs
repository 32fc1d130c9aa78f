//! The machine or the path to it breaks under a command.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::{Instant, timeout};

use super::{Holdings, docker, state};
use crate::rig::{Daemon, Stage, pass_over, run, set_link};

/// A client learns of a dead path within this time.
pub(super) const REPORTED_WITHIN: Duration = Duration::from_secs(15);

/// A command in the foreground that never ends by itself.
pub(super) const FOREVER: &[&str] = &[
    "run",
    "--rm",
    "--stop-timeout",
    "1",
    "tiny",
    "sh",
    "-c",
    "echo begun; while :; do sleep 1; done",
];

#[tokio::test]
async fn a_power_cut_under_a_command_is_reported_and_the_next_command_finds_its_data() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    stage.make_image("tiny").await;
    stage
        .docker(&[
            "run",
            "--rm",
            "-v",
            "keep:/keep",
            "tiny",
            "sh",
            "-c",
            "echo of before >/keep/file; sync",
        ])
        .await
        .succeeded();
    // A power cut loses data that was not written out, as on every computer.
    stage.on_machine("sync").await.succeeded();
    let (server, volume) = Holdings::of(&stage).await.only();

    broken_off(&stage, async || {
        stage.control().post(&format!("servers/{server}/power_cut"), "").await;
    })
    .await;

    let read =
        stage.docker(&["run", "--rm", "-v", "keep:/keep", "tiny", "cat", "/keep/file"]).await;
    assert_eq!(read.succeeded().stdout, "of before\n");
    let (server_after, volume_after) = Holdings::of(&stage).await.only();
    assert_eq!(server_after, server, "a young machine without power is started: its hour is paid");
    assert_eq!(volume_after, volume);
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn a_network_that_was_cut_or_a_login_service_that_hung_costs_no_machine() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
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
            "600",
        ])
        .await
        .succeeded();
    let started = started(&stage).await;
    let before = Holdings::of(&stage).await;
    before.only();

    let link = stage.link();
    broken_off(&stage, async || set_link(&link, "down").await).await;
    // It waits for the machine until the network is back.
    goes_on(&stage, &daemon, async || set_link(&link, "up").await).await;

    let services = processes_of(before.only().0, "sshd");
    broken_off(&stage, async || signal_all(&services, Signal::STOP)).await;
    goes_on(&stage, &daemon, async || signal_all(&services, Signal::CONT)).await;

    assert_eq!(Holdings::of(&stage).await, before, "nothing was created again");
    assert_eq!(self::started(&stage).await, started, "the container never stopped");
    daemon.stop().await;
    stage.close().await;
}

/// Runs a command that does not end by itself and cuts it off in the middle of its output: its
/// client gets an error.
async fn broken_off(stage: &Stage, cut: impl AsyncFnOnce()) {
    let mut command = docker(stage, &stage.socket(), FOREVER);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut running = command.spawn().unwrap();
    let mut printed = BufReader::new(running.stdout.take().unwrap()).lines();
    let first = timeout(Duration::from_secs(20), printed.next_line()).await;
    assert_eq!(
        first.expect("the command prints").unwrap().as_deref(),
        Some("begun"),
        "{}",
        stage.daemon_log()
    );
    let cut_at = Instant::now();
    cut().await;
    let ended =
        timeout(REPORTED_WITHIN.saturating_sub(cut_at.elapsed()), running.wait_with_output()).await;
    let ended = ended
        .unwrap_or_else(|_| {
            panic!("not reported within {} s:\n{}", REPORTED_WITHIN.as_secs(), stage.daemon_log())
        })
        .unwrap();
    assert!(!ended.status.success(), "{ended:?}");
    assert!(!ended.stderr.is_empty(), "it says why: {ended:?}");
}

/// A command given while the machine is unreachable succeeds once it is reachable again.
async fn goes_on(stage: &Stage, daemon: &Daemon, mend: impl AsyncFnOnce()) {
    stage
        .eventually("the loss is noticed", Duration::from_secs(15), async || {
            state(daemon).await != "up"
        })
        .await;
    let waiting =
        tokio::spawn(run(docker(stage, &daemon.socket, &["exec", "web", "echo", "there"]), ""));
    mend().await;
    let ran = waiting.await.unwrap();
    assert_eq!(ran.succeeded().stdout, "there\n");
}

pub(super) async fn started(stage: &Stage) -> String {
    stage
        .docker(&["inspect", "--format", "{{.State.StartedAt}} {{.RestartCount}}", "web"])
        .await
        .succeeded()
        .stdout
        .clone()
}

/// All processes on a machine with this prefix, by this host's process ids; at least one.
pub(crate) fn processes_of(server: u64, name: &str) -> Vec<Pid> {
    let found = processes(server, name);
    assert!(!found.is_empty(), "{name} runs on the machine");
    found
}

/// The same for a machine that may not exist.
pub(crate) fn processes(server: u64, name: &str) -> Vec<Pid> {
    let processes = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let read = |process: i32, file: &str| {
        fs::read_to_string(PathBuf::from(format!("/proc/{process}")).join(file)).unwrap_or_default()
    };
    processes
        .filter(|process| {
            read(*process, "comm").starts_with(name)
                && read(*process, "cgroup").contains(&format!("-{server}/"))
        })
        .filter_map(Pid::from_raw)
        .collect()
}

pub(crate) fn signal_all(processes: &[Pid], signal: Signal) {
    for process in processes {
        // A session may have ended meanwhile.
        let _ = kill_process(*process, signal);
    }
}
