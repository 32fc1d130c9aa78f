//! Limits: the size of heads, and clients at once.

use crate::rig::{Peer, rig};

#[tokio::test]
async fn head_that_is_too_large_is_refused_as_by_go() {
    let rig = rig();
    let mut client = rig.client().await;
    let lines = format!("X: {}\r\n", "x".repeat(1000));
    client.send(&format!("GET /info HTTP/1.1\r\nHost: d\r\n{}\r\n", lines.repeat(1100))).await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{answer}");
    let mut client = rig.client().await;
    client.send(&format!("GET /info?{} HTTP/1.1\r\nHost: d\r\n\r\n", "x".repeat(70_000))).await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 414 URI Too Long\r\n"), "{answer}");
}

#[tokio::test]
async fn one_client_too_many_gets_an_error_and_the_others_go_on() {
    let mut rig = rig();
    // Each of them costs two descriptors in this process.
    if rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .maximum
        .is_some_and(|most| most < 10_000)
    {
        testkit::passed_over!("too few files may be open at once");
        return;
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: limit.maximum, ..limit },
    )
    .unwrap();
    let mut clients: Vec<Peer> = Vec::new();
    for _ in 0..dockbridge_gateway::MAX_CLIENTS {
        clients.push(rig.client().await);
    }
    let mut surplus = rig.client().await;
    surplus.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let head = surplus.head().await;
    assert!(
        head.starts_with("HTTP/1.1 503 Service Unavailable\r\n")
            && head.contains("\r\nConnection: close\r\n"),
        "{head}"
    );
    let body = surplus.rest().await;
    assert!(
        body.starts_with("{\"message\":\"too many connections at once") && body.ends_with("\"}\n"),
        "{body}"
    );

    clients[7].send("GET /info HTTP/1.1\r\nHost: d\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    clients[7].until("\r\n\r\nok").await;

    // A client that leaves makes room for another.
    clients.pop();
    let since = tokio::time::Instant::now();
    loop {
        let mut client = rig.client().await;
        client.send("POST /auth HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n").await;
        tokio::select! {
            asked = rig.asked() => {
                drop(asked);
                break;
            }
            refused = client.head() => {
                assert!(refused.contains(" 503 "), "{refused}");
                assert!(since.elapsed().as_secs() < 20, "{refused}");
            }
        }
    }
}
