//! `logs`: the daemon's log file and its filters, following over a rotation, and what the other
//! logs answer without a machine.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use crate::rig::{Desk, mode, run};

/// Ceiling for a followed line.
const LONGEST: Duration = Duration::from_secs(20);

impl Desk {
    fn log(&self) -> std::path::PathBuf {
        self.path("home/state/default/daemon.log")
    }

    /// Appends records to the log file, as a daemon does.
    fn logged(&self, records: &[(&str, &str, &str)]) {
        std::fs::create_dir_all(self.log().parent().unwrap()).unwrap();
        let mut file = OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        for (time, level, message) in records {
            let record = json!({
                "timestamp": format!("2026-11-29T{time}Z"),
                "level": level,
                "fields": {"message": message},
                "target": "test",
            });
            writeln!(file, "{record}").unwrap();
        }
    }

    fn following(&self, arguments: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
        let mut command = self.command(env!("CARGO_BIN_EXE_dockbridge"));
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines)
    }
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    let line = timeout(LONGEST, lines.next_line()).await;
    line.expect("no line came").unwrap().expect("the output ended")
}

#[tokio::test]
async fn log_of_the_daemon_is_private_json_whether_it_is_detached_or_not() {
    for is_detached in [true, false] {
        let mut desk = Desk::new().await;
        desk.set("DOCKBRIDGE_LOGGING_LEVEL", "debug");
        let daemon = if is_detached {
            let log = format!("Log: {}", desk.log().display());
            desk.dockbridge(&["start", "--detach"]).await.succeeded().said(&[&log]);
            None
        } else {
            Some(desk.start().await)
        };
        desk.dockbridge(&["pin"]).await.succeeded();
        desk.dockbridge(&["stop"]).await.succeeded();
        if let Some(daemon) = daemon {
            assert!(daemon.output().contains("DEBUG"), "{}", daemon.output());
            daemon.stop().await;
        }
        let text = std::fs::read_to_string(desk.log()).unwrap();
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            for key in ["timestamp", "level", "target", "fields"] {
                assert!(record.get(key).is_some(), "{key} is missing: {line}");
            }
        }
        assert_eq!(mode(&desk.log()), 0o600);
        let shown = desk.dockbridge(&["logs", "--tail", "all"]).await;
        assert_eq!(shown.succeeded().stdout.lines().count(), text.lines().count());
        let json = desk.dockbridge(&["logs", "-n", "all", "--json"]).await;
        assert_eq!(json.succeeded().stdout, text);
    }
}

#[tokio::test]
async fn detached_daemon_that_does_not_start_leaves_its_error_in_the_log() {
    let mut desk = Desk::new().await;
    desk.set("HCLOUD_TOKEN", "wrong");
    let error = "the cloud rejected the API token";
    desk.dockbridge(&["start", "--detach"]).await.failed(1, &[error]);
    let shown = desk.dockbridge(&["logs", "--level", "error"]).await;
    shown.succeeded().said(&[error]);
    for line in desk.dockbridge(&["logs", "--json"]).await.succeeded().stdout.lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(record["fields"]["message"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn lines_are_selected_by_number_time_level_and_request() {
    let desk = Desk::new().await;
    let id = "k3vq7xw2hdrm";
    desk.dockbridge(&["logs"]).await.succeeded().said(&["There is no log at "]);
    let request = format!("stream 3 of request {id}: no engine");
    desk.logged(&[
        ("10:00:00", "INFO", "first"),
        ("10:01:00", "WARN", "second"),
        ("10:02:00", "ERROR", "third"),
        ("10:03:00", "DEBUG", &request),
    ]);
    let shown = async |arguments: &[&str]| {
        let ran = desk.dockbridge(&[&["logs"], arguments].concat()).await;
        let lines = ran.succeeded().stdout.lines();
        let last = lines.map(|line| line.rsplit(' ').next().unwrap().to_owned());
        last.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shown(&[]).await, "first second third engine");
    assert_eq!(shown(&["client", "-n", "2"]).await, "third engine");
    assert_eq!(shown(&["--since", "2026-11-29T10:01:00Z"]).await, "second third engine");
    assert_eq!(shown(&["--level", "warn"]).await, "second third");
    assert_eq!(shown(&["--level", "warn", "--tail", "1"]).await, "third");
    assert_eq!(shown(&["--request", id]).await, "engine");
    assert_eq!(shown(&["--request", "aaaaaaaaaaaa"]).await, "");
    for wrong in [&["--since", "soon"][..], &["--request", "x"], &["--level", "loud"], &["-n", "x"]]
    {
        desk.dockbridge(&[&["logs"], wrong].concat()).await.failed(2, &["error: invalid value"]);
    }
}

#[tokio::test]
async fn following_goes_on_over_a_rotation_and_filters() {
    let desk = Desk::new().await;
    desk.logged(&[("10:00:00", "INFO", "old"), ("10:00:01", "WARN", "last")]);
    let (_all, mut all) = desk.following(&["logs", "-f", "-n", "1"]);
    let (_warnings, mut warnings) = desk.following(&["logs", "--follow", "--level", "warn"]);
    assert!(next(&mut all).await.ends_with(" last"));
    assert!(next(&mut warnings).await.ends_with(" last"));
    desk.logged(&[("10:00:02", "INFO", "before the rotation")]);
    let rotated = |number: u32| format!("{}.{number}", desk.log().display());
    std::fs::rename(desk.log(), rotated(1)).unwrap();
    desk.logged(&[("10:00:03", "INFO", "between")]);
    std::fs::rename(rotated(1), rotated(2)).unwrap();
    std::fs::rename(desk.log(), rotated(1)).unwrap();
    desk.logged(&[("10:00:04", "ERROR", "after it")]);
    for expected in ["before the rotation", "between", "after it"] {
        let line = next(&mut all).await;
        assert!(line.ends_with(expected), "{line}");
    }
    assert!(next(&mut warnings).await.ends_with(" after it"));
}

#[tokio::test]
async fn request_of_a_command_is_found_by_the_id_in_its_answer() {
    let mut desk = Desk::new().await;
    desk.set("DOCKBRIDGE_LOGGING_LEVEL", "debug");
    let daemon = desk.start().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let forward = json!({
        "local": {"address": null, "port": port, "protocol": "tcp"},
        "container": "web",
        "port": 80,
    });
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut curl = desk.command("curl");
        curl.args(["-sSi", "--unix-socket"])
            .arg(format!("{}.control", desk.socket().display()))
            .args(["-H", "Content-Type: application/json", "-d", &forward.to_string()])
            .arg("http://dockbridge/ports");
        let answer = run(curl, "").await.succeeded().stdout.to_lowercase();
        let id = answer.lines().find_map(|line| line.strip_prefix("x-request-id: "));
        ids.push(id.unwrap_or_else(|| panic!("{answer}")).trim().to_owned());
    }
    let found = desk.dockbridge(&["logs", "--request", &ids[1]]).await;
    found.succeeded().said(&["a forward was not made", &format!("id={}", ids[1])]);
    assert_eq!(found.stdout.lines().count(), 1, "{found}");
    daemon.stop().await;
}

#[tokio::test]
async fn log_of_the_machine_needs_one_that_is_up_and_makes_none() {
    let desk = Desk::new().await;
    desk.dockbridge(&["logs", "server"]).await.failed(3, &["no dockbridge serves"]);
    let daemon = desk.start().await;
    for follow in [&["logs", "server"][..], &["logs", "server", "-f", "--json"]] {
        let ran = desk.dockbridge(follow).await;
        ran.failed(3, &["the machine is absent, so it has no log now"]);
    }
    desk.nothing_was_created().await;
    daemon.stop().await;
}

#[tokio::test]
async fn calls_that_changed_the_cloud_are_a_log_too() {
    let desk = Desk::new().await;
    let call = |result: &str, id: u64| {
        json!({
            "at": format!("2026-11-29T10:00:0{id}Z"), "actor": "policy", "reason": "idle",
            "process": 7, "method": "DELETE", "path": format!("/servers/{id}"), "id": id,
            "result": result,
        })
    };
    let directory = desk.path("home/state/default");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("audit.1.jsonl"), format!("{}\n", call("accepted", 1))).unwrap();
    std::fs::write(directory.join("audit.jsonl"), format!("{}\n", call("refused", 2))).unwrap();
    let all = desk.dockbridge(&["logs", "audit"]).await;
    assert_eq!(
        all.succeeded().stdout,
        "2026-11-29 10:00:01.000 UTC  INFO DELETE /servers/1 (1)  accepted  by the policy: idle\n\
         2026-11-29 10:00:02.000 UTC ERROR DELETE /servers/2 (2)  refused  by the policy: idle\n"
    );
    let failed = desk.dockbridge(&["logs", "audit", "--level", "error", "--json"]).await;
    let failed: Value = serde_json::from_str(failed.succeeded().stdout.trim()).unwrap();
    assert_eq!(failed["id"], 2);
}
