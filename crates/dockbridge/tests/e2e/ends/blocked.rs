//! A network that blocks TCP 22 while the cloud's API answers.

use std::time::Duration;

use local_cloud::Pace;

use super::network::{Block, Network};
use super::{billed, only_server};
use crate::rig::{Ran, Stage, pass_over};

/// The cause is reported within this time.
const SAID_WITHIN: Duration = Duration::from_secs(30);
const CAUSE: &str = "this network blocks outgoing TCP port 22";

async fn stage() -> Option<(Stage, Network)> {
    let stage =
        Stage::with(|options| (options.pace, options.pace_seed) = (Pace::Real, Some(1))).await?;
    let network = Network::new(&stage).await;
    Some((stage, network))
}

/// A docker command that fails with the cause, in time.
async fn is_reported(stage: &Stage, how: &str) -> Ran {
    let output = stage.docker(&["ps"]).await;
    output.failed_with(CAUSE);
    assert!(output.took < SAID_WITHIN, "{how}: {output}\n{}", stage.daemon_log());
    eprintln!("{how}: said after {:.1} s", output.took.as_secs_f64());
    output
}

#[tokio::test]
async fn a_pinned_machine_and_its_job_outlive_a_network_that_blocks_port_22() {
    let Some((stage, network)) = stage().await else { return pass_over() };
    let daemon = network.start(&stage, &[]).await;
    stage.dockbridge(&["pin", "--for", "30m"]).await.succeeded();
    stage.make_image("tiny").await;
    stage.docker(&["run", "--detach", "--name", "job", "tiny", "sleep", "3600"]).await.succeeded();
    let job = ["inspect", "--format", "{{.State.StartedAt}}", "job"];
    let (server, started) =
        (only_server(&stage).await, stage.docker(&job).await.succeeded().stdout.clone());

    for how in [Block::Drop, Block::Reset, Block::Prohibited] {
        network.block(how).await;
        let lost = async || {
            daemon.client().status().await.is_ok_and(|status| status.state != api::MachineState::Up)
        };
        stage.eventually("the loss is noticed", SAID_WITHIN, lost).await;
        let output = is_reported(&stage, &format!("{how:?}")).await;
        output.failed_with("the server runs and is kept");
        let status = daemon.client().status().await.unwrap();
        assert!(status.reason.as_ref().is_some_and(|reason| reason.contains(CAUSE)), "{status:?}");
        assert_eq!(only_server(&stage).await, server, "{how:?}: the machine is kept");
        network.open().await;
        stage
            .eventually("the machine is found again", Duration::from_secs(60), async || {
                stage.docker(&job).await.stdout == started
            })
            .await;
    }
    assert_eq!(
        (billed(&stage).await, only_server(&stage).await),
        (vec![server], server),
        "nothing was bought"
    );
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn nothing_is_bought_in_a_network_that_blocks_port_22() {
    let Some((stage, network)) = stage().await else { return pass_over() };
    let daemon = network.start(&stage, &[]).await;
    network.block(Block::Drop).await;
    let output = is_reported(&stage, "no machine").await;
    output.failed_with("no server was created, and nothing was spent");
    output.failed_with("use another network or a VPN");
    assert_eq!(billed(&stage).await, Vec::<u64>::new());
    network.open().await;
    // The verdict is reused for a moment, because one docker command makes several requests.
    stage.dockbridge(&["wake"]).await.succeeded();
    stage.docker(&["ps"]).await.succeeded();
    assert_eq!(billed(&stage).await.len(), 1);
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn a_server_that_becomes_unreachable_while_it_boots_is_the_only_one_and_is_used_later() {
    let Some((stage, network)) = stage().await else { return pass_over() };
    let daemon = network.start(&stage, &[]).await;
    let waiting = tokio::spawn(crate::rig::run(
        {
            let mut command = stage.command("docker");
            command.env("DOCKER_HOST", format!("unix://{}", stage.socket().display())).arg("ps");
            command
        },
        "",
    ));
    stage
        .eventually("a server is created", SAID_WITHIN, async || billed(&stage).await.len() == 1)
        .await;
    network.block(Block::Drop).await;
    let blocked = tokio::time::Instant::now();
    let output = waiting.await.unwrap();
    output.failed_with(CAUSE);
    output.failed_with("the server was created and is billed for its started hour (");
    let said = blocked.elapsed();
    eprintln!("said {:.1} s after the port was blocked", said.as_secs_f64());
    assert!(said < SAID_WITHIN, "{output}\n{}", stage.daemon_log());
    let server = only_server(&stage).await;
    network.open().await;
    stage.dockbridge(&["wake"]).await.succeeded();
    stage.docker(&["ps"]).await.succeeded();
    assert_eq!((only_server(&stage).await, billed(&stage).await), (server, vec![server]));
    daemon.stop().await;
    stage.close().await;
}
