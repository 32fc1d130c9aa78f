//! A command that only looks creates nothing: neither files nor resources in the cloud project.

use crate::rig::Desk;

/// Every command that shows or removes something.
const COMMANDS: &[&[&str]] = &[
    &["status"],
    &["status", "--json"],
    &["why"],
    &["cost"],
    &["cost", "--json"],
    &["ports"],
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
