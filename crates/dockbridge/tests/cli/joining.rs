//! A second computer joins the owner of the first with a text.

use crate::rig::{Desk, TOKEN};

/// The text that `init` printed.
fn text_of(expected: &str) -> String {
    expected.split_once("--join ").expect("a text to join").1.split('`').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_second_computer_joins_an_owner_and_has_a_login_key_of_its_own() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN");
    let first = desk.dockbridge_with_input(&["init", "--token-stdin", "--no-context"], TOKEN).await;
    let text = text_of(&first.succeeded().stdout);
    desk.nothing_was_created().await;

    // The text also contains the API's address.
    let second = desk.path("second");
    desk.unset("HCLOUD_ENDPOINT").set("DOCKBRIDGE_HOME", second.to_str().unwrap());
    let join = ["init", "--token-stdin", "--no-context", "--join", &text];
    let joined = desk.dockbridge_with_input(&join, TOKEN).await;
    joined.succeeded().said(&["This computer's login key is in the project."]);
    let read = |home: &str, name: &str| {
        std::fs::read_to_string(desk.path(home).join("config").join(name)).unwrap()
    };
    assert_eq!(read("home", "owner"), read("second", "owner"));
    assert_ne!(read("home", "ssh_ed25519"), read("second", "ssh_ed25519"));
    let keys = desk.inventory().await;
    let name = format!("SSH key dockbridge-{}-", read("second", "owner").trim());
    assert!(keys.len() == 1 && keys[0].starts_with(&name), "{keys:?}");

    // A repeated join does no harm, and another owner does not replace it.
    desk.dockbridge_with_input(&join, TOKEN).await.succeeded();
    assert_eq!(desk.inventory().await, keys);
    let third = desk.path("third");
    let endpoint = desk.cloud.endpoint();
    desk.set("DOCKBRIDGE_HOME", third.to_str().unwrap()).set("HCLOUD_ENDPOINT", &endpoint);
    desk.dockbridge_with_input(&["init", "--token-stdin", "--no-context"], TOKEN).await.succeeded();
    let own = std::fs::read_to_string(third.join("config/owner")).unwrap();
    let expected = format!(
        "Error: this computer has its own owner id {}, and its machines and volumes carry it",
        own.trim()
    );
    desk.dockbridge_with_input(&join, TOKEN).await.failed(1, &[&expected]);
    assert_eq!(std::fs::read_to_string(third.join("config/owner")).unwrap(), own);
}

#[tokio::test]
async fn a_text_with_a_typing_error_is_refused() {
    let desk = Desk::new().await;
    let first = desk.dockbridge(&["init", "--yes", "--no-context"]).await;
    let text = text_of(&first.succeeded().stdout);
    let (owner, rest) = text.split_once('-').unwrap();
    let turned: String = owner.chars().rev().collect();
    for wrong in [owner.to_owned(), format!("{turned}-{rest}"), String::from("x")] {
        let ran = desk.dockbridge(&["init", "--yes", "--join", &wrong]).await;
        ran.failed(2, &["is not a text from `dockbridge init`"]);
    }
}
