//! Each kind of loss: how soon a running call gets its error, that idle clients notice nothing, and
//! that the next call works.

use std::time::Duration;

use http_body_util::BodyExt as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, timeout};

use crate::rig::{LONGEST, Mode, Stage, docker_error};

/// What a test does to the path.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// The login ends; sshd goes on.
    LoginKilled,
    /// The agent's process ends; the SSH connection goes on.
    AgentKilled,
    /// The agent's process stands still.
    AgentStopped,
    /// Connections get no packets any more; new ones work.
    AddressChanged,
    /// Nothing passes for a while.
    NetworkCut,
}

impl Loss {
    async fn strike(self, stage: &Stage) {
        match self {
            Loss::LoginKilled => signal_all(&logins(stage), Signal::KILL),
            Loss::AgentKilled => signal_all(&agents(stage), Signal::KILL),
            Loss::AgentStopped => signal_all(&agents(stage), Signal::STOP),
            Loss::AddressChanged => stage.relay.strand(),
            Loss::NetworkCut => stage.relay.set(Mode::Silent),
        }
    }

    /// The kernel or SSH reports the loss; otherwise only the watchdog finds out.
    fn is_reported(self) -> bool {
        matches!(self, Loss::LoginKilled | Loss::AgentKilled)
    }
}

/// Processes of this sshd but the one that listens.
fn logins(stage: &Stage) -> Vec<i32> {
    stage.sshd.processes().split_off(1)
}

fn agents(stage: &Stage) -> Vec<i32> {
    let is_agent = |pid: &i32| {
        let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        program.to_string_lossy().contains("/remote/agent-")
    };
    let found: Vec<i32> = logins(stage).into_iter().filter(is_agent).collect();
    assert!(!found.is_empty(), "an agent runs");
    found
}

fn signal_all(processes: &[i32], signal: Signal) {
    for process in processes {
        // One process may have ended with another.
        let _ = kill_process(Pid::from_raw(*process).unwrap(), signal);
    }
}

/// What must hold for every kind of loss.
async fn survives(loss: Loss, with_agent: bool) {
    let Some(stage) = Stage::up(with_agent).await else { return };
    let mut idle = stage.client().await;
    assert_eq!(idle.ask("GET", "/v1.41/containers/json").await, (200, "[]".to_owned()));
    let mut running = stage.client().await;
    let running = tokio::spawn(async move { (running.ask("GET", "/slow").await, Instant::now()) });
    let mut following = stage.client().await;
    let mut events = following.open("GET", "/events").await.into_body();
    assert_eq!(events.frame().await.unwrap().unwrap().into_data().unwrap(), "{}\n");
    stage
        .until("the call goes on", |status| {
            status.tunnel.as_ref().is_some_and(|tunnel| tunnel.streams >= 3)
        })
        .await;

    let struck = Instant::now();
    loss.strike(&stage).await;
    let lost = stage
        .until("the loss is noticed", |status| {
            status.state != api::MachineState::Up
                || status.since_seconds < struck.elapsed().as_secs_f64()
        })
        .await;
    let (answer, failed) = timeout(LONGEST, running).await.expect("a running call ends").unwrap();
    assert!(docker_error(&answer).contains("the connection to the machine"), "{answer:?}");
    let failed = failed - struck;

    if let Loss::NetworkCut = loss {
        stage.relay.set(Mode::Passing);
    }
    let mended = Instant::now();
    // The same connection of the client as before, and a request that is never sent twice.
    assert_eq!(idle.ask("POST", "/v1.41/volumes/prune").await, (200, "[]".to_owned()));
    let recovered = if loss.is_reported() { struck } else { mended }.elapsed();
    eprintln!(
        "{loss:?}, {}: noticed after {:.2} s, the running call failed after {:.2} s, the next \
         answered {:.2} s after {}",
        if with_agent { "with agent" } else { "without agent" },
        lost.1.as_secs_f64(),
        failed.as_secs_f64(),
        recovered.as_secs_f64(),
        if loss.is_reported() { "it" } else { "it was asked" },
    );
    let limit = Duration::from_secs(if loss.is_reported() { 5 } else { 15 });
    assert!(failed < limit, "failed after {failed:?}");
    // The client that follows events noticed none of this, and goes on.
    let more = timeout(LONGEST, events.frame())
        .await
        .expect("the stream of events goes on")
        .unwrap()
        .unwrap();
    assert_eq!(more.into_data().unwrap(), "{}\n");
    let (status, _) = stage.until("it is up", |status| status.state == api::MachineState::Up).await;
    assert_remembered(&status);
    assert_eq!((status.reason, status.next_attempt_seconds), (None, None));
    stage.close().await;
}

/// The status has the loss, the checks before and after it, and what used the machine.
fn assert_remembered(status: &api::Status) {
    let end = status.reconnects.recent[0].end;
    assert!(status.reconnects.total >= 1, "{:?}", status.reconnects);
    assert_eq!(end, Some(api::LossEnd::Reconnected), "{:?}", status.reconnects);
    let is_there = |check, failed| {
        let mut checks = status.checks.iter();
        checks.any(|run| run.check == check && run.error.is_some() == failed)
    };
    for (check, failed) in [(api::CheckKind::Path, true), (api::CheckKind::Connect, false)] {
        assert!(is_there(check, failed), "{check}: {:?}", status.checks);
    }
    let used = |kind| status.activity.iter().find(|activity| activity.kind == kind);
    let commands = used(api::ActivityKind::Command).expect("commands have run");
    assert!(commands.bytes_received > 0 && !commands.recent.is_empty(), "{commands:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_login() {
    survives(Loss::LoginKilled, true).await;
    survives(Loss::LoginKilled, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_agent() {
    survives(Loss::AgentKilled, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_that_hangs() {
    survives(Loss::AgentStopped, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_address_with_agent() {
    survives(Loss::AddressChanged, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_address_without_agent() {
    survives(Loss::AddressChanged, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_network_with_agent() {
    survives(Loss::NetworkCut, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_network_without_agent() {
    survives(Loss::NetworkCut, false).await;
}

/// The path holds: the daemon does not reconnect, and a request meanwhile gets the error of a local
/// socket without a dockerd.
#[tokio::test(flavor = "multi_thread")]
async fn restarted_engine() {
    for with_agent in [true, false] {
        let Some(mut stage) = Stage::up(with_agent).await else { return };
        let mut idle = stage.client().await;
        assert_eq!(idle.ask("GET", "/v1.41/containers/json").await.0, 200);
        let mut running = stage.client().await;
        let running = tokio::spawn(async move { running.ask("GET", "/slow").await });
        stage
            .until("the call goes on", |status| {
                status.tunnel.as_ref().is_some_and(|tunnel| tunnel.streams >= 2)
            })
            .await;
        let since = Instant::now();
        stage.engine.stop();
        let answer = timeout(LONGEST, running).await.expect("a running call ends").unwrap();
        eprintln!(
            "engine stopped: the running call failed after {:.2} s",
            since.elapsed().as_secs_f64()
        );
        docker_error(&answer);
        let refused = docker_error(&idle.ask("GET", "/v1.41/containers/json").await);
        assert!(refused.contains("Is Docker running on the machine?"), "{refused}");
        stage.engine.restart();
        assert_eq!(idle.ask("POST", "/v1.41/volumes/prune").await.0, 200);
        let status = stage.status().await;
        assert!(
            status.state == api::MachineState::Up
                && status.since_seconds > since.elapsed().as_secs_f64(),
            "{status:?}"
        );
        stage.close().await;
    }
}
