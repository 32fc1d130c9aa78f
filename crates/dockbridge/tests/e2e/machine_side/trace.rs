//! A request that fails on the machine is found by one id: in its answer, in the daemon's log, and
//! in the agent's, here and in the machine's journal.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::BOOT;
use crate::rig::{Stage, pass_over};

/// The answer with its head.
fn asked(socket: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(BOOT)).unwrap();
    let head = format!("{request} HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n");
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_fails_on_the_machine_is_found_by_one_id() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let info = [("DOCKBRIDGE_LOGGING_LEVEL", "info")];
    let daemon = stage.start(&info).await;
    stage.docker(&["version"]).await.succeeded();
    stage.on_machine("systemctl stop docker.socket docker.service").await.succeeded();

    let socket = stage.socket();
    let pause = move || asked(&socket, "POST /containers/web/pause");
    let answer = tokio::task::spawn_blocking(pause).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let id = answer.lines().find_map(|line| line.strip_prefix("X-Request-Id: "));
    let id = id.unwrap_or_else(|| panic!("no id in {answer}"));
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(!body.contains(id), "docker prints the message as it is: {body}");

    let daemons = |line: &str| {
        line.contains(&format!("request{{id={id} ")) && line.contains("answered with an error")
    };
    let agents = |line: &str| {
        line.contains("on the machine: stream ") && line.contains(&format!(" of request {id}: "))
    };
    stage
        .eventually("both are in the daemon's log", BOOT, async || {
            let log = stage.daemon_log();
            log.lines().any(daemons) && log.lines().any(agents)
        })
        .await;
    let journal = stage.on_machine("journalctl --no-pager -o cat -t dockbridge-agent").await;
    assert!(journal.succeeded().stdout.contains(&format!(" of request {id}: ")), "{journal}");
    daemon.stop().await;
    stage.close().await;
}
