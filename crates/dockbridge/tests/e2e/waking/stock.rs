//! Orders that the cloud refuses: the ladder continues with the next type or location, and nothing
//! remains that was created for a refused one.

use super::{billed, only_server};
use crate::rig::{Stage, pass_over};

async fn wakes_after(faults: &[&str], expected: (&str, &str)) {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    for fault in faults {
        stage.control().post("faults", fault).await;
    }
    stage.docker(&["ps"]).await.succeeded();
    let (server_type, location) = only_server(&stage).await;
    assert_eq!((server_type.as_str(), location.as_str()), expected, "{}", stage.daemon_log());
    assert_eq!(stage.counts().await, (1, 1), "one volume, where the server is");
    assert_eq!(billed(&stage).await.len(), 1);
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn a_location_without_room_for_a_volume_is_passed_over() {
    let full = r#"{"kind": "no_space_left", "times": 9, "match": {"body": {"location": "fsn1"}}}"#;
    wakes_after(&[full], ("cx23", "nbg1")).await;
}

#[tokio::test]
async fn a_location_that_is_disabled_is_passed_over() {
    let disabled =
        r#"{"kind": "location_disabled", "times": 9, "match": {"body": {"location": "fsn1"}}}"#;
    wakes_after(&[disabled], ("cx23", "nbg1")).await;
}

#[tokio::test]
async fn a_type_that_was_withdrawn_is_passed_over() {
    let withdrawn =
        r#"{"kind": "type_deprecated", "times": 9, "match": {"body": {"server_type": "cx23"}}}"#;
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    stage.control().post("faults", withdrawn).await;
    stage.docker(&["ps"]).await.succeeded();
    let (server_type, _) = only_server(&stage).await;
    assert_ne!(server_type, "cx23");
    let stages = daemon.client().status().await.unwrap().phases;
    let details: Vec<&str> = stages.iter().filter_map(|stage| stage.detail.as_deref()).collect();
    let output = details.iter().any(|detail| {
        detail.contains(&server_type) && detail.contains("since cx23 is out of stock")
    });
    assert!(output, "the user hears of the far dearer type: {details:?}");
    daemon.stop().await;
    stage.close().await;
}
