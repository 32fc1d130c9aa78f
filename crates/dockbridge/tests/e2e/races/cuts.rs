//! The machine or the way to it breaks off under a command.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, timeout};

use super::{Holdings, docker, state};
use crate::rig::{Daemon, Stage, pass_over, run};

/// A client is told of a dead path within this time.
const TOLD_WITHIN: Duration = Duration::from_secs(15);

/// A command in the foreground that never ends by itself.
const FOREVER: &[&str] = &["run", "--rm", "--stop-timeout", "1", "tiny", "sh", "-c", "echo begun; while :; do sleep 1; done"];

#[tokio::test]
async fn a_power_cut_under_a_command_is_told_and_the_next_command_finds_its_data_on_a_new_machine() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    stage.make_image("tiny").await;
    stage.docker(&["run", "--rm", "-v", "keep:/keep", "tiny", "sh", "-c", "echo of before >/keep/file; sync"]).await.succeeded();
    // What was not written out is lost in a power cut, as on every computer.
    stage.on_machine("sync").await.succeeded();
    let (server, volume) = Holdings::of(&stage).await.only();

    broken_off(&stage, async || stage.poke(&format!("servers/{server}/power_cut"), "").await).await;

    let read = stage.docker(&["run", "--rm", "-v", "keep:/keep", "tiny", "cat", "/keep/file"]).await;
    assert_eq!(read.succeeded().stdout, "of before\n");
    let (server_after, volume_after) = Holdings::of(&stage).await.only();
    assert_ne!(server_after, server, "a machine without power is replaced");
    assert_eq!(volume_after, volume);
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn a_network_that_was_cut_or_a_login_service_that_hung_costs_no_machine() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    stage.make_image("tiny").await;
    stage.docker(&["run", "--detach", "--stop-timeout", "1", "--name", "web", "tiny", "sleep", "600"]).await.succeeded();
    let started = started(&stage).await;
    let before = Holdings::of(&stage).await;
    before.only();

    let link = link(&stage);
    broken_off(&stage, async || set_link(&link, "down").await).await;
    // It waits for the machine until the network is back.
    goes_on(&stage, &daemon, async || set_link(&link, "up").await).await;

    let services = login_services(before.only().0);
    broken_off(&stage, async || signal_all(&services, Signal::STOP)).await;
    goes_on(&stage, &daemon, async || signal_all(&services, Signal::CONT)).await;

    assert_eq!(Holdings::of(&stage).await, before, "nothing was made anew");
    assert_eq!(self::started(&stage).await, started, "the container never stopped");
    daemon.stop().await;
    stage.close().await;
}

/// Runs a command that does not end by itself and cuts it off: its client is told.
async fn broken_off(stage: &Stage, cut: impl AsyncFnOnce()) {
    let running = tokio::spawn(run(docker(stage, &stage.socket(), FOREVER), ""));
    let begun = async || stage.docker(&["ps", "--format", "{{.Command}}", "--no-trunc"]).await.stdout.contains("begun");
    stage.eventually("the command runs", Duration::from_secs(20), begun).await;
    let cut_at = Instant::now();
    cut().await;
    let ended = timeout(TOLD_WITHIN.saturating_sub(cut_at.elapsed()), running).await;
    let ran = ended.unwrap_or_else(|_| panic!("not told within {} s:\n{}", TOLD_WITHIN.as_secs(), stage.daemon_log())).unwrap();
    assert!(!ran.status.success(), "{ran}");
    assert!(!ran.stderr.is_empty(), "it says why: {ran}");
}

/// A command that is given while the machine cannot be reached succeeds when it can be again.
async fn goes_on(stage: &Stage, daemon: &Daemon, mend: impl AsyncFnOnce()) {
    stage.eventually("the loss is noticed", Duration::from_secs(15), async || state(daemon).await != "up").await;
    let waiting = tokio::spawn(run(docker(stage, &daemon.socket, &["exec", "web", "echo", "there"]), ""));
    mend().await;
    let ran = waiting.await.unwrap();
    assert_eq!(ran.succeeded().stdout, "there\n");
}

async fn started(stage: &Stage) -> String {
    stage.docker(&["inspect", "--format", "{{.State.StartedAt}} {{.RestartCount}}", "web"]).await.succeeded().stdout.clone()
}

/// The host's end of the only machine's network link.
fn link(stage: &Stage) -> String {
    let endpoint = stage.cloud.machine_endpoint().unwrap();
    let place = endpoint.trim_start_matches("http://").split('.').nth(2).unwrap().to_owned();
    let mut links = fs::read_dir(format!("/sys/class/net/dbcloud{place}/brif")).unwrap();
    let link = links.next().expect("a machine is on the bridge").unwrap();
    assert!(links.next().is_none(), "one machine");
    link.file_name().into_string().unwrap()
}

async fn set_link(link: &str, to: &str) {
    let mut command = tokio::process::Command::new("ip");
    command.args(["link", "set", link, to]);
    run(command, "").await.succeeded();
}

/// All processes of sshd on a machine, as this host numbers them.
fn login_services(server: u64) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let read = |process: i32, file: &str| fs::read_to_string(PathBuf::from(format!("/proc/{process}")).join(file)).unwrap_or_default();
    let found: Vec<Pid> = processes
        .filter(|process| read(*process, "comm").starts_with("sshd") && read(*process, "cgroup").contains(&format!("-{server}/")))
        .filter_map(Pid::from_raw)
        .collect();
    assert!(!found.is_empty(), "sshd runs on the machine");
    found
}

fn signal_all(processes: &[Pid], signal: Signal) {
    for process in processes {
        // A session may have ended meanwhile.
        let _ = kill_process(*process, signal);
    }
}
