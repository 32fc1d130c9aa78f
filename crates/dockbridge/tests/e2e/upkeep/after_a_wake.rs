//! Containers that ran on the last machine run on the next one: by their restart policy, or all of
//! them, unless the user disables it. A container that the user stopped stays down.

use std::collections::BTreeSet;
use std::time::Duration;

use hetzner::ServerStatus;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::rig::{Daemon, Stage, pass_over};

const SETTINGS: (&str, &str) = ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "10m");
const BY_POLICY: (&str, &str) = ("DOCKBRIDGE_ACTIVITY_RESUME", "false");

/// It obeys SIGTERM and exits with 0: `on-failure` alone would not restart it.
const POLITE: &str = "trap 'exit 0' TERM; while :; do sleep 0.1; done";
const SERVING: &str = "nc -ll -p 7 -e echo at your service";

const WITH_POLICY: [&str; 3] = ["always", "unless", "polite"];

#[tokio::test]
async fn running_containers_run_after_a_wake_and_stopped_ones_do_not() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[SETTINGS, BY_POLICY]).await;
    stage.make_image("tiny").await;
    runs(&stage, "always", &["--restart", "always", "-p", "28417:7"], SERVING).await;
    runs(&stage, "unless", &["--restart", "unless-stopped"], "sleep 600").await;
    runs(&stage, "polite", &["--restart", "on-failure"], POLITE).await;
    runs(&stage, "plain", &[], "sleep 600").await;
    runs(&stage, "stopped", &["--restart", "unless-stopped"], "sleep 600").await;
    runs(&stage, "removed", &["--rm"], "sleep 600").await;
    stage.docker(&["stop", "stopped"]).await.succeeded();

    goes(&stage, &daemon).await;
    // The first command after the wake sees them as if they had never stopped.
    assert_eq!(running(&stage).await, names(&WITH_POLICY));
    let seen = "{{.State.Status}} {{.State.Running}} {{.State.Restarting}} {{.State.ExitCode}} \
     {{.RestartCount}}";
    for name in WITH_POLICY {
        let output = stage.docker(&["inspect", "--format", seen, name]).await;
        assert_eq!(output.succeeded().stdout, "running true false 0 0\n", "{name}");
    }
    stage
        .eventually("its port answers", Duration::from_secs(20), async || answers(28417).await)
        .await;
    assert_eq!(
        stage.docker(&["exec", "unless", "echo", "here"]).await.succeeded().stdout,
        "here\n"
    );
    daemon.stop().await;

    let daemon = stage.start(&[SETTINGS]).await;
    stage.docker(&["start", "plain"]).await.succeeded();
    let everything = names(&["always", "unless", "polite", "plain"]);
    goes(&stage, &daemon).await;
    assert_eq!(running(&stage).await, everything);

    // A machine that has lost its power released nothing: the engine's own state says what ran.
    let server = stage.api.servers().list(&hetzner::Query::default()).await.unwrap().remove(0).id;
    // A login may fall into the moment in which the host key is replaced.
    stage
        .eventually("the engine's books are on the disk", Duration::from_secs(20), async || {
            stage.on_machine("sync").await.status.success()
        })
        .await;
    stage.control().post(&format!("servers/{server}/power_cut"), "").await;
    let status =
        async || stage.api.servers().get(server).await.unwrap().map(|server| server.status);
    stage
        .eventually("it is off or gone", Duration::from_secs(20), async || {
            !matches!(status().await, Some(ServerStatus::Running))
        })
        .await;
    stage
        .eventually("the machine is asked for again", Duration::from_secs(60), async || {
            stage.docker(&["volume", "ls"]).await.status.success()
        })
        .await;
    let servers = stage.api.servers().list(&hetzner::Query::default()).await.unwrap();
    assert_eq!(
        servers.first().map(|server| server.id),
        Some(server),
        "a young machine is started: its hour is paid"
    );
    assert_eq!(running(&stage).await, everything);
    daemon.stop().await;
    stage.close().await;
}

async fn runs(stage: &Stage, name: &str, options: &[&str], script: &str) {
    let begin = ["run", "--detach", "--stop-timeout", "1", "--name", name];
    stage.docker(&[&begin, options, &["tiny", "sh", "-c", script]].concat()).await.succeeded();
}

/// Cleanly, as after idleness.
async fn goes(stage: &Stage, daemon: &Daemon) {
    daemon.client().destroy().await.unwrap();
    assert_eq!(stage.counts().await, (0, 1));
}

async fn running(stage: &Stage) -> BTreeSet<String> {
    let listed = stage.docker(&["ps", "--format", "{{.Names}}"]).await;
    listed.succeeded().stdout.lines().map(str::to_owned).collect()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn answers(port: u16) -> bool {
    let Ok(mut connection) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let mut said = String::new();
    let reading = connection.read_to_string(&mut said);
    matches!(tokio::time::timeout(Duration::from_secs(5), reading).await, Ok(Ok(_)))
        && said == "at your service\n"
}
