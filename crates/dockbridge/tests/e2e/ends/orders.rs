//! An order of the user while a machine is being created: it wins over waiting requests, the wake
//! ends cleanly, and afterwards nothing costs money except what is named.

use std::time::Duration;

use local_cloud::Pace;
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::billed;
use crate::rig::{Daemon, Ran, Stage, pass_over, run};

/// What the user types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    ServerDestroy,
    StopDestroy,
    Stop,
    Interrupt,
}

const LOOKING_UP: &str = "looking up what there is";
const STAGES: [&str; 4] = [LOOKING_UP, "creating the server", "booting", "starting docker"];
/// Ceiling of a successful wake.
const SOON: Duration = Duration::from_secs(90);
/// Waiting requests are answered at once.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// Requests that wait for a machine, as from another terminal.
struct Waiting {
    docker: JoinHandle<Ran>,
    wake: JoinHandle<Ran>,
}

impl Waiting {
    fn begin(stage: &Stage) -> Self {
        let mut docker = stage.command("docker");
        docker.env("DOCKER_HOST", format!("unix://{}", stage.socket().display())).arg("ps");
        let mut wake = stage.command(env!("CARGO_BIN_EXE_dockbridge"));
        wake.arg("wake");
        Self {
            docker: tokio::spawn(async { run(docker, "").await }),
            wake: tokio::spawn(async { run(wake, "").await }),
        }
    }

    async fn are_refused(self, what: &str, stage: &Stage) {
        for (name, waiting) in [("docker", self.docker), ("wake", self.wake)] {
            let ran = timeout(ANSWERED_WITHIN, waiting).await;
            let ran = ran
                .unwrap_or_else(|_| panic!("{what}: {name} still waits\n{}", stage.daemon_log()))
                .unwrap();
            assert!(!ran.status.success(), "{what}: {ran}");
            eprintln!("    {name}: {}", ran.stderr.trim());
        }
    }
}

/// Gives the order, and waits until it is carried out. Returns its output.
async fn give(order: Order, stage: &Stage, daemon: &mut Daemon) -> String {
    let arguments: &[&str] = match order {
        Order::ServerDestroy => &["server", "destroy"],
        Order::StopDestroy => &["stop", "--destroy"],
        Order::Stop => &["stop"],
        Order::Interrupt => {
            let pid = Pid::from_raw(i32::try_from(daemon.id()).unwrap()).unwrap();
            kill_process(pid, Signal::INT).unwrap();
            timeout(SOON, daemon.child().wait()).await.expect("the daemon ends").unwrap();
            return String::new();
        }
    };
    stage.dockbridge(arguments).await.succeeded().stdout.clone()
}

/// Gives the order while the wake is at a stage, then checks what costs money.
async fn wins(stage: &Stage, order: Order, at: &str, before: usize) -> usize {
    let what = format!("{order:?} while {at}");
    let mut daemon = stage.start(&[]).await;
    if at == LOOKING_UP {
        // Otherwise this stage takes no time.
        let slow = r#"{
            "kind": "unavailable_503",
            "times": 1,
            "delay_ms": 3000,
            "match": {"path": "/v1/server_types"}
        }"#;
        stage.control().post("faults", slow).await;
    }
    let waiting = Waiting::begin(stage);
    let is_there = async || {
        let status = daemon.client().status().await;
        status.is_ok_and(|status| {
            status.phases.last().is_some_and(|phase| phase.words == at && !phase.over)
        })
    };
    stage.eventually(&what, SOON, is_there).await;
    let client = daemon.client();
    let (output, ()) =
        tokio::join!(give(order, stage, &mut daemon), waiting.are_refused(&what, stage));
    let (servers, volumes) = stage.counts().await;
    let ever = billed(stage).await.len();
    eprintln!("{what}: {ever} servers so far, {volumes} volumes; {output}");
    assert_eq!(servers, 0, "{what}: nothing bills\n{}", stage.daemon_log());
    assert!(
        ever <= before + 1,
        "{what}: no second server was bought: {ever}\n{}",
        stage.daemon_log()
    );
    let is_running = client.status().await.is_ok();
    assert_eq!(is_running, order == Order::ServerDestroy, "{what}: whether the daemon goes on");
    if is_running {
        daemon.stop().await;
    }
    // No waiting request creates a machine afterwards.
    assert_eq!(billed(stage).await.len(), ever, "{what}");
    ever
}

/// At two stages, or at all of them with `DOCKBRIDGE_TEST_ORDERS=all`.
async fn at_stages(order: Order, two: [usize; 2]) {
    let Some(stage) =
        Stage::with(|options| (options.pace, options.pace_seed) = (Pace::Real, Some(1))).await
    else {
        return pass_over();
    };
    let all = std::env::var("DOCKBRIDGE_TEST_ORDERS").is_ok_and(|orders| orders == "all");
    let stages = if all { vec![0, 1, 2, 3] } else { two.to_vec() };
    let mut ever = 0;
    for at in stages {
        ever = wins(&stage, order, STAGES[at], ever).await;
    }
    assert!(ever >= 1, "servers were created before the order: {ever}");
    stage.close().await;
}

#[tokio::test]
async fn a_destroy_wins_over_a_wake_at_any_stage() {
    at_stages(Order::ServerDestroy, [0, 2]).await;
}

#[tokio::test]
async fn a_stop_with_destroy_wins_over_a_wake_at_any_stage() {
    at_stages(Order::StopDestroy, [1, 3]).await;
}

#[tokio::test]
async fn a_stop_wins_over_a_wake_at_any_stage() {
    at_stages(Order::Stop, [0, 3]).await;
}

#[tokio::test]
async fn an_interrupt_wins_over_a_wake_at_any_stage() {
    at_stages(Order::Interrupt, [1, 2]).await;
}
