//! The likeliest mistakes of a newcomer, as far as they need no machine. What they see is a part of
//! docs/first-use.md.

use crate::newcomer::{Newcomer, compare_with_document};
use crate::rig::{Desk, READ_ONLY, TOKEN};

#[tokio::test]
async fn likeliest_mistakes_are_answered_as_the_page_shows() {
    let desk = Desk::new().await;
    let (place, endpoint) = (desk.directory.path(), desk.cloud.endpoint());
    let Some(mut newcomer) = Newcomer::new(place, &endpoint, &desk.path("agents")) else { return };
    newcomer.file("token.txt", TOKEN);
    newcomer.file("old-token.txt", "0000old0000");
    newcomer.file("read-only.txt", READ_ONLY);
    with_the_token(&mut newcomer).await;
    with_the_daemon(&mut newcomer).await;
    with_settings(&mut newcomer).await;
    newcomer.run("dockbridge stop").await.succeeded();
    desk.nothing_was_created().await;
    compare_with_document("mistakes", &newcomer);
}

async fn with_the_token(newcomer: &mut Newcomer) {
    newcomer.heading("1. Start before init", "There is no token yet.");
    newcomer.types(&["dockbridge start --detach"], false).await;

    newcomer.heading("2. A wrong token", "It was deleted in the console, or copied in part.");
    newcomer.types(&["dockbridge init --token-stdin <old-token.txt"], false).await;

    newcomer.heading(
        "3. A token that can only read",
        "The console offers Read and Read & Write; machines need the second.",
    );
    newcomer.types(&["dockbridge init --token-stdin <read-only.txt"], false).await;

    newcomer.heading(
        "4. An old token in the environment",
        "Another tool wanted HCLOUD_TOKEN once, and it is set in each shell since.",
    );
    newcomer.run("dockbridge init --token-stdin <token.txt").await.succeeded();
    newcomer.types(&["HCLOUD_TOKEN=$(cat old-token.txt) dockbridge start"], false).await;
}

async fn with_the_daemon(newcomer: &mut Newcomer) {
    newcomer.heading(
        "5. Docker before start",
        "Docker's own message does not know what should listen there; `status` does.",
    );
    let lines = ["docker --context dockbridge ps", "dockbridge status"];
    newcomer.types(&lines, false).await;

    newcomer.heading(
        "6. Commands of other tools",
        "`up` is another word for `wake`, which needs the daemon. The others name what to use.",
    );
    newcomer.types(&["dockbridge up"], false).await;
    newcomer.types(&["dockbridge down", "dockbridge run hello-world"], false).await;
    newcomer.types(&["dockbridge start -d", "dockbridge start -d"], true).await;
}

async fn with_settings(newcomer: &mut Newcomer) {
    newcomer.heading(
        "7. A typing error in the settings",
        "No command changes the file, and a daemon that runs keeps its settings.",
    );
    let wrong = "dockbridge config set activity.idle_timout 10m";
    newcomer.types(&[wrong, "dockbridge config set hetzner.volume_size 20GB"], false).await;

    newcomer.heading(
        "8. A server type that is not sold",
        "Only the cloud knows its types: the docker command that needs a machine reports it.",
    );
    newcomer.run("dockbridge config set hetzner.server_types cx99").await.succeeded();
    newcomer.run("dockbridge stop && dockbridge start --detach").await.succeeded();
    newcomer.types(&["docker --context dockbridge images"], false).await;
}
