//! A locked screen, reported by logind's interface on a real message bus.

use std::time::Duration;

use serde_json::Value;

use super::bus::Bus;
use super::listener::Listener;
use crate::rig::{Stage, pass_over};

const GRACE: Duration = Duration::from_secs(6);
const LONGEST: Duration = Duration::from_secs(60);

async fn lock_ending(stage: &Stage) -> Option<Value> {
    let output: Value =
        serde_json::from_str(&stage.dockbridge(&["why", "--json"]).await.succeeded().stdout)
            .unwrap();
    output["endings"].as_array().unwrap().iter().find(|ending| ending["cause"] == "lock").cloned()
}

#[tokio::test]
async fn a_lock_ends_the_machine_after_the_grace_and_unlocking_within_it_cancels() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let Some(bus) = Bus::with_logind().await else { return stage.close().await };
    let session = bus.session("c1", rustix::process::getuid().as_raw()).await;
    let lock =
        async |locked: &str| bus.call_session(&session, "SetLockedHint", "b", &[locked]).await;
    let mut desktop = Listener::at(bus.address()).await;
    let grace = format!("{}s", GRACE.as_secs());
    let settings = [
        ("DBUS_SYSTEM_BUS_ADDRESS", bus.address()),
        ("DBUS_SESSION_BUS_ADDRESS", bus.address()),
        ("DOCKBRIDGE_LOCK_GRACE", &grace),
        ("DOCKBRIDGE_ACTIVITY_KEEP_PAID_HOUR", "true"),
    ];
    let daemon = stage.start(&settings).await;
    stage.docker(&["ps"]).await.succeeded();
    assert_eq!(stage.counts().await, (1, 1));

    lock("true").await;
    stage
        .eventually("the lock is heard", GRACE, async || lock_ending(&stage).await.is_some())
        .await;
    lock("false").await;
    stage
        .eventually("the unlock is heard", GRACE, async || lock_ending(&stage).await.is_none())
        .await;
    let unlocked = tokio::time::Instant::now();
    while unlocked.elapsed() < GRACE + Duration::from_secs(2) {
        assert_eq!(
            daemon.client().status().await.unwrap().state,
            api::MachineState::Up,
            "it is kept after the unlock"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    lock("true").await;
    let locked = tokio::time::Instant::now();
    stage.eventually("the machine is gone", LONGEST, async || stage.counts().await == (0, 1)).await;
    assert!(locked.elapsed() >= GRACE, "not before the grace is over: {:?}", locked.elapsed());
    let reason = daemon.client().status().await.unwrap().reason.unwrap_or_default();
    assert!(reason.starts_with("the screen has been locked for "), "{reason}");
    // On a slow host, notices of the wake come first.
    let mut notice = desktop.next(LONGEST).await;
    while notice.summary != "dockbridge: the machine is gone" {
        notice = desktop.next(LONGEST).await;
    }
    let (why, cost) = notice.body.split_once(". It cost ").unwrap();
    assert_eq!(why.to_lowercase(), reason.to_lowercase());
    assert!(cost.starts_with("0.0") && cost.ends_with(" EUR, net."), "{notice:?}");
    daemon.stop().await;
    stage.close().await;
}
