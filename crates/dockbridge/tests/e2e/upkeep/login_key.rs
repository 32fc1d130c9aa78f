//! A login key is replaced while a machine runs: containers and connections stay, and in the end
//! the machine admits the new key alone.

use hetzner::Query;

use crate::rig::{Stage, pass_over};

const SETTINGS: (&str, &str) = ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "10m");
const ROTATE: [&str; 2] = ["key", "rotate"];

/// The keys that may log in, without their comments, and how many of them the labels name.
async fn admitted(stage: &Stage) -> (Vec<String>, usize) {
    let file = stage.on_machine("cat /root/.ssh/authorized_keys").await;
    let key = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
    let mut keys: Vec<String> = file.succeeded().stdout.lines().map(key).collect();
    keys.retain(|key| !key.is_empty());
    keys.sort();
    keys.dedup();
    let server = stage.api.servers().list(&Query::default()).await.unwrap().remove(0);
    let labels = server.labels.keys().filter(|label| label.starts_with("dockbridge-login"));
    (keys, labels.count())
}

#[tokio::test]
async fn a_login_key_is_replaced_while_a_machine_runs() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[SETTINGS]).await;
    stage.docker(&["ps"]).await.succeeded();
    let (before, labels) = admitted(&stage).await;
    assert_eq!((before.len(), labels), (1, 1), "{before:?}");

    // The daemon keeps its connection and its key.
    let ran = stage.dockbridge(&ROTATE).await;
    ran.succeeded().said(&[
        "admits it, and a login with it works.",
        "The former key stays admitted, because these daemons may use it",
    ]);
    let (both, labels) = admitted(&stage).await;
    assert_eq!((both.len(), labels), (2, 2), "{both:?}");
    assert!(both.contains(&before[0]), "{both:?}");
    stage.dockbridge(&["server", "ssh", "true"]).await.succeeded();
    stage.docker(&["ps"]).await.succeeded();

    // A daemon that starts now uses the new key, and the former one goes.
    daemon.stop().await;
    let daemon = stage.start(&[SETTINGS]).await;
    stage.docker(&["ps"]).await.succeeded();
    stage.dockbridge(&ROTATE).await.succeeded().said(&["Removed the former key: "]);
    let (after, labels) = admitted(&stage).await;
    assert_eq!((after.len(), labels), (1, 1), "{after:?}");
    assert_ne!(after, before);
    stage.dockbridge(&["server", "ssh", "true"]).await.succeeded();
    daemon.stop().await;
    let daemon = stage.start(&[SETTINGS]).await;
    stage.docker(&["ps"]).await.succeeded();
    let keys = stage.api.ssh_keys().list(&Query::default()).await.unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert_eq!(stage.counts().await.0, 1, "the same machine served all the time");
    daemon.stop().await;
    stage.close().await;
}
