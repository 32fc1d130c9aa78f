//! Commands that users type first, with the words of other tools: each works, or names the one that
//! does.

use crate::rig::Desk;

#[tokio::test]
async fn words_of_other_tools_work_or_name_the_command() {
    let desk = Desk::new().await;
    let daemonless: &[&[&str]] = &[&["up"], &["ports", "ls"], &["ports", "rm", "8080"], &["ssh"]];
    for arguments in daemonless {
        // As far as without a daemon and a machine.
        desk.dockbridge(arguments).await.failed(3, &["dockbridge "]);
    }
    let nothing: &[(&[&str], &str)] = &[
        (&["server", "ls"], "No server exists."),
        (&["volume", "ls"], "No volume exists."),
        (&["image", "ls"], "This owner has no images."),
        (&["destroy"], "No server exists."),
        (&["server", "rm"], "No server exists."),
        (&["sweep", "-y"], "No orphans found."),
        (&["-v"], "dockbridge "),
        (&["-V"], "dockbridge "),
        (&["help", "start"], "-d, --detach"),
        (&["help", "up"], "Usage: dockbridge wake"),
    ];
    for (arguments, expected) in nothing {
        desk.dockbridge(arguments).await.succeeded().said(&[expected]);
    }
    let pointed: &[(&str, &str)] = &[
        ("down", "`dockbridge server destroy` deletes the machine"),
        ("ps", "`docker ps` lists containers"),
        ("list", "`dockbridge server list`"),
        ("login", "`dockbridge init` asks for an API token"),
        ("logout", "`dockbridge uninstall --purge` removes it"),
        ("run", "`docker run` works as ever"),
        ("rm", "`dockbridge volume delete`"),
    ];
    for (word, hint) in pointed {
        let message = format!("Error: dockbridge has no command {word:?}");
        desk.dockbridge(&[word]).await.failed(2, &[&message, hint]);
    }
    desk.dockbridge(&["--profile", "lab", "down"])
        .await
        .failed(2, &["`dockbridge --profile lab server destroy`"]);
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn codes_are_explained_without_settings_and_for_programs() {
    let desk = Desk::new().await;
    desk.settings("no: settings\n");
    desk.dockbridge(&["explain"]).await.succeeded().said(&["  token_invalid ", "  volume_full "]);
    desk.dockbridge(&["explain", "TOKEN-INVALID"])
        .await
        .succeeded()
        .said(&["token_invalid (error, cloud)", "Trying again"]);
    let one = desk.dockbridge(&["explain", "clock_wrong", "--json"]).await.json();
    assert_eq!(one["errors"][0]["retryable"], false, "{one}");
    assert_eq!(one["warnings"][0]["severity"], "medium", "{one}");
    let all = desk.dockbridge(&["explain", "--json"]).await.json();
    assert_eq!(all["errors"].as_array().unwrap().len(), api::Code::ALL.len());
    desk.dockbridge(&["--profile", "lab", "explain", "token_invalid"])
        .await
        .succeeded()
        .said(&["`dockbridge --profile", "lab init`"]);
}

#[tokio::test]
async fn volume_is_deleted_by_the_words_of_docker() {
    let desk = Desk::new().await;
    let identity = desk.identity("default");
    let volume = desk.make_volume("data", identity.labels("data")).await;
    desk.dockbridge(&["volume", "rm", "data"]).await.failed(1, &["no terminal to ask"]);
    desk.dockbridge(&["volume", "rm", "-f", "data"]).await.succeeded().said(&[&volume.name]);
    desk.nothing_was_created().await;
}
