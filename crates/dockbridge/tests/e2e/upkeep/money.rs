//! Polling costs nothing, the bill is the cloud's own, and a budget is kept.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::rig::{Stage, pass_over};

/// A machine is deleted 3 s after the last activity.
const SETTINGS: [(&str, &str); 4] = [
    ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "2s"),
    ("DOCKBRIDGE_ACTIVITY_CONNECTION_TIMEOUT", "2s"),
    ("DOCKBRIDGE_ACTIVITY_GRACE_PERIOD", "1s"),
    ("DOCKBRIDGE_KEEPALIVE_INTERVAL", "1s"),
];

#[tokio::test]
async fn a_polling_client_costs_nothing_the_bill_is_the_clouds_own_and_a_budget_is_kept() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&SETTINGS).await;
    polling_keeps_no_machine_and_wakes_none(&stage).await;
    daemon.stop().await;
    the_bill_is_the_clouds_own(&stage, 1).await;

    // Another hour costs 0.0096, and 12 thousandths are left.
    let spent = cost(&stage).await["total"].as_f64().unwrap();
    let budget = format!("{:.4}", spent + 0.012);
    let daemon = stage
        .start(&[SETTINGS.as_slice(), &[("DOCKBRIDGE_ACTIVITY_BUDGET", budget.as_str())]].concat())
        .await;
    let image = stage.directory.path().join("missing");
    stage.docker(&["inspect", image.to_str().unwrap()]).await.failed_with("o such object");
    assert_eq!(stage.counts().await, (1, 1), "there is money for one hour");
    let output: Value =
        serde_json::from_str(&stage.dockbridge(&["why", "--json"]).await.succeeded().stdout)
            .unwrap();
    let warning = output["warnings"][0]["message"].as_str().unwrap_or_default();
    assert!(warning.ends_with("% of this month's budget are spent"), "{output}");
    let percent: u64 = warning.split(' ').next().unwrap().parse().unwrap();
    assert!((80..=100).contains(&percent), "{output}");
    assert_eq!(
        output["endings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|ending| ending["cause"] == "budget")
            .count(),
        1,
        "{output}"
    );
    stage
        .eventually("it goes when nobody uses it", Duration::from_secs(60), async || {
            stage.counts().await == (0, 1)
        })
        .await;

    let refused = stage.docker(&["volume", "ls"]).await;
    refused
        .failed_with("another hour would exceed this month's budget: ")
        .failed_with("raise activity.budget, or wait for the next month");
    assert_eq!(stage.counts().await, (0, 1), "none was made");
    let words = stage.dockbridge(&["why"]).await;
    assert!(
        words.succeeded().stdout.contains("another hour would exceed this month's budget"),
        "{words}"
    );
    daemon.stop().await;
    the_bill_is_the_clouds_own(&stage, 2).await;
    stage.close().await;
}

async fn polling_keeps_no_machine_and_wakes_none(stage: &Stage) {
    let poll = async || {
        let listed = stage.docker(&["ps", "--all", "--format", "{{.Names}}"]).await;
        listed.succeeded();
        sleep(Duration::from_millis(500)).await;
    };
    poll().await;
    assert_eq!(stage.counts().await, (1, 1), "the first could be a user's");
    let begun = Instant::now();
    while stage.counts().await != (0, 1) {
        assert!(
            begun.elapsed() < Duration::from_secs(90),
            "who polls keeps the machine: {}",
            stage.daemon_log()
        );
        poll().await;
    }
    // Well beyond the time that creating a machine takes.
    for _ in 0..10 {
        poll().await;
        assert_eq!(stage.counts().await, (0, 1), "who polls wakes a machine");
    }
}

/// Hours and price of each server as billed; the volume's price, and its hours since its first
/// machine was seen.
async fn the_bill_is_the_clouds_own(stage: &Stage, servers: usize) {
    let (own, theirs) = (cost(stage).await, stage.control().get("bill").await);
    let theirs = theirs.as_object().unwrap().values().next().unwrap();
    let of = |bill: &Value, fields: [&str; 3]| -> Vec<(u64, u64, u64)> {
        let micros = |price: &Value| (price.as_f64().unwrap() * 1e6).round() as u64;
        let each = bill["servers"].as_array().unwrap().iter();
        each.map(|server| {
            (
                server[fields[0]].as_u64().unwrap(),
                server[fields[1]].as_u64().unwrap(),
                micros(&server[fields[2]]),
            )
        })
        .collect()
    };
    assert_eq!(
        of(&own, ["id", "hours", "cost"]),
        of(theirs, ["id", "hours", "net"]),
        "{own}\n{theirs}"
    );
    assert_eq!(own["servers"].as_array().unwrap().len(), servers, "{own}");
    let (own, theirs) = (&own["volumes"], &theirs["volumes"]);
    assert_eq!(
        (own.as_array().unwrap().len(), theirs.as_array().unwrap().len()),
        (1, 1),
        "{own}\n{theirs}"
    );
    for field in ["id", "size", "hours"] {
        assert_eq!(own[0][field], theirs[0][field], "{field}: {own}\n{theirs}");
    }
    assert!(
        (own[0]["monthly"].as_f64().unwrap() - theirs[0]["monthly"].as_f64().unwrap()).abs() < 1e-6,
        "{own}\n{theirs}"
    );
}

async fn cost(stage: &Stage) -> Value {
    serde_json::from_str(&stage.dockbridge(&["cost", "--json"]).await.succeeded().stdout).unwrap()
}
