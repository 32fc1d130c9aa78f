//! Settings that change while a machine runs.

use std::time::Duration;

use hetzner::Query;

use crate::rig::{Stage, pass_over};

#[tokio::test]
async fn machine_ends_by_a_changed_idle_timeout_and_the_next_one_has_the_changed_type() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let directory = stage.directory.path().join("home/config");
    std::fs::create_dir_all(&directory).unwrap();
    let settings = "activity: {idle_timeout: none, grace_period: 1s}\n";
    std::fs::write(directory.join("config.yaml"), settings).unwrap();
    let daemon = stage.start(&[]).await;
    let server_type = async || {
        let servers = stage.api.servers().list(&Query::default()).await.unwrap();
        servers.first().map(|server| server.server_type.name.clone())
    };
    stage.docker(&["ps"]).await.succeeded();
    assert_eq!(server_type().await.as_deref(), Some("cx23"));
    let set = async |key: &str, value: &str| {
        stage.dockbridge(&["config", "set", key, value]).await.succeeded();
    };
    set("hetzner.server_types", "cpx22").await;
    set("keepalive.self_destruct", "power-off").await;
    set("activity.idle_timeout", "2s").await;
    stage
        .eventually("the idle machine is gone", Duration::from_secs(60), async || {
            stage.counts().await == (0, 1)
        })
        .await;
    stage.docker(&["ps"]).await.succeeded();
    assert_eq!(server_type().await.as_deref(), Some("cpx22"));
    let status = stage.dockbridge(&["status"]).await;
    status.succeeded().said(&["keepalive.self_destruct"]);
    daemon.stop().await;
    stage.close().await;
}
