//! Tokens as found: with line ends, from several sources at once, and with insufficient rights.

use crate::rig::{Desk, READ_ONLY, TOKEN};

#[tokio::test]
async fn a_line_end_is_no_part_of_a_token_whatever_its_source() {
    let mut desk = Desk::new().await;
    for name in ["HCLOUD_TOKEN", "HETZNER_API_TOKEN", "DOCKBRIDGE_HETZNER_API_TOKEN"] {
        desk.unset("HCLOUD_TOKEN").set(name, &format!(" {TOKEN}\r\n"));
        desk.dockbridge(&["server", "list"]).await.succeeded();
        desk.unset(name);
    }
    for settings in [
        format!("hetzner:\n  api_token: |\n    {TOKEN}\n"),
        format!("hetzner: {{token_command: \"printf '{TOKEN}\\\\n\\\\n'\"}}\n"),
    ] {
        desk.settings(&settings);
        desk.dockbridge(&["server", "list"]).await.succeeded();
    }
    desk.settings("");
    std::fs::write(desk.path("home/config/token"), format!("\u{feff}{TOKEN}\n")).unwrap();
    desk.dockbridge(&["server", "list"]).await.succeeded();
    let image = ["image", "list", "--token", &format!("{TOKEN}\n")];
    desk.dockbridge(&image).await.succeeded();
}

#[tokio::test]
async fn a_token_that_cannot_be_sent_is_reported_with_its_source_and_character() {
    let mut desk = Desk::new().await;
    let bad = "abc def";
    desk.set("HCLOUD_TOKEN", bad);
    let expected = "contains an invalid character: a blank (U+0020) at position 4";
    let list = desk.dockbridge(&["server", "list"]).await;
    list.failed(1, &[&format!("Error: the API token in HCLOUD_TOKEN {expected}")]);
    assert!(!list.stderr.contains(bad), "{list}");
    desk.unset("HCLOUD_TOKEN").settings(&format!("hetzner: {{api_token: {bad}}}\n"));
    desk.dockbridge(&["sweep"]).await.failed(1, &["`hetzner.api_token`", expected]);
    desk.settings("");
    desk.dockbridge_with_input(&["init", "--token-stdin"], bad)
        .await
        .failed(1, &[&format!("the API token in standard input {expected}")]);
}

#[tokio::test]
async fn a_variable_that_wins_over_the_kept_token_is_named() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN");
    desk.dockbridge_with_input(&["init", "--token-stdin", "--no-context"], TOKEN).await.succeeded();
    desk.set("HCLOUD_TOKEN", "old");
    let kept = desk.path("home/config/token");
    let hint = format!(
        "Hint: the token comes from HCLOUD_TOKEN, which overrides the one that `init` saved in {}: \
         unset HCLOUD_TOKEN, or set it to a valid token",
        kept.display()
    );
    for command in [&["server", "list"][..], &["start"], &["sweep"], &["init", "--yes"]] {
        let ran = desk.dockbridge(command).await;
        ran.failed(1, &[&hint]);
        assert!(!ran.stderr.contains("run `dockbridge init`"), "it cannot help: {ran}");
    }
    // `init` warns that the new token will not be used.
    let init = ["init", "--token-stdin", "--no-context"];
    let ran = desk.dockbridge_with_input(&init, TOKEN).await;
    ran.succeeded().said(&["Note: HCLOUD_TOKEN is set and overrides the saved token"]);
}

#[tokio::test]
async fn a_token_that_may_only_read_is_refused_at_init() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN");
    let expected = [
        "Error: this token can only read, but dockbridge creates and deletes machines",
        "Hint: create one with Read & Write in the Hetzner Cloud console",
    ];
    desk.dockbridge_with_input(&["init", "--token-stdin"], READ_ONLY).await.failed(1, &expected);
    assert!(!desk.path("home/config/token").exists(), "it was kept");
    desk.set("HCLOUD_TOKEN", READ_ONLY);
    desk.dockbridge(&["init", "--yes"]).await.failed(1, &expected[..1]);
    desk.nothing_was_created().await;
}
