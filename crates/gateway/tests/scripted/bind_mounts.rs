//! Containers with bind mounts of this computer's directories.

use dockbridge_gateway::{BindMounts, EngineIdentity, LocalPaths};

use crate::rig::{OK, rig, rig_of};

fn create(source: &str) -> String {
    format!("{{ \"Image\":\"a\",\n  \"HostConfig\": {{\"Binds\":[\"{source}:/inside\"]}} }}\n")
}

#[tokio::test]
async fn directory_of_this_computer_is_refused_with_advice() {
    let mut rig = rig();
    let directory = tempfile::tempdir().unwrap();
    let mut client = rig.client().await;
    let body = create(directory.path().to_str().unwrap());
    for framed in [
        format!("Content-Length: {}\r\n\r\n{body}", body.len()),
        format!(
            "Transfer-Encoding: chunked\r\n\r\n9\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
            &body[..9],
            body.len() - 9,
            &body[9..]
        ),
    ] {
        client
            .send(&format!("POST /v1.41/containers/create?name=x HTTP/1.1\r\nHost: d\r\n{framed}"))
            .await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        let message = client.until("\"}\n").await;
        for words in [
            directory.path().to_str().unwrap(),
            "docker cp",
            "docker build",
            "gateway.bind_mounts: remote",
        ] {
            assert!(message.contains(words), "{words} in {message}");
        }
    }
    assert!(rig.asks_no_more());
    rig.activity_is("nothing goes on", |snapshot| snapshot.live.is_empty()).await;
}

#[tokio::test]
async fn accepted_body_passes_byte_for_byte() {
    let mut rig = rig();
    let mut client = rig.client().await;
    let mut engine = None;
    for body in [
        create("volume"),
        create("/var/run/docker.sock"),
        create("/no-such-directory"),
        "{ \"broken\": ".to_owned(),
        String::new(),
    ] {
        client
            .send(&format!(
                "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
        if engine.is_none() {
            engine = Some(rig.engine().await);
        }
        let engine = engine.as_mut().unwrap();
        let head = engine.head().await;
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
        if !body.is_empty() {
            engine.until(&body).await;
        }
        engine.send(OK).await;
        client.until("\r\n\r\nok").await;
    }
    let body = create("volume");
    client
        .send(&format!(
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: \
                chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        ))
        .await;
    let engine = engine.as_mut().unwrap();
    assert!(engine.head().await.contains("\r\nTransfer-Encoding: chunked\r\n"));
    assert_eq!(engine.until("0\r\n\r\n").await, format!("{:X}\r\n{body}\r\n0\r\n\r\n", body.len()));
}

#[tokio::test]
async fn paths_of_the_machine_pass_with_the_setting_remote() {
    let mut rig = rig_of(
        EngineIdentity::empty(),
        LocalPaths { bind_mounts: BindMounts::Remote, ..LocalPaths::default() },
    );
    let mut client = rig.client().await;
    let body = create("/tmp");
    client
        .send(&format!(
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    let mut engine = rig.engine().await;
    engine.until(&body).await;
}

#[tokio::test]
async fn own_socket_is_replaced_by_the_engines() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("docker.sock");
    std::fs::write(&socket, "").unwrap();
    let mut rig = rig_of(
        EngineIdentity::empty(),
        LocalPaths { socket: Some(socket.clone()), ..LocalPaths::default() },
    );
    let mut client = rig.client().await;
    let body = create(socket.to_str().unwrap());
    client
        .send(&format!(
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    let mut engine = rig.engine().await;
    let head = engine.head().await;
    let passed = engine.until("\"a\"}").await;
    assert!(passed.contains("[\"/var/run/docker.sock:/inside\"]"), "{passed}");
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", passed.len())), "{head}{passed}");
}

#[tokio::test]
async fn body_that_is_too_large_to_be_read_is_refused() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client
        .send("POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 5000000\r\n\r\n")
        .await;
    for _ in 0..50 {
        client.send(&" ".repeat(100_000)).await;
    }
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    assert!(rig.asks_no_more());
}
