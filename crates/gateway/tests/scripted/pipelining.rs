//! Clients that send the next request before the last one is answered.

use crate::rig::{OK, rig};

const ATTACH: &str = "POST /containers/x/attach HTTP/1.1\r\nHost: d\r\nConnection: \
    Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n";
const NEXT: &str = "GET /info?next=1 HTTP/1.1\r\nHost: d\r\n\r\n";

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let mut rig = rig();
    let mut client = rig.client().await;
    let requests: String = (0..50)
        .map(|n| match n % 3 {
            0 => format!("GET /images/{n}/json HTTP/1.1\r\nHost: d\r\n\r\n"),
            1 => format!(
                "POST /images/{n}/tag HTTP/1.1\r\nHost: d\r\nContent-Length: 6\r\n\r\nbody{n:02}"
            ),
            _ => format!(
                "POST /images/{n}/tag HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: \
                    chunked\r\n\r\n6\r\nbody{n:02}\r\n0\r\n\r\n"
            ),
        })
        .collect();
    client.send(&requests).await;
    let mut engine = rig.engine().await;
    for n in 0..50 {
        let head = engine.head().await;
        assert!(head.contains(&format!(" /images/{n}/")), "{n}: {head}");
        if n % 3 > 0 {
            engine.until(&format!("body{n:02}")).await;
        }
        if n % 3 == 2 {
            engine.until("0\r\n\r\n").await;
        }
        engine.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nanswer{n:02}")).await;
    }
    for n in 0..50 {
        assert!(
            client.until(&format!("answer{n:02}")).await.matches("HTTP/1.1 200 OK").count() == 1,
            "{n}"
        );
    }
    assert!(rig.asks_no_more());
}

#[tokio::test]
async fn request_right_behind_a_hijack_is_input_of_the_stream() {
    let mut rig = rig();
    for (head, answer) in [
        (ATTACH.to_owned(), "HTTP/1.1 101 "),
        (ATTACH.replace("Connection: Upgrade\r\nUpgrade: tcp\r\n", ""), "HTTP/1."),
    ] {
        let mut client = rig.client().await;
        client.send(&format!("{head}{NEXT}")).await;
        let mut engine = rig.engine().await;
        engine.head().await;
        engine.send("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n").await;
        assert!(client.head().await.starts_with(answer));
        assert_eq!(engine.until(NEXT).await, NEXT);
        client.half_close().await;
        assert_eq!(engine.rest().await, "");
        assert!(rig.asks_no_more());
    }
}

#[tokio::test]
async fn noise_right_behind_a_hijack_is_input_of_the_stream() {
    let mut rig = rig();
    let mut client = rig.client().await;
    let noise = "\0\u{1}: Transfer-Encoding\r\n\r\n\r\nX HTTP/1.1\r\n\r\n";
    client.send(&format!("{ATTACH}{noise}")).await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n").await;
    client.half_close().await;
    assert_eq!(engine.rest().await, noise);
}

#[tokio::test]
async fn request_right_behind_a_refused_hijack_is_a_request() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send(&format!("{ATTACH}{NEXT}")).await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send("HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno").await;
    assert!(client.until("no").await.starts_with("HTTP/1.1 409 Conflict\r\n"));
    assert!(engine.head().await.starts_with("GET /info?next=1 "));
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;
}
