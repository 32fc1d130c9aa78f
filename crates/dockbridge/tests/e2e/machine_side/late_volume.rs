//! A late volume delays only docker: sshd and the agent do not wait for it. The volume comes when
//! the test says so.

use std::time::Duration;

use api::{MachineState, Phase};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::rig::{Daemon, Ran, Stage, pass_over, run_within};

/// Longer than any wait of this test or of the machine: the device comes because it is ordered.
const NEVER: Duration = Duration::from_secs(3_600);
/// Ceiling of each wait. A machine gives its volume up after 300 s.
const CEILING: Duration = Duration::from_secs(240);
/// Ceiling of a docker command that waits for machine and volume.
const LONGEST_WAKE: Duration = Duration::from_secs(600);
const STATE: &str = "cat /run/dockbridge/volume.state";

/// The next server's volume is attached, and its device comes with [`volume_comes`].
async fn keep_volume_back(stage: &Stage) {
    let fault = json!({
        "kind": "slow_attach",
        "delay_ms": NEVER.as_millis(),
        "match": {"path": "/v1/servers"},
    });
    stage.control().post("faults", &fault.to_string()).await;
}

async fn volume_comes(stage: &Stage) {
    let comes = async || stage.control().post("late_devices", "").await["devices"] == 1;
    stage.eventually("the volume is attached", CEILING, comes).await;
}

/// A docker command that needs the machine.
fn version(stage: &Stage) -> JoinHandle<Ran> {
    let mut docker = stage.command("docker");
    docker.env("DOCKER_HOST", format!("unix://{}", stage.socket().display())).arg("version");
    tokio::spawn(run_within(LONGEST_WAKE, docker, ""))
}

/// How long the wake has waited for docker.
async fn waits_for_docker(daemon: &Daemon) -> Duration {
    let status = daemon.client().status().await.unwrap();
    let last = status.phases.last().filter(|_| status.state == MachineState::Waking);
    let docker = last.filter(|phase| phase.phase == Some(Phase::Docker) && !phase.over);
    docker.map_or(Duration::ZERO, |phase| Duration::from_secs_f64(phase.seconds))
}

#[tokio::test]
async fn sshd_and_the_agent_answer_before_a_late_volume_and_docker_behind_it() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    keep_volume_back(&stage).await;
    let daemon = stage.start(&[]).await;
    let waiting = version(&stage);

    let look = format!(
        "{STATE}; ls /dev/disk/by-id; readlink /proc/[0-9]*/exe | grep -c ^/run/dockbridge/agent-"
    );
    let answers = async || stage.on_machine("true").await.status.success();
    stage.eventually("sshd answers", CEILING, answers).await;
    let state = stage.on_machine(&format!("{STATE}; ls /dev/disk/by-id 2>/dev/null")).await;
    assert_eq!(state.stdout, "waiting\n", "the volume is not there: {state}");
    let agent = async || {
        let state = stage.on_machine(&look).await;
        assert!(state.stdout.starts_with("waiting\n"), "the volume is not there: {state}");
        let count = state.stdout.lines().last().and_then(|count| count.parse::<u32>().ok());
        count.is_some_and(|count| count > 0)
    };
    stage.eventually("the agent runs", CEILING, agent).await;
    let waits = async || !waits_for_docker(&daemon).await.is_zero();
    stage.eventually("the wake waits for docker", CEILING, waits).await;
    assert!(!waiting.is_finished(), "docker answered without its volume");

    volume_comes(&stage).await;
    waiting.await.unwrap().succeeded();
    // A login may be refused while the host key is replaced.
    let ready = async || stage.on_machine(STATE).await.stdout == "ready\n";
    stage.eventually("the volume is ready", CEILING, ready).await;
    assert_eq!(stage.counts().await, (1, 1), "no second server was made");
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn a_volume_that_takes_longer_than_the_lease_costs_no_machine() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    keep_volume_back(&stage).await;
    let lease = Duration::from_secs(10);
    let daemon = stage
        .start(&[("DOCKBRIDGE_KEEPALIVE_TIMEOUT", "10s"), ("DOCKBRIDGE_KEEPALIVE_INTERVAL", "2s")])
        .await;
    let waiting = version(&stage);
    let outlived = async || waits_for_docker(&daemon).await > lease * 3;
    stage.eventually("three leases have passed without a volume", CEILING, outlived).await;
    volume_comes(&stage).await;
    waiting.await.unwrap().succeeded();
    let log = stage.daemon_log();
    assert_eq!(
        log.matches(": creating the server: ").count(),
        1,
        "the machine ended itself: {log}"
    );
    daemon.stop().await;
    stage.close().await;
}
