//! How many requests of the project's limit a machine takes, counted by the cloud and with actions
//! of realistic duration: a project has 3,600 in an hour, for all its clients.

use std::time::Duration;

use local_cloud::Pace;

use crate::rig::{Stage, pass_over};

const MOST_FOR_A_WAKE: u64 = 25;
const MOST_FOR_A_DESTROY: u64 = 12;
/// Heartbeats and queries are watched while nothing happens.
const QUIET: u64 = 12;

/// All requests since the start, and by route.
async fn asked(stage: &Stage) -> (u64, String) {
    let requests = stage.look().await["requests"].clone();
    let total = requests
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, project)| project["total"].as_u64().unwrap())
        .sum();
    (total, requests.to_string())
}

async fn at_most(stage: &Stage, before: u64, most: u64, what: &str) -> u64 {
    let (now, routes) = asked(stage).await;
    eprintln!("{what}: {} requests", now - before);
    assert!(now - before <= most, "{what}: {} requests, in all {routes}", now - before);
    now
}

#[tokio::test]
async fn a_wake_a_quiet_machine_and_a_destroy_cost_few_requests() {
    let Some(stage) =
        Stage::with(|options| (options.pace, options.pace_seed) = (Pace::Real, Some(1))).await
    else {
        return pass_over();
    };
    let daemon = stage.start(&[("DOCKBRIDGE_KEEPALIVE_INTERVAL", "1s")]).await;
    let (before, _) = asked(&stage).await;
    assert!(before <= 4, "looking once at the start: {before}");

    for (wake, what) in [(1, "the first wake"), (2, "the second wake")] {
        let (before, _) = asked(&stage).await;
        stage.docker(&["ps"]).await.succeeded();
        let settled = || stage.daemon_log().matches("the machine is settled").count() == wake;
        stage
            .eventually("the host key is replaced", Duration::from_secs(30), async || settled())
            .await;
        let woken = at_most(&stage, before, MOST_FOR_A_WAKE, what).await;

        let seen = daemon.client().status().await.unwrap();
        stage
            .eventually(
                "the machine gets frequent heartbeats",
                Duration::from_secs(60),
                async || {
                    let report = daemon.client().status().await.unwrap();
                    report.since_seconds >= seen.since_seconds + QUIET as f64
                },
            )
            .await;
        at_most(&stage, woken, 0, "a quiet machine").await;

        let (before, _) = asked(&stage).await;
        stage.dockbridge(&["server", "destroy"]).await.succeeded();
        at_most(&stage, before, MOST_FOR_A_DESTROY, "a destroy").await;
    }
    daemon.stop().await;
    stage.close().await;
}
