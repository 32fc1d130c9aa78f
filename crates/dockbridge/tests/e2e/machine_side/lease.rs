//! The address is leased, and renewed although the machine cannot reach the metadata service.

use super::{BOOT, settled};
use crate::rig::{Stage, pass_over};

#[tokio::test]
async fn the_lease_of_the_address_is_renewed() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    settled(&stage).await;
    let first = acknowledged(&stage).await;
    assert!(
        first.is_some(),
        "no lease: {}",
        stage.on_machine("networkctl --json=pretty status host0").await
    );
    let closed = "ip route show type blackhole | grep -q 169.254.169.254 && ip -6 rule show to \
     fe80::a9fe:a9fe | grep -q prohibit";
    stage.on_machine(closed).await.succeeded();
    stage
        .eventually("the lease is renewed", BOOT, async || acknowledged(&stage).await > first)
        .await;
    daemon.stop().await;
    stage.close().await;
}

/// When the machine last got its lease, in microseconds since boot.
async fn acknowledged(stage: &Stage) -> Option<u64> {
    let status = stage.on_machine("networkctl --json=short status host0").await;
    let status: serde_json::Value = serde_json::from_str(&status.stdout).ok()?;
    status["DHCPv4Client"]["Lease"]["LeaseTimestampUSec"].as_u64()
}
