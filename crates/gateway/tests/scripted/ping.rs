//! `/_ping` and `/version` without the engine, and what counts as activity.

use lifecycle::Kind;

use crate::rig::{rig, rig_with};

#[tokio::test]
async fn command_is_activity_until_its_response_has_ended() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client
        .send(
            "POST /v1.41/images/create?fromImage=a HTTP/1.1\r\nHost: d\r\nContent-Length: \
                0\r\n\r\n",
        )
        .await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n").await;
    client.until("{}\r\n").await;
    let live = rig.activity.snapshot().live;
    let [only] = &live[..] else { panic!("{live:?}") };
    assert_eq!((only.kind, only.source.as_str()), (Kind::Transfer, "POST /images/create"));
    engine.send("0\r\n\r\n").await;
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
}

#[tokio::test]
async fn ping_and_version_are_answered_from_the_cache_and_are_no_activity() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("engine.json");
    let headers = "Api-Version: 1.41\r\nBuilder-Version: 1\r\nDocker-Experimental: \
        false\r\nOstype: linux\r\nServer: Docker/20.10\r\n";
    let version = r#"{"ApiVersion":"1.41","MinAPIVersion":"1.12"}"#;
    {
        let mut rig = rig_with(dockbridge_gateway::EngineIdentity::load(&path));
        let mut client = rig.client().await;
        client.send("HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n").await;
        let mut engine = rig.engine().await;
        engine.head().await;
        engine
            .send(&format!(
                "HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\nContent-Type: text/plain\r\n\r\n"
            ))
            .await;
        client.head().await;
        client.send("GET /version HTTP/1.1\r\nHost: d\r\n\r\n").await;
        engine.head().await;
        engine
            .send(&format!(
                "HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n{version}",
                version.len()
            ))
            .await;
        client.until(version).await;
    }
    let mut rig = rig_with(dockbridge_gateway::EngineIdentity::load(&path));
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

#[tokio::test]
async fn version_offered_by_the_last_engine_is_lowered_for_an_older_one() {
    let identity = dockbridge_gateway::EngineIdentity::empty();
    let mut rig = rig_with(identity.clone());
    let mut client = rig.client().await;
    client.send("HEAD /_ping HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut newer = rig.engine().await;
    newer.head().await;
    newer
        .send(
            "HTTP/1.1 200 OK\r\nApi-Version: 1.51\r\nServer: Docker/28\r\nContent-Length: \
                0\r\n\r\n",
        )
        .await;
    client.head().await;
    drop(newer);

    // The next machine has an older engine.
    let (here, there) = tokio::io::duplex(4096);
    let met = identity.meet(async { Ok(tunnel::Stream::new(here)) });
    let says = async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut there = there;
        let mut asked = [0; 14];
        there.read_exact(&mut asked).await.unwrap();
        assert_eq!(&asked, b"GET /_ping HTT");
        there
            .write_all(
                b"HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nServer: Docker/26\r\nContent-Length: \
                    2\r\n\r\nOK",
            )
            .await
            .unwrap();
        there
    };
    let _open = tokio::join!(met, says).1;
    assert_eq!(identity.api_version().as_deref(), Some("1.45"));

    // The gateway offered 1.51 and 1.50. The engine refuses 9.99, which was never offered.
    for (asked, passed) in [
        ("/v1.50/info?a=b", "/v1.45/info?a=b"),
        ("/v1.45/info", "/v1.45/info"),
        ("/v1.41/info", "/v1.41/info"),
        ("/v9.99/info", "/v9.99/info"),
        ("/info", "/info"),
    ] {
        let mut client = rig.client().await;
        client.send(&format!("GET {asked} HTTP/1.1\r\nHost: d\r\n\r\n")).await;
        let mut older = rig.engine().await;
        let head = older.head().await;
        assert!(head.starts_with(&format!("GET {passed} HTTP/1.1\r\n")), "{asked}: {head}");
        older
            .send(
                "HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nServer: Docker/26\r\nContent-Length: \
                    2\r\nConnection: close\r\n\r\n{}",
            )
            .await;
        client.until("{}").await;
    }
}
