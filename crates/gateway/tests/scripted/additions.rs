//! What the gateway sends to the engine beside a client's own request: nothing, except what
//! docs/request-path.md lists.

use std::net::TcpListener;

use crate::rig::{OK, Peer, Rig, rig_with_ports};

pub const ID: &str = "4f5a0000000000000000000000000000000000000000000000000000000000aa";

/// A head and a body, as one request.
pub fn request(line: &str, body: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: d\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A response with a body.
pub fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// An inspected container.
pub fn inspected(bindings: &str, ports: &str, more: &str) -> String {
    let host_config = format!("{{\"PortBindings\":{bindings},\"NetworkMode\":\"bridge\"{more}}}");
    let network = r#"{"IPAddress":"172.17.0.2","Gateway":"172.17.0.1"}"#;
    let settings = format!("{{\"Ports\":{ports},\"Networks\":{{\"bridge\":{network}}}}}");
    let state = format!("{{\"Running\":{}}}", ports != "{}");
    let rest = format!("\"HostConfig\":{host_config},\"NetworkSettings\":{settings}");
    format!("{{\"Id\":\"{ID}\",\"Name\":\"/web\",\"State\":{state},{rest}}}")
}

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// One request of the client and its response, on connections that exist.
async fn exchange(client: &mut Peer, engine: &mut Peer, line: &str, body: &str, answered: &str) {
    client.send(&request(line, body)).await;
    let head = engine.head().await;
    assert!(
        head.starts_with(&format!("{line} HTTP/1.1\r\n")),
        "{line}: the engine is asked {head}"
    );
    if !body.is_empty() {
        engine.until(body).await;
    }
    engine.send(answered).await;
    client.until(answered.rsplit("\r\n").next().unwrap()).await;
}

async fn connected(rig: &mut Rig) -> (Peer, Peer) {
    let mut client = rig.client().await;
    client.send(&request("POST /containers/web/pause", "")).await;
    let mut engine = rig.engine().await;
    engine.head().await;
    engine.send(OK).await;
    client.until("\r\n\r\nok").await;
    (client, engine)
}

/// The engine gets exactly what the client sends, on the connection that the client has already.
#[tokio::test]
async fn request_without_a_rule_passes_with_nothing_added() {
    let mut rig = rig_with_ports();
    let (mut client, mut engine) = connected(&mut rig).await;
    let created = answer("201 Created", &format!("{{\"Id\":\"{ID}\",\"Warnings\":[]}}\n"));
    let plain = [
        ("GET /info", ""),
        ("GET /containers/json?all=1", ""),
        ("GET /containers/web/json", ""),
        ("GET /containers/web/logs?stdout=1", ""),
        ("GET /images/json", ""),
        ("POST /containers/web/stop?t=1", ""),
        ("POST /containers/web/kill", ""),
        ("POST /containers/web/rename?name=x", ""),
        ("POST /containers/web/wait?condition=removed", ""),
        ("POST /containers/web/exec", "{\"Cmd\":[\"true\"]}"),
        ("POST /volumes/create", "{\"Name\":\"data\"}"),
        ("POST /networks/create", "{\"Name\":\"net\"}"),
        ("DELETE /containers/web?force=1", ""),
    ];
    for (line, body) in plain {
        exchange(&mut client, &mut engine, line, body, OK).await;
    }
    // The requests of `docker run --rm IMAGE`.
    exchange(
        &mut client,
        &mut engine,
        "POST /v1.41/containers/create",
        "{\"Image\":\"a\",\"HostConfig\":{\"AutoRemove\":true}}",
        &created,
    )
    .await;
    for verb in ["start", "restart", "wait"] {
        exchange(&mut client, &mut engine, &format!("POST /v1.41/containers/{ID}/{verb}"), "", OK)
            .await;
    }
    exchange(&mut client, &mut engine, &format!("DELETE /v1.41/containers/{ID}"), "", OK).await;
    assert!(rig.asks_no_more(), "the gateway asked for a stream of its own");
}

#[tokio::test]
async fn start_of_a_container_created_elsewhere_costs_one_inspect() {
    let mut rig = rig_with_ports();
    let (mut client, mut engine) = connected(&mut rig).await;
    client.send(&request("POST /containers/web/start", "")).await;
    let mut question = rig.engine().await;
    assert!(question.head().await.starts_with("GET /containers/web/json HTTP/1.1\r\n"));
    question.send(&answer("200 OK", &inspected("{}", "{}", ""))).await;
    assert!(engine.head().await.starts_with("POST /containers/web/start "));
    engine.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 204 "));
    exchange(&mut client, &mut engine, "POST /containers/web/wait", "", OK).await;
    assert!(rig.asks_no_more(), "the gateway asked for a stream of its own");
}
