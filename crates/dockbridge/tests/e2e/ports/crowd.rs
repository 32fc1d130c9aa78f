//! Many connections through one port, some of them stalled.

use std::net::TcpStream;
use std::time::Duration;

use super::{echo, free_port, local, make_peer, round_trip};
use crate::rig::{Daemon, Stage, pass_over};

const CONNECTIONS: usize = 300;
const STALLED: usize = 20;
/// In MiB, for all streams of these connections with their data in transit: a stalled one holds
/// 256 KiB of credit and two buffers, the daemon itself 30 to 40 MiB in a debug build.
const MEMORY: u64 = 160;

/// In MiB.
fn memory(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// The median of all connections' round trips.
fn median(connections: &[TcpStream]) -> Duration {
    let mut times: Vec<Duration> =
        connections.iter().map(|connection| round_trip(connection).unwrap()).collect();
    times.sort();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_connections_are_not_slowed_by_twenty_that_are_stalled() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    make_peer(&stage).await;
    // One port for both kinds; the stalled ones are never read by their client.
    let port = free_port();
    stage
        .docker(&["run", "-d", "--name", "crowd", "-p", &format!("{port}:7"), "peer"])
        .await
        .succeeded();
    let open =
        move |count: usize| -> Vec<TcpStream> { (0..count).map(|_| echo(local(port))).collect() };
    let (lively, before) = tokio::task::spawn_blocking(move || {
        let lively = open(CONNECTIONS - STALLED);
        let before = median(&lively);
        (lively, before)
    })
    .await
    .unwrap();

    let (stalled, lively, after) = tokio::task::spawn_blocking(move || {
        let stalled = open(STALLED);
        stalled.iter().for_each(fill);
        let after = median(&lively);
        (stalled, lively, after)
    })
    .await
    .unwrap();
    let memory = memory(&daemon);
    eprintln!(
        "median round trip {before:?} before, {after:?} beside {STALLED} stalled; the daemon holds \
         {memory} MiB"
    );
    assert!(
        after < before * 4 + Duration::from_millis(50),
        "{before:?} before, {after:?} beside stalled connections"
    );
    assert!(memory < MEMORY, "{memory} MiB");
    let ports = super::listed(&stage).await;
    assert_eq!(ports[0]["connections_now"], CONNECTIONS, "{}", ports[0]);
    assert!(stage.docker(&["ps"]).await.succeeded().took < Duration::from_secs(10));
    drop((stalled, lively));
    daemon.stop().await;
    stage.close().await;
}

/// Writes without ever reading, until nothing more is accepted.
fn fill(mut connection: &TcpStream) {
    use std::io::Write as _;
    connection.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    while connection.write(&[0; 64 * 1024]).is_ok() {}
}
