//! The API token in the keyring of the session: GNOME Keyring on a private bus.

use crate::keyring_rig::GnomeKeyring;
use crate::rig::{Desk, TOKEN, mode};

/// A user with an unlocked keyring and no token in the environment.
async fn desk_with_keyring() -> Option<(Desk, GnomeKeyring)> {
    let gnome = GnomeKeyring::unlocked().await?;
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN").set("DBUS_SESSION_BUS_ADDRESS", gnome.address());
    Some((desk, gnome))
}

/// The token in the keyring, as another program reads it.
async fn kept(desk: &Desk, gnome: &GnomeKeyring, profile: &str) -> Option<String> {
    let directory = desk.path("home/config").display().to_string();
    gnome.lookup(&[("profile", profile), ("directory", &directory)]).await
}

fn token_file(desk: &Desk) -> String {
    std::fs::read_to_string(desk.path("home/config/token")).unwrap()
}

#[tokio::test]
async fn init_saves_the_token_in_the_keyring_and_every_command_finds_it_there() {
    let Some((desk, gnome)) = desk_with_keyring().await else { return };
    let ran = desk.dockbridge_with_input(&["init", "--token-stdin"], TOKEN).await;
    ran.succeeded().said(&["Saved the token in the keyring of your session."]);
    assert_eq!(kept(&desk, &gnome, "default").await.as_deref(), Some(TOKEN));
    assert!(!token_file(&desk).contains(TOKEN));
    assert_eq!(mode(&desk.path("home/config/token")), 0o600);
    desk.dockbridge(&["server", "list"]).await.succeeded();
    desk.dockbridge(&["doctor"]).await.said(&["from the keyring"]);
    let shown = desk.dockbridge(&["config", "show", "--origin"]).await;
    shown.succeeded().said(&["# api_token: saved by init in the keyring, not shown"]);
    desk.start().await.stop().await;
    // Another profile uses the token of the default one.
    desk.dockbridge(&["--profile", "lab", "server", "list"]).await.succeeded();

    let ran = desk.dockbridge(&["init", "--yes", "--no-keyring"]).await;
    ran.succeeded().said(&["Saved the token in ", "readable by you alone"]);
    assert_eq!(token_file(&desk), TOKEN);
    assert_eq!(kept(&desk, &gnome, "default").await, None, "it stays in the keyring");
    desk.dockbridge(&["server", "list"]).await.succeeded();
}

#[tokio::test]
async fn a_locked_keyring_is_an_error_that_says_what_to_do() {
    let Some((mut desk, gnome)) = desk_with_keyring().await else { return };
    desk.dockbridge_with_input(&["init", "--token-stdin"], TOKEN).await.succeeded();
    gnome.lock().await;
    let expected = [
        "Error: cannot read the API token: the keyring is locked",
        "Hint: log in to your desktop, or unlock the keyring in its settings",
        "Hint: `dockbridge init --no-keyring` saves the token in a file that only you can read",
    ];
    for command in [&["start"][..], &["start", "--detach"], &["server", "list"]] {
        desk.dockbridge(command).await.failed(1, &expected);
    }
    let ran = desk.dockbridge(&["server", "list", "--json"]).await;
    ran.failed(1, &["\"keyring_locked\""]);
    // The token is not asked for in vain where another one is set.
    desk.set("HCLOUD_TOKEN", TOKEN).dockbridge(&["server", "list"]).await.succeeded();
    desk.unset("HCLOUD_TOKEN");

    let ran = desk.dockbridge_with_input(&["init", "--token-stdin"], TOKEN).await;
    ran.succeeded().said(&["Saved the token in ", "readable by you alone"]);
    let note = "Note: the token is saved in a file instead: the keyring is locked.";
    assert!(ran.stderr.contains(note), "{ran}");
    desk.dockbridge(&["server", "list"]).await.succeeded();
}

#[tokio::test]
async fn without_a_keyring_or_by_the_settings_the_token_is_in_a_file() {
    let Some((mut desk, gnome)) = desk_with_keyring().await else { return };
    desk.settings("hetzner: {keyring: false}\n");
    desk.dockbridge_with_input(&["init", "--token-stdin"], TOKEN).await.succeeded();
    assert_eq!(token_file(&desk), TOKEN);
    assert_eq!(kept(&desk, &gnome, "default").await, None);

    desk.settings("");
    desk.dockbridge_with_input(&["init", "--token-stdin"], TOKEN).await.succeeded();
    assert!(kept(&desk, &gnome, "default").await.is_some());
    desk.set("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    desk.dockbridge(&["server", "list"]).await.failed(
        1,
        &[
            "Error: cannot read the API token: no keyring answers in this session",
            "Hint: `dockbridge init --no-keyring`",
        ],
    );
    let ran = desk.dockbridge_with_input(&["init", "--token-stdin"], TOKEN).await;
    ran.succeeded().said(&["Saved the token in ", "readable by you alone"]);
    assert_eq!(token_file(&desk), TOKEN);
}

#[tokio::test]
async fn uninstall_removes_the_token_from_the_keyring_with_the_settings() {
    let Some((desk, gnome)) = desk_with_keyring().await else { return };
    for profile in ["default", "lab"] {
        let init = ["--profile", profile, "init", "--token-stdin"];
        desk.dockbridge_with_input(&init, TOKEN).await.succeeded();
        assert!(kept(&desk, &gnome, profile).await.is_some(), "{profile}");
    }
    desk.dockbridge(&["uninstall", "--yes"]).await.succeeded();
    assert!(kept(&desk, &gnome, "lab").await.is_some(), "tokens stay without --purge");
    desk.dockbridge(&["uninstall", "--purge", "--yes"]).await.succeeded();
    for profile in ["default", "lab"] {
        assert_eq!(kept(&desk, &gnome, profile).await, None, "{profile}");
    }
}

#[tokio::test]
async fn a_token_that_another_program_removed_from_the_keyring_is_missing() {
    let Some((desk, gnome)) = desk_with_keyring().await else { return };
    desk.dockbridge_with_input(&["init", "--token-stdin"], TOKEN).await.succeeded();
    let directory = desk.path("home/config").display().to_string();
    let mut clear = desk.command("secret-tool");
    clear.args(["clear", "directory", &directory]);
    crate::rig::run(clear, "").await.succeeded();
    assert_eq!(kept(&desk, &gnome, "default").await, None);
    desk.dockbridge(&["server", "list"]).await.failed(
        1,
        &[
            "Error: the keyring has no API token of profile default",
            "Hint: run `dockbridge init` to save it again",
        ],
    );
}
