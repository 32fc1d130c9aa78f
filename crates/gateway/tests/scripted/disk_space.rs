//! An engine whose disk fills up, and is full.

use dockbridge_gateway::Disk;

use crate::rig::{OK, rig_on};

const ADVICE: &str = "make room";
const CREATED: &str = "{\"Id\":\"4f\",\"Warnings\":[]}\n";

fn disk(warning: bool, refusal: bool) -> Disk {
    let text = |so: bool, words: &str| so.then(|| words.to_owned());
    Disk {
        warning: text(warning, "it fills up"),
        refusal: text(refusal, "it is full"),
        advice: ADVICE.to_owned(),
    }
}

fn request(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn request_that_fills_a_full_disk_is_refused_before_the_engine() {
    let mut rig = rig_on(disk(true, true));
    let mut client = rig.client().await;
    for line in [
        "POST /v1.41/images/create?fromImage=a",
        "POST /images/load",
        "POST /build?t=x",
        "PUT /containers/x/archive?path=/",
    ] {
        client.send(&request(line)).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 507 Insufficient Storage\r\n"), "{line}: {head}");
        assert_eq!(client.until("}\n").await, "{\"message\":\"it is full\"}\n");
    }
    assert!(rig.asks_no_more());
    // A prune makes room.
    client.send(&request("POST /images/prune")).await;
    rig.engine().await.send(OK).await;
    client.until("\r\n\r\nok").await;
}

#[tokio::test]
async fn new_container_has_a_warning_about_a_disk_that_fills_up() {
    for (warning, expected) in
        [(true, "{\"Id\":\"4f\",\"Warnings\":[\"it fills up\"]}"), (false, CREATED)]
    {
        let mut rig = rig_on(disk(warning, false));
        let mut client = rig.client().await;
        client.send(&request("POST /v1.41/containers/create")).await;
        rig.engine().await.send(&answer("201 Created", CREATED)).await;
        let head = client.head().await;
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", expected.len())), "{head}");
        client.until(expected).await;
    }
}

#[tokio::test]
async fn advice_stands_beside_the_engines_words_about_a_full_disk() {
    let mut rig = rig_on(disk(false, false));
    let mut client = rig.client().await;
    client.send(&request("POST /containers/x/start")).await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine
        .send(&answer(
            "500 Internal Server Error",
            "{\"message\":\"mkdir: no space left on device\"}\n",
        ))
        .await;
    client.until("{\"message\":\"mkdir: no space left on device; make room\"}\n").await;

    client.send(&request("POST /images/create?fromImage=a")).await;
    engine.head().await;
    engine
        .send(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: \
                chunked\r\n\r\n",
        )
        .await;
    for line in
        ["{\"status\":\"Extracting\"}\r\n", "{\"error\":\"write: no space left on device\"}\r\n"]
    {
        engine.send(&format!("{:x}\r\n{line}\r\n", line.len())).await;
    }
    engine.send("0\r\n\r\n").await;
    let lines = client.until("0\r\n\r\n").await;
    assert!(
        lines.contains("{\"status\":\"Extracting\"}\r\n")
            && lines.contains("no space left on device; make room\"}\r\n"),
        "{lines}"
    );
}
