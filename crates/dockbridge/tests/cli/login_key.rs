//! `dockbridge key rotate` without machines: project and files after each step, and after a
//! rotation that was cut off at each point. With a machine: `tests/e2e/upkeep/login_key.rs`.

use hetzner::Query;
use russh::keys::PrivateKey;

use crate::rig::{Desk, Ran, mode};

const ROTATE: [&str; 2] = ["key", "rotate"];

/// A public key of a file in the configuration directory, without its comment.
fn public(desk: &Desk, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(desk.path("home/config").join(name)).ok()?;
    let key = PrivateKey::from_openssh(&text).expect("a whole key");
    let line = key.public_key().to_openssh().unwrap();
    Some(line.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

fn current(desk: &Desk) -> String {
    public(desk, "ssh_ed25519").unwrap()
}

/// The keys in the project, without their comments.
async fn registered(desk: &Desk) -> Vec<String> {
    let keys = desk.api.ssh_keys().list(&Query::default()).await.unwrap();
    let line = |key: hetzner::SshKey| {
        key.public_key.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    };
    keys.into_iter().map(line).collect()
}

/// Files of a rotation that has not ended.
fn left(desk: &Desk) -> Vec<String> {
    let entries = std::fs::read_dir(desk.path("home/config")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("ssh_ed25519.")).collect()
}

/// A computer whose login key is in the project.
async fn set_up() -> Desk {
    let desk = Desk::new().await;
    desk.dockbridge(&["init", "--yes", "--no-context"]).await.succeeded();
    desk.dockbridge(&ROTATE).await.succeeded();
    assert_eq!(registered(&desk).await, [current(&desk)]);
    desk
}

async fn is_over(desk: &Desk) {
    assert_eq!(registered(desk).await, [current(desk)], "only the login key is left");
    assert_eq!(left(desk), Vec::<String>::new());
    assert_eq!(mode(&desk.path("home/config/ssh_ed25519")), 0o600);
}

fn printed(ran: &Ran) -> String {
    let words = ran.stdout.split_inclusive(char::is_whitespace);
    let same = words.map(|word| match word.starts_with("SHA256:") {
        true => "SHA256:…\n".to_owned(),
        false => word.to_owned(),
    });
    same.collect()
}

#[tokio::test]
async fn a_login_key_is_replaced_in_file_and_project() {
    let desk = set_up().await;
    let before = current(&desk);
    let ran = desk.dockbridge(&ROTATE).await;
    insta::assert_snapshot!(printed(ran.succeeded()), @r"
    Made a new login key: SHA256:…
    The new key is in the project, and in use on this computer.
    Removed the former key: SHA256:…
    ");
    assert_ne!(current(&desk), before);
    is_over(&desk).await;
}

#[tokio::test]
async fn a_former_key_stays_until_no_daemon_uses_it() {
    let desk = set_up().await;
    let before = current(&desk);
    let daemon = desk.start().await;
    let process = daemon.child.id().unwrap().to_string();
    let ran = desk.dockbridge(&ROTATE).await;
    insta::assert_snapshot!(printed(ran.succeeded()).replace(&process, "4711"), @r"
    Made a new login key: SHA256:…
    The new key is in the project, and in use on this computer.
    The former key stays admitted, because these daemons may use it until they start again:
      profile default, process 4711
    Next: stop and start each, then `dockbridge key rotate` removes the former key.
    ");
    let mut both = [before, current(&desk)];
    let mut keys = registered(&desk).await;
    both.sort();
    keys.sort();
    assert_eq!(keys, both);
    // Asked again, the same daemon still uses it.
    desk.dockbridge(&ROTATE).await.succeeded().said(&["  profile default, process "]);
    assert_eq!(registered(&desk).await.len(), 2);
    daemon.stop().await;
    // One that has started since uses the new key.
    let daemon = desk.start().await;
    desk.dockbridge(&ROTATE).await.succeeded().said(&["Removed the former key: "]);
    is_over(&desk).await;
    daemon.stop().await;
}

/// A cloud that fails at one request is a rotation that ends there.
#[tokio::test]
async fn a_rotation_that_fails_at_any_request_leaves_a_working_key_and_goes_on() {
    let desk = set_up().await;
    for (method, path) in [
        ("GET", "/v1/ssh_keys"),
        ("POST", "/v1/ssh_keys"),
        ("GET", "/v1/servers"),
        ("DELETE", "/v1/ssh_keys/*"),
    ] {
        let fault = format!(
            r#"{{"kind": "server_error", "match": {{"method": "{method}", "path": "{path}"}},
                 "times": 1000}}"#
        );
        desk.control().post("faults", &fault).await;
        let ran = desk.dockbridge(&ROTATE).await;
        assert!(!ran.status.success(), "{method} {path}: {ran}");
        desk.control().delete("faults").await;
        let keys = registered(&desk).await;
        assert!(keys.contains(&current(&desk)), "{method} {path}: the login key is gone: {ran}");
        desk.dockbridge(&ROTATE).await.succeeded().said(&["Removed the former key: "]);
        is_over(&desk).await;
    }
}

#[tokio::test]
async fn a_rotation_that_was_killed_between_any_two_files_goes_on() {
    let desk = set_up().await;
    let config = desk.path("home/config");
    let copy = |from: &str, to: &str| {
        std::fs::copy(config.join(from), config.join(to)).unwrap();
    };
    // Keys for the states: those of two rotations that were killed before they began.
    let rotated = current(&desk);
    copy("ssh_ed25519", "saved");
    desk.dockbridge(&ROTATE).await.succeeded();
    let (spare, other) = (current(&desk), "other");
    copy("ssh_ed25519", other);
    copy("saved", "ssh_ed25519");
    assert_ne!(spare, rotated);

    // The new key was made.
    copy(other, "ssh_ed25519.next");
    desk.dockbridge(&ROTATE).await.succeeded();
    assert_eq!(current(&desk), spare, "the new key that exists is used");
    is_over(&desk).await;

    // The former key was copied, and the new one is not in use.
    copy("saved", "ssh_ed25519.next");
    copy("ssh_ed25519", "ssh_ed25519.old");
    desk.dockbridge(&ROTATE).await.succeeded();
    assert_eq!(current(&desk), rotated);
    is_over(&desk).await;

    // The new key is in use, and the former one was not removed.
    copy("ssh_ed25519", "ssh_ed25519.old");
    copy(other, "ssh_ed25519");
    let ran = desk.dockbridge(&ROTATE).await;
    ran.succeeded().said(&["Removed the former key: "]);
    assert!(!ran.stdout.contains("Made"), "another rotation began: {ran}");
    assert_eq!(current(&desk), spare);
    assert_eq!(left(&desk), Vec::<String>::new());
}

#[tokio::test]
async fn a_key_stays_while_a_machine_that_it_opens_cannot_be_reached() {
    let desk = set_up().await;
    let before = current(&desk);
    let identity = desk.identity("default");
    desk.make_server(&identity.name(), identity.labels("machine"), Vec::new(), true).await;
    let ran = desk.dockbridge(&ROTATE).await;
    ran.failed(1, &["Hint: the former key stays in use; `dockbridge key rotate` goes on"]);
    assert_eq!(current(&desk), before);
    assert!(registered(&desk).await.contains(&before));
    desk.dockbridge(&["server", "destroy"]).await.succeeded();
    desk.dockbridge(&ROTATE).await.succeeded();
    assert_ne!(current(&desk), before);
    is_over(&desk).await;
}

#[tokio::test]
async fn a_key_of_ones_own_is_not_replaced() {
    let mut desk = Desk::new().await;
    desk.dockbridge(&ROTATE).await.failed(
        1,
        &["Error: this computer has no login key yet", "Hint: `dockbridge init` makes one"],
    );
    desk.dockbridge(&["init", "--yes", "--no-context"]).await.succeeded();
    let own = desk.path("home/config/ssh_ed25519").display().to_string();
    desk.set("DOCKBRIDGE_SSH_PRIVATE_KEY_PATH", &own);
    let expected = format!("Error: the login key is a file of your own, {own}");
    desk.dockbridge(&ROTATE).await.failed(1, &[&expected, "`ssh.private_key_path`"]);
    desk.nothing_was_created().await;
}
