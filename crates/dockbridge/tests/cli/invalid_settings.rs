//! Settings that make no sense are refused or warned of by name, all of them at once.

use std::os::unix::fs::PermissionsExt as _;

use crate::rig::{Desk, TOKEN};

#[tokio::test]
async fn all_invalid_settings_are_named_at_once() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_ENDPOINT");
    desk.settings(
        "hetzner:\n  endpoint: api.hetzner.cloud/v1\n  location: fsn1\n  locations: [nbg1]\n\
         docker: {socket_path: ~/x.sock}\nactivity: {idle_timeout: 0s}\n\
         keepalive: {interval: 10m}\nlogging: {level: loud}\n",
    );
    let expected = [
        "Error: 6 settings are invalid:",
        "line 2: `hetzner.endpoint`: \"api.hetzner.cloud/v1\" is not an API address: write it with \
         its scheme",
        "line 4: `hetzner.locations`: `location` and `locations` are the same setting",
        "line 5: `docker.socket_path`: \"~/x.sock\": only shells expand `~`",
        "line 6: `activity.idle_timeout`: \"0s\" would delete each machine at once",
        "line 7: `keepalive.interval`: a heartbeat every 10m does not renew a lease of 5m",
        "line 8: `logging.level` is invalid: \"loud\"",
    ];
    for command in [&["config", "validate"][..], &["start"], &["start", "--detach"]] {
        desk.dockbridge(command).await.failed(1, &expected);
    }
    desk.settings("docker: {socket_path: x.sock}\n");
    desk.dockbridge(&["start"]).await.failed(1, &["`docker.socket_path`: \"x.sock\" is relative"]);
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn a_token_in_a_file_that_others_read_is_a_warning_with_a_fix() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN");
    desk.settings(&format!("hetzner: {{api_token: {TOKEN}}}\n"));
    let path = desk.path("home/config/config.yaml");
    let warned = format!("(mode 0644): run chmod 600 {}", path.display());
    for (mode, is_warned) in [(0o644, true), (0o600, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let ran = desk.dockbridge(&["config", "validate"]).await;
        assert_eq!(ran.succeeded().stderr.contains(&warned), is_warned, "{ran}");
        assert!(!ran.stderr.contains(TOKEN), "{ran}");
    }
}

#[tokio::test]
async fn idleness_can_be_switched_off() {
    let desk = Desk::new().await;
    desk.settings("activity: {idle_timeout: none, connection_timeout: none}\n");
    desk.dockbridge(&["config", "validate"]).await.succeeded();
    let shown = desk.dockbridge(&["config", "show"]).await;
    shown.succeeded().said(&["idle_timeout: none", "connection_timeout: none"]);
    let daemon = desk.start().await;
    desk.dockbridge(&["status"]).await.succeeded();
    daemon.stop().await;
}
