//! Ambiguous requests (request smuggling): neither they nor anything behind them reaches the
//! engine.

use crate::rig::{OK, rig};

const NEXT: &str = "GET /smuggled HTTP/1.1\r\nHost: d\r\n\r\n";

#[tokio::test]
async fn ambiguous_request_is_refused_and_the_connection_ends() {
    let mut rig = rig();
    for lines in [
        "Host: d\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        "Host: d\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
        "Host: d\r\nContent-Length: 0\r\nContent-Length: 36",
        "Host: d\r\nContent-Length: 0, 36",
        "Host: d\r\nContent-Length: +5",
        "Host: d\r\nTransfer-Encoding: chunked, gzip",
        "Host: d\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        "Host: d\r\nTransfer-Encoding : chunked",
        "Host: d\r\nContent-Length:\r\n 36",
        "Host: d\r\nHost: e",
        "X: no host",
    ] {
        let mut client = rig.client().await;
        client
            .send(&format!("POST /containers/create HTTP/1.1\r\n{lines}\r\n\r\n0\r\n\r\n{NEXT}"))
            .await;
        let answer = client.rest().await;
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n")
                && answer.contains("\r\nConnection: close\r\n"),
            "{lines:?}: {answer}"
        );
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{lines:?}: {answer}");
    }
    assert!(rig.asks_no_more());
}

#[tokio::test]
async fn refusal_comes_behind_the_responses_to_good_requests() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("GET /info HTTP/1.1\r\nHost: d\r\n\r\nGET /x HTTP/1.1\r\nno colon\r\n\r\n").await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send(OK).await;
    let answers = client.rest().await;
    assert!(
        answers.starts_with("HTTP/1.1 200 OK\r\n") && answers.ends_with("\r\n\r\n400 Bad Request"),
        "{answers}"
    );
    assert_eq!(engine.rest().await, "");
}

#[tokio::test]
async fn malformed_chunks_do_not_become_a_request() {
    let mut rig = rig();
    for body in [
        format!("3\r\nabcX\r\n0\r\n\r\n{NEXT}"),
        format!("0\n\n{NEXT}"),
        format!("3\nabc\n0\n\n{NEXT}"),
        format!("0\r\nX: y\n\r\n{NEXT}"),
    ] {
        let mut client = rig.client().await;
        client
            .send(&format!(
                "POST /build HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
            ))
            .await;
        let mut engine = rig.engine().await;
        let seen = engine.rest().await;
        assert_eq!(seen.matches(" HTTP/1.1\r\n").count(), 1, "{body:?}: {seen}");
        assert!(!seen.ends_with("0\r\n\r\n"), "{body:?} ended well: {seen}");
        let answer = client.rest().await;
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n")
                && answer.matches("HTTP/1.1 ").count() == 1,
            "{body:?}: {answer}"
        );
        assert!(rig.asks_no_more());
    }
}

#[tokio::test]
async fn request_text_in_a_body_stays_a_body() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client
        .send(&format!(
            "POST /auth HTTP/1.1\r\nHost: d\r\nContent-Length: {}\r\n\r\n{NEXT}GET /info \
                HTTP/1.1\r\nHost: d\r\n\r\n",
            NEXT.len()
        ))
        .await;
    let mut engine = rig.engine().await;
    assert!(engine.head().await.starts_with("POST /auth "));
    engine.until(NEXT).await;
    engine.send(OK).await;
    assert!(engine.head().await.starts_with("GET /info "));
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;
    client.until("\r\n\r\nok").await;
}

#[tokio::test]
async fn bare_line_feeds_are_accepted_and_passed_on_as_cr_lf() {
    let mut rig = rig();
    let mut client = rig.client().await;
    client.send("\r\nPOST /auth HTTP/1.1\nHost: d\nContent-Length: 2\n\nhi").await;
    let mut engine = rig.engine().await;
    assert_eq!(
        engine.until("hi").await,
        "POST /auth HTTP/1.1\r\nHost: d\r\nContent-Length: 2\r\n\r\nhi"
    );
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;
}
