//! A command that only looks creates nothing: neither files nor resources in the cloud project.

use serde_json::json;

use crate::rig::Desk;

/// Every command that shows or removes something.
const COMMANDS: &[&[&str]] = &[
    &["status"],
    &["status", "--json"],
    &["why"],
    &["cost"],
    &["cost", "--json"],
    &["ports"],
    &["logs"],
    &["logs", "server"],
    &["logs", "audit"],
    &["stop"],
    &["wake"],
    &["pin"],
    &["unpin"],
    &["server", "list"],
    &["server", "status"],
    &["server", "destroy"],
    &["server", "ssh", "true"],
    &["volume", "list"],
    &["volume", "delete", "none", "--yes"],
    &["image", "list"],
    &["sweep"],
    &["sweep", "--yes"],
    &["config", "show"],
    &["config", "validate"],
    &["config", "path"],
    &["doctor"],
    &["doctor", "--json"],
    &["version"],
    &["version", "--json"],
];

#[tokio::test]
async fn looking_creates_nothing_in_a_fresh_home() {
    for profile in ["default", "m"] {
        let desk = Desk::new().await;
        for command in COMMANDS {
            let ran = desk.dockbridge(&[&["--profile", profile], *command].concat()).await;
            let home = desk.path("home");
            let made = std::fs::read_dir(&home).map(|entries| entries.count());
            assert!(made.is_err(), "{made:?} entries in {}: {ran}", home.display());
        }
        desk.nothing_was_created().await;
    }
}

#[tokio::test]
async fn version_is_shown_without_daemon_settings_or_cloud() {
    let desk = Desk::new().await;
    desk.settings("activity: {idle_timeout: soon}\n");
    let ran = desk.dockbridge(&["version"]).await;
    let text = ran.succeeded().stdout.replace(desk.directory.path().to_str().unwrap(), "/desk");
    let version = env!("CARGO_PKG_VERSION");
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let expected = format!(
        "dockbridge {version} for {os} on {arch}, agent protocol {}\n\
         Agents in /desk/agents:\n  none     agent-e3b0c44298fc1c14\n\
         No daemon of this profile answers.\n",
        tunnel::PROTOCOL
    );
    assert_eq!((text.as_str(), ran.stderr.as_str()), (expected.as_str(), ""));
    let shown = desk.dockbridge(&["version", "--json"]).await.succeeded().json();
    assert_eq!(
        (&shown["version"], &shown["protocol"]),
        (&json!(version), &json!(tunnel::PROTOCOL))
    );
    assert_eq!(shown["agents"], json!([{"architecture": "none", "id": "agent-e3b0c44298fc1c14"}]));
    assert_eq!(shown["daemon"], json!(null));
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn version_names_the_daemon_and_wakes_no_machine() {
    let desk = Desk::new().await;
    let daemon = desk.start().await;
    let shown = desk.dockbridge(&["version", "--json"]).await.succeeded().json();
    assert_eq!(shown["daemon"]["process"], json!(daemon.child.id()));
    assert_eq!(
        (&shown["daemon"]["state"], &shown["daemon"]["machine"]),
        (&json!("absent"), &json!(null))
    );
    let text = desk.dockbridge(&["version"]).await;
    let served = format!("serves {}\nMachine: absent\n", desk.socket().display());
    text.succeeded().said(&["Daemon: process ", &served, "`docker version` shows"]);
    daemon.stop().await;
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn who_looks_from_a_fresh_home_sees_nothing_of_others() {
    let desk = Desk::new().await;
    let others =
        machine::Identity { profile: machine::Profile::default(), owner: machine::Owner::random() };
    desk.make_server(&others.name(), others.labels("machine"), Vec::new(), true).await;
    desk.dockbridge(&["server", "list"]).await.succeeded().said(&["No server exists."]);
    desk.dockbridge(&["server", "destroy"]).await.succeeded().said(&["No server exists."]);
    desk.dockbridge(&["sweep"]).await.succeeded().said(&["No orphans found."]);
    let left = desk.inventory().await;
    assert!(left.iter().any(|name| name.starts_with("server ")), "{left:?}");
}
