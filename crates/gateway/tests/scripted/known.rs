//! What is answered without the engine, and what counts as activity.

use lifecycle::Kind;

use crate::rig::{rig, rig_with};

#[tokio::test]
async fn a_command_is_activity_until_its_answer_has_ended() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("POST /v1.41/images/create?fromImage=a HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n").await;
    client.until("{}\r\n").await;
    let live = rig.activity.snapshot().live;
    assert!(matches!(&live[..], [live] if live.kind == Kind::Transfer && live.source == "POST /images/create"), "{live:?}");
    engine.send("0\r\n\r\n").await;
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
}

#[tokio::test]
async fn ping_and_version_are_answered_here_once_known_and_are_no_activity() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("engine.json");
    let headers = "Api-Version: 1.41\r\nBuilder-Version: 1\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: Docker/20.10\r\n";
    let version = r#"{"ApiVersion":"1.41","MinAPIVersion":"1.12"}"#;
    {
        let mut rig = rig_with(gateway::Knowledge::load(&path));
        let mut client = rig.client().await;
        client.send("HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n").await;
        let mut engine = rig.engine().await;
        engine.head().await;
        engine.send(&format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\nContent-Type: text/plain\r\n\r\n")).await;
        client.head().await;
        client.send("GET /version HTTP/1.1\r\nHost: d\r\n\r\n").await;
        engine.head().await;
        engine.send(&format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{version}", version.len())).await;
        client.until(version).await;
    }
    let mut rig = rig_with(gateway::Knowledge::load(&path));
    let mut client = rig.client().await;
    client.send("HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let head = client.head().await;
    for line in headers.lines() {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line:?} in {head}");
    }
    client.send("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n").await;
    client.until("\r\n\r\nOK").await;
    client.send("GET /v1.41/version HTTP/1.1\r\nHost: d\r\n\r\n").await;
    client.until(version).await;
    assert!(rig.asks_no_more());
    assert_eq!(rig.activity.snapshot(), lifecycle::Snapshot::default());
}
