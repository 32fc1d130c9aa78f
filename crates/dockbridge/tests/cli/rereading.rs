//! Settings that change while a daemon runs: what holds at once, what waits for a restart, and what
//! is refused.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, timeout};

use crate::rig::{Desk, signal};

const LONGEST: Duration = Duration::from_secs(20);

/// The warnings of `status`, by their codes, with their messages.
async fn warnings(desk: &Desk) -> Vec<(String, String)> {
    let status = api::client::Client::of(&desk.socket()).status().await.unwrap();
    let warnings = status.why.warnings.into_iter();
    warnings.map(|warning| (warning.code.to_string(), warning.to_string())).collect()
}

/// Polls until the warnings have these codes, and returns their messages.
async fn until_warned(desk: &Desk, codes: &[&str]) -> String {
    let begun = Instant::now();
    loop {
        let warnings = warnings(desk).await;
        if warnings.iter().map(|(code, _)| code.as_str()).eq(codes.iter().copied()) {
            return warnings.into_iter().map(|(_, message)| message).collect();
        }
        assert!(begun.elapsed() < LONGEST, "not {codes:?}: {warnings:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_setting_holds_at_once_or_for_the_next_machine_or_waits_for_a_restart() {
    let desk = Desk::new().await;
    desk.settings("activity: {idle_timeout: 10m}\nkeepalive: {timeout: 5m}\n");
    let daemon = desk.start().await;
    let process = daemon.child.id().unwrap();
    for (key, value, expected) in [
        ("activity.idle_timeout", "7m", format!("The daemon (process {process}) uses it now.")),
        (
            "hetzner.locations",
            "hel1",
            format!("The daemon (process {process}) uses it for the next machine."),
        ),
        (
            "keepalive.timeout",
            "10m",
            format!("The daemon (process {process}) uses the old value until it starts again:"),
        ),
    ] {
        let ran = desk.dockbridge(&["config", "set", key, value]).await;
        ran.succeeded().said(&[&expected]);
    }
    let message = until_warned(&desk, &["restart_needed"]).await;
    assert!(message.contains("the old value of keepalive.timeout until it starts"), "{message}");
    assert!(message.contains("`dockbridge stop`, then `dockbridge start`"), "{message}");
    desk.dockbridge(&["status"]).await.succeeded().said(&["keepalive.timeout"]);
    for (name, key) in [
        ("now", "activity.idle_timeout"),
        ("next_wake", "hetzner.locations"),
        ("restart", "keepalive.timeout"),
    ] {
        let expected = format!("{name}=\"{key}\"");
        assert!(daemon.output().contains(&expected), "{expected}:\n{}", daemon.output());
    }
    let ran = desk.dockbridge(&["config", "unset", "keepalive.timeout"]).await;
    ran.succeeded().said(&[&format!("The daemon (process {process}) uses it already.")]);
    until_warned(&desk, &[]).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_file_that_is_invalid_or_gone_changes_nothing_and_is_a_warning() {
    let desk = Desk::new().await;
    let valid = "activity: {idle_timeout: 10m}\n";
    desk.settings(valid);
    let daemon = desk.start().await;
    desk.settings("activity: {idle_timeout: soon}\nkeepalive: {timeout: 20m}\n");
    let message = until_warned(&desk, &["settings_refused"]).await;
    assert!(message.contains("line 1: ") && message.contains("\"soon\" is not"), "{message}");
    assert!(message.contains("`dockbridge config validate` shows what is wrong"), "{message}");
    desk.settings(valid);
    until_warned(&desk, &[]).await;
    std::fs::remove_file(desk.path("home/config/config.yaml")).unwrap();
    let message = until_warned(&desk, &["settings_refused"]).await;
    assert!(message.contains("config.yaml is gone"), "{message}");
    assert!(!daemon.output().contains("now=\""), "a value was taken: {}", daemon.output());
    desk.settings("keepalive: {timeout: 20m}\n");
    until_warned(&desk, &["restart_needed"]).await;
    daemon.stop().await;
}

fn link(to: &Path, at: &Path) {
    let new = at.with_extension("new");
    std::os::unix::fs::symlink(to, &new).unwrap();
    std::fs::rename(new, at).unwrap();
}

#[tokio::test]
async fn hangup_of_a_daemon_in_the_background_reads_the_settings() {
    let desk = Desk::new().await;
    desk.settings("");
    // Nothing watches a link behind the link.
    let (file, middle) = (desk.path("home/config/config.yaml"), desk.path("links/middle.yaml"));
    let (one, other) = (desk.path("one.yaml"), desk.path("other.yaml"));
    std::fs::create_dir(desk.path("links")).unwrap();
    std::fs::write(&one, "").unwrap();
    std::fs::write(&other, "docker: {proxy_port: 2375}\n").unwrap();
    link(&one, &middle);
    link(&middle, &file);
    desk.dockbridge(&["start", "--detach"]).await.succeeded();
    link(&other, &middle);
    let client = api::client::Client::of(&desk.socket());
    let process = client.status().await.unwrap().process;
    let id = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    kill_process(id, Signal::HUP).unwrap();
    let message = until_warned(&desk, &["restart_needed"]).await;
    assert!(message.contains("docker.proxy_port"), "{message}");
    assert_eq!(client.status().await.unwrap().process, process);
    desk.dockbridge(&["stop"]).await.succeeded();
}

#[tokio::test]
async fn hangup_of_a_daemon_with_a_terminal_ends_it() {
    let desk = Desk::new().await;
    let mut daemon = desk.start().await;
    signal(&daemon.child, Signal::HUP);
    let ended = timeout(LONGEST, daemon.child.wait()).await;
    assert!(ended.expect("it does not end").unwrap().success(), "{}", daemon.output());
}
