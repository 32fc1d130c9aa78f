//! A new volume that another client of the profile has taken into use is never deleted.

use std::process::Stdio;
use std::time::Duration;

use hetzner::{Query, Volume};
use machine::HostKey;
use serde_json::json;
use tokio::process::Child;
use tokio::time::{Instant, sleep};

use crate::rig::{Daemon, Desk};

/// Polls until the daemon has created its volume and requested a server with it.
async fn volume_of_a_refused_server(desk: &Desk, selector: &str) -> Volume {
    let begun = Instant::now();
    loop {
        let state = desk.control().get("state").await;
        let volumes = desk.api.volumes().list(&Query::labels(selector)).await.unwrap();
        if let [volume] = volumes.as_slice()
            && state["faults"][0]["times"].as_u64() < Some(1_000)
        {
            return volume.clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "volumes {volumes:?}, state {state}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A wake that has created its volume and gets no server for it, as long as the faults stay.
async fn wake_without_a_server(desk: &Desk) -> (Daemon, Child, Volume) {
    desk.settings("hetzner: {server_types: [cpx22], locations: [fsn1]}\n");
    let locked = json!({
        "kind": "locked", "times": 1_000,
        "match": {"method": "POST", "path": "/v1/servers", "body": {"server_type": "cpx22"}},
    });
    desk.control().post("faults", &locked.to_string()).await;
    let daemon = desk.start().await;
    let mut wake = desk.command(env!("CARGO_BIN_EXE_dockbridge"));
    let wake = wake.arg("wake").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let selector = desk.identity("default").selector();
    (daemon, wake, volume_of_a_refused_server(desk, &selector).await)
}

#[tokio::test]
async fn volume_stays_if_another_client_is_faster_with_its_server() {
    let desk = Desk::new().await;
    let identity = desk.identity("default");
    // The daemon's requests for a server wait until the other client has created one.
    let (daemon, mut wake, volume) = wake_without_a_server(&desk).await;

    let mut labels = identity.labels("machine");
    let host_key = HostKey::generate().unwrap().fingerprint().to_label();
    labels.insert("dockbridge-host-key".to_owned(), host_key);
    let server = desk.make_server(&identity.name(), labels, vec![volume.id], true).await;
    desk.control().delete("faults").await;
    desk.dockbridge(&["server", "destroy"]).await.succeeded();

    assert!(!wake.wait().await.unwrap().success(), "the wake was called off");
    assert_eq!(desk.api.servers().get(server.id).await.unwrap(), None);
    let left = desk.api.volumes().get(volume.id).await.unwrap();
    assert_eq!(left.map(|volume| volume.server), Some(None), "the volume is kept");
    daemon.stop().await;
}

#[tokio::test]
async fn volume_stays_if_another_client_has_used_it_and_its_server_is_gone() {
    let desk = Desk::new().await;
    let identity = desk.identity("default");
    // The wake fails in the end, and the volume would be deleted with it.
    let (daemon, mut wake, volume) = wake_without_a_server(&desk).await;

    let labels = identity.labels("machine");
    let server = desk.make_server(&identity.name(), labels, vec![volume.id], true).await;
    let gone = desk.api.servers().delete(server.id).await.unwrap();
    desk.api.wait(gone.into_iter().collect()).await.unwrap();

    assert!(!wake.wait().await.unwrap().success(), "no server was created");
    let left = desk.api.volumes().get(volume.id).await.unwrap();
    assert_eq!(left.map(|volume| volume.server), Some(None), "{}", daemon.output());
    let kept = "the new volume is kept";
    assert!(daemon.output().contains(kept), "{}", daemon.output());
    daemon.stop().await;
}
