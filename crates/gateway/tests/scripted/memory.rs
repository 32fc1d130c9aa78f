//! What a client costs that follows a log in which nothing is written. Most of it are hyper's buffers: 8 KiB for reading and 8 KiB for writing on
//! each side. A debug build measured 50 KiB, with the test's own ends.

use crate::rig::{Peer, rig};

const STREAMS: usize = 400;

/// Of this process, in bytes.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * rustix::param::page_size()
}

#[tokio::test]
async fn a_silent_stream_is_small() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let mut rig = rig();
    let mut held: Vec<(Peer, Peer)> = Vec::new();
    let mut before = 0;
    for n in 0..STREAMS + 50 {
        // The first ones pay for what is made once.
        if n == 50 {
            before = resident();
        }
        let mut client = rig.client().await;
        client
            .send("GET /v1.41/containers/x/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: d\r\nUser-Agent: Docker-Client/28.2.2 (linux)\r\n\r\n")
            .await;
        let mut engine = rig.engine().await;
        engine.head().await;
        engine.send("HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nServer: Docker/28\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
        client.until("hello\r\n").await;
        held.push((client, engine));
    }
    let each = (resident() - before) / STREAMS;
    println!("{each} bytes each, with both of the test's ends");
    assert!(each < 56 * 1024, "{each} bytes");
}
