//! One machine for two computers: one after the other, at once, and neither ends it while the
//! other uses it.

use std::time::Duration;

use hetzner::{Query, Server};

use super::Computer;
use crate::rig::{Stage, pass_over};

/// A running machine learns of a new key within 75 s.
const LONGEST_ADMISSION: Duration = Duration::from_secs(120);

async fn only_server(stage: &Stage) -> Server {
    let mut servers = stage.api.servers().list(&Query::default()).await.unwrap();
    assert_eq!(servers.len(), 1, "{servers:?}");
    servers.remove(0)
}

fn admitted(server: &Server) -> usize {
    server.labels.keys().filter(|label| label.starts_with("dockbridge-login-")).count()
}

#[tokio::test]
async fn a_new_machine_serves_both_computers_at_once() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let [first, second] = Computer::pair(&stage).await;
    let daemons = (first.start(&[]).await, second.start(&[]).await);
    first.docker(&["ps"]).await.succeeded();
    let server = only_server(&stage).await;
    let (one, other) = tokio::join!(
        first.docker(&["volume", "create", "one"]),
        second.docker(&["volume", "create", "two"])
    );
    one.succeeded();
    other.succeeded();
    for computer in [&first, &second] {
        let volumes = computer.docker(&["volume", "ls", "--quiet"]).await;
        assert_eq!(volumes.succeeded().stdout, "one\ntwo\n");
        computer.dockbridge(&["server", "ssh", "true"]).await.succeeded();
    }
    assert_eq!(only_server(&stage).await.id, server.id);
    daemons.0.stop().await;
    daemons.1.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn a_machine_that_runs_refuses_an_unknown_computer_at_once_and_admits_it_soon() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let [first, second] = Computer::pair(&stage).await;
    // As if the second computer had just joined: its key is not in the project when the machine is
    // created.
    for key in stage.api.ssh_keys().list(&Query::default()).await.unwrap() {
        stage.api.ssh_keys().delete(key.id).await.unwrap();
    }
    let daemon = first.start(&[]).await;
    first.docker(&["volume", "create", "kept"]).await.succeeded();
    first.dockbridge(&["pin"]).await.succeeded();
    let server = only_server(&stage).await;
    assert_eq!(admitted(&server), 1, "{:?}", server.labels);

    let other = second.start(&[]).await;
    let refused = second.docker(&["ps"]).await;
    refused.failed_with("was made by another computer of this owner");
    refused.failed_with("dockbridge on the other computer lets it in within 75 s");
    eprintln!("refused after {:.2} s", refused.took.as_secs_f64());
    let logged_in = second.dockbridge(&["server", "ssh", "true"]).await;
    logged_in.failed_with("was made by another computer of this owner");
    let same = only_server(&stage).await;
    assert_eq!((same.id, same.status), (server.id, server.status), "it goes on");
    first.docker(&["ps"]).await.succeeded();

    let knows = async || admitted(&only_server(&stage).await) == 2;
    stage.eventually("the machine admits the second computer", LONGEST_ADMISSION, knows).await;
    let volumes = second.docker(&["volume", "ls", "--quiet"]).await;
    assert_eq!(volumes.succeeded().stdout, "kept\n");
    assert_eq!(only_server(&stage).await.id, server.id);

    // The first stops; the second keeps using the machine and ends it.
    daemon.stop().await;
    second.docker(&["ps"]).await.succeeded();
    second.dockbridge(&["server", "destroy"]).await.succeeded();
    assert_eq!(stage.counts().await, (0, 1), "the volume stays");
    second.docker(&["volume", "inspect", "kept"]).await.succeeded();
    let next = only_server(&stage).await;
    assert_ne!(next.id, server.id);
    assert_eq!(admitted(&next), 2, "both from the start: {:?}", next.labels);
    let daemon = first.start(&[]).await;
    first.docker(&["volume", "inspect", "kept"]).await.succeeded();
    assert_eq!(only_server(&stage).await.id, next.id);
    daemon.stop().await;
    other.stop().await;
    stage.close().await;
}
