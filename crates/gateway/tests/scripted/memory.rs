//! The memory of a client that follows a silent log, once all clients are connected: no buffer of
//! HTTP on either side. A debug build measured 13 KB, with the test's own ends.

use crate::rig::{Peer, eventually, rig};

const STREAMS: usize = 400;
/// For each, in bytes.
const MOST: usize = 16 * 1024;
const FOLLOW: &str = "GET /v1.41/containers/x/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: \
    d\r\nUser-Agent: Docker-Client/28.2.2 (linux)\r\n\r\n";
const HEAD: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nServer: \
    Docker/28\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";

/// The resident memory of this process, in bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * rustix::param::page_size()
}

#[tokio::test]
async fn silent_stream_is_small_even_if_all_were_opened_at_once() {
    // Other systems count memory differently, and other C libraries keep what they like.
    if !cfg!(all(target_os = "linux", target_env = "gnu")) {
        return;
    }
    let mut rig = rig();
    let mut held: Vec<(Peer, Peer)> = Vec::new();
    let mut before = 0;
    // The first ones pay for what is allocated once.
    for streams in [50, STREAMS] {
        before = resident();
        let mut clients = Vec::new();
        for _ in 0..streams {
            let mut client = rig.client().await;
            client.send(FOLLOW).await;
            clients.push(client);
        }
        let mut engines = Vec::new();
        for _ in 0..streams {
            let mut engine = rig.engine().await;
            engine.head().await;
            engines.push(engine);
        }
        for engine in &mut engines {
            engine.send(HEAD).await;
        }
        for client in &mut clients {
            client.until("hello\r\n").await;
        }
        held.extend(clients.into_iter().zip(engines));
    }
    let opened = (resident() - before) / STREAMS;
    let each = || resident().saturating_sub(before) / STREAMS;
    eventually(
        "memory of the opening is given back",
        || each() < MOST,
        || format!("{} bytes each", each()),
    )
    .await;
    println!(
        "{} bytes each with both of the test's ends, {opened} right after they were opened",
        each()
    );
}
