//! The cost ledger holds each server that was created, with who ended it and why, and counts it
//! against the budget; a price that could not be read is read again.

use std::time::Duration;

use serde_json::{Value, json};

use super::billed;
use crate::rig::{Daemon, Stage, pass_over};

/// No new server starts, even when the cloud is asked again.
async fn no_server_starts(stage: &Stage) {
    stage.control().post("faults", r#"{"kind": "not_started", "times": 9}"#).await;
    let never = json!({
        "kind": "action_error",
        "times": 99,
        "match": {"path": "/v1/servers/*/actions/poweron"},
    });
    stage.control().post("faults", &never.to_string()).await;
}

async fn cost(stage: &Stage) -> Value {
    serde_json::from_str(&stage.dockbridge(&["cost", "--json"]).await.succeeded().stdout).unwrap()
}

/// Ids, started hours and price in millionths of each server.
fn servers(bill: &Value, price: &str) -> Vec<(u64, u64, i64)> {
    let each = bill["servers"].as_array().unwrap().iter();
    #[expect(clippy::cast_possible_truncation, reason = "prices are small")]
    let micros = |price: &Value| (price.as_f64().unwrap() * 1e6).round() as i64;
    let mut all: Vec<_> = each
        .map(|server| {
            (
                server["id"].as_u64().unwrap(),
                server["hours"].as_u64().unwrap(),
                micros(&server[price]),
            )
        })
        .collect();
    all.sort_unstable();
    all
}

async fn equal_to_the_clouds(stage: &Stage, count: usize) {
    let (own, theirs) = (cost(stage).await, stage.control().get("bill").await);
    let theirs = theirs.as_object().unwrap().values().next().unwrap();
    assert_eq!(servers(&own, "cost"), servers(theirs, "net"), "{own}\n{theirs}");
    assert_eq!(servers(&own, "cost").len(), count, "{own}");
}

async fn is_not_up(daemon: &Daemon) -> bool {
    daemon.client().status().await.is_ok_and(|status| status.state == api::MachineState::Failed)
}

#[tokio::test]
async fn servers_that_never_came_up_are_billed_and_counted_against_the_budget() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    no_server_starts(&stage).await;
    stage.docker(&["ps"]).await.failed_with("3 new servers in a row did not come up");
    assert!(is_not_up(&daemon).await);
    equal_to_the_clouds(&stage, 3).await;
    let bill = cost(&stage).await;
    for server in bill["servers"].as_array().unwrap() {
        assert_eq!(server["end"]["actor"], "daemon", "{bill}");
        assert!(server["end"]["reason"].as_str().is_some_and(|why| !why.is_empty()), "{bill}");
    }
    daemon.stop().await;

    // The budget allows two more hours; the attempt ends before the third.
    let spent = cost(&stage).await["total"].as_f64().unwrap();
    let budget = format!("{:.4}", spent + 0.0096 * 2.5);
    let daemon = stage.start(&[("DOCKBRIDGE_ACTIVITY_BUDGET", &budget)]).await;
    stage.docker(&["ps"]).await.failed_with("another hour would exceed this month's budget");
    equal_to_the_clouds(&stage, 5).await;
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn a_price_that_could_not_be_read_is_read_again() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    stage
        .control()
        .post(
            "faults",
            r#"{"kind": "server_error", "times": 999, "match": {"path": "/v1/pricing"}}"#,
        )
        .await;
    stage.docker(&["ps"]).await.succeeded();
    let hourly = async || daemon.client().status().await.unwrap().machine.unwrap();
    assert_eq!(hourly().await.currency, None, "the price list cannot be read");
    stage.control().delete("faults").await;
    stage
        .eventually("it is read again", Duration::from_secs(60), async || {
            hourly().await.currency.is_some()
        })
        .await;
    equal_to_the_clouds(&stage, 1).await;
    assert_eq!(billed(&stage).await.len(), 1);
    daemon.stop().await;
    stage.close().await;
}
