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
        (&["sweep", "-y"], "Nothing"),
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
    desk.nothing_was_created().await;
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
