//! A server that is not started with its creation, or is seen off during its start, is started or
//! waited for. It is paid for: another one would cost another hour.

use super::billed;
use crate::rig::{Stage, pass_over};

async fn wakes_with_one_server(fault: &str) {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    stage.control().post("faults", &format!(r#"{{"kind": {fault}, "times": 1}}"#)).await;
    stage.docker(&["ps"]).await.succeeded();
    let log = stage.daemon_log();
    assert_eq!(billed(&stage).await.len(), 1, "{fault}: one server was made\n{log}");
    assert_eq!(stage.look().await["faults"], serde_json::json!([]), "the fault was met");
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn a_server_that_the_cloud_fails_to_start_is_started_by_dockbridge() {
    wakes_with_one_server(r#""not_started""#).await;
}

#[tokio::test]
async fn a_server_that_the_cloud_leaves_off_is_started_by_dockbridge() {
    wakes_with_one_server(r#""left_off""#).await;
}

#[tokio::test]
async fn a_server_that_is_off_for_a_while_during_its_start_is_waited_for() {
    wakes_with_one_server(r#""starts_late", "delay_ms": 4000"#).await;
}
