//! Lists and cleanup of the cloud project: the owner's resources, orphans, and nothing of other
//! owners.

use hetzner::{Labels, Query};

use crate::rig::Desk;

#[tokio::test]
async fn servers_and_volumes_are_listed_for_people_and_for_programs() {
    let desk = Desk::new().await;
    let identity = desk.identity("default");
    desk.dockbridge(&["server", "list"]).await.succeeded().said(&["No server exists."]);
    desk.dockbridge(&["volume", "list"]).await.succeeded().said(&["No volume exists."]);
    assert_eq!(
        desk.dockbridge(&["server", "list", "--json"]).await.succeeded().json(),
        serde_json::json!([])
    );
    desk.dockbridge(&["server", "status"])
        .await
        .failed(3, &["Error: no machine exists", "Hint: the next docker command creates one"]);
    desk.dockbridge(&["server", "ssh", "true"])
        .await
        .failed(3, &["Error: no machine exists", "Hint: `dockbridge wake` creates one"]);
    desk.dockbridge(&["server", "destroy"]).await.succeeded().said(&["No server exists."]);

    let volume = desk.make_volume(&identity.name(), identity.labels("data")).await;
    let server =
        desk.make_server(&identity.name(), identity.labels("machine"), vec![volume.id], true).await;
    let other = desk.identity("other");
    desk.make_volume(&other.name(), other.labels("data")).await;
    desk.make_server("strange", Labels::new(), Vec::new(), true).await;

    let servers = desk.dockbridge(&["server", "list", "--json"]).await.succeeded().json();
    assert_eq!(servers.as_array().unwrap().len(), 1, "{servers}");
    assert_eq!(
        (&servers[0]["id"], &servers[0]["location"]),
        (&server.id.into(), &"fsn1".into()),
        "{servers}"
    );
    let volumes = desk.dockbridge(&["volume", "list", "--json"]).await.succeeded().json();
    assert_eq!(volumes.as_array().unwrap().len(), 1, "{volumes}");
    assert_eq!(
        (&volumes[0]["id"], &volumes[0]["server"]),
        (&volume.id.into(), &server.id.into()),
        "{volumes}"
    );
    let line =
        format!("{} ({}, 10 GB in fsn1), attached to server {}", volume.name, volume.id, server.id);
    desk.dockbridge(&["volume", "list"]).await.succeeded().said(&[&line, "EUR net a month"]);
    desk.dockbridge(&["server", "list"])
        .await
        .succeeded()
        .said(&[&format!("{} ({}, cx23 in fsn1), running", server.name, server.id)]);
    let others = desk
        .dockbridge(&["--profile", "other", "volume", "list", "--json"])
        .await
        .succeeded()
        .json();
    assert_eq!(others[0]["name"], other.name(), "{others}");
}

#[tokio::test]
async fn a_volume_is_deleted_only_by_name_unattached_and_confirmed() {
    let desk = Desk::new().await;
    let identity = desk.identity("default");
    desk.dockbridge(&["volume", "delete", "mine", "--yes"])
        .await
        .failed(1, &["Error: no volume is called \"mine\"", "Hint: this profile has none"]);
    let volume = desk.make_volume(&identity.name(), identity.labels("data")).await;
    let strange = desk.make_volume("strange", Labels::new()).await;
    let name = volume.name.as_str();
    for wanted in ["mine", "strange", &strange.id.to_string()] {
        desk.dockbridge(&["volume", "delete", wanted, "--yes"]).await.failed(
            1,
            &[
                &format!("Error: no volume is called {wanted:?}"),
                &format!("Hint: this profile has {name}"),
            ],
        );
    }
    desk.dockbridge(&["volume", "delete", name]).await.failed(
        1,
        &[
            "Error: no terminal to ask for confirmation on",
            "Hint: add --yes to delete without confirmation",
        ],
    );

    let server =
        desk.make_server(&identity.name(), identity.labels("machine"), vec![volume.id], true).await;
    desk.dockbridge(&["volume", "delete", name, "--yes"]).await.failed(
        1,
        &[
            &format!("Error: volume {name} is attached to server {}", server.id),
            "Hint: run `dockbridge server destroy` first",
        ],
    );
    assert_eq!(desk.inventory().await.iter().filter(|name| name.starts_with("volume ")).count(), 2);

    desk.dockbridge(&["server", "destroy"]).await.succeeded().said(&["Deleted the server. The \
     volume stays."]);
    desk.dockbridge(&["volume", "delete", name, "--yes"])
        .await
        .succeeded()
        .said(&[&format!("Deleted volume {name}.")]);
    assert_eq!(desk.inventory().await, ["volume strange"]);
}

#[tokio::test]
async fn a_sweep_removes_orphans_and_nothing_else() {
    let desk = Desk::new().await;
    let identity = desk.identity("default");
    let other = desk.identity("other");
    desk.dockbridge(&["sweep"]).await.succeeded().said(&["No orphans found."]);

    let volume = desk.make_volume(&other.name(), other.labels("data")).await;
    let off =
        desk.make_server(&other.name(), other.labels("machine"), vec![volume.id], false).await;
    let empty =
        desk.make_server(&identity.name(), identity.labels("machine"), Vec::new(), true).await;
    desk.make_server("strange", Labels::new(), Vec::new(), false).await;
    let mut theirs = identity.labels("machine");
    theirs.insert("dockbridge-owner".to_owned(), "somebodyelse".to_owned());
    desk.make_server("theirs", theirs, Vec::new(), false).await;
    let kept = desk.keep_address("sweep-me", identity.labels("address")).await;
    let used = desk.keep_address("strange-address", Labels::new()).await;
    let before = desk.inventory().await;

    let lines = [
        format!("server {} ({}): it is off and still billed", off.name, off.id),
        format!("server {} ({}): it has no volume", empty.name, empty.id),
        format!("primary IP primary_ip-{kept} ({kept}): no server has it, and it is billed"),
        "`dockbridge sweep --yes` removes them.".to_owned(),
    ];
    desk.dockbridge(&["sweep"]).await.succeeded().said(&lines.each_ref().map(String::as_str));
    let listed = desk.dockbridge(&["sweep", "--json"]).await.succeeded().json();
    assert_eq!(listed.as_array().unwrap().len(), 3, "{listed}");
    assert_eq!(desk.inventory().await, before, "looking removes nothing");

    desk.dockbridge(&["sweep", "--yes"]).await.succeeded().said(&["Removed."]);
    let mut left = desk.inventory().await;
    left.sort();
    assert_eq!(
        left,
        [
            "server strange".to_owned(),
            "server theirs".to_owned(),
            format!("volume {}", volume.name)
        ]
    );
    let addresses: Vec<u64> = desk
        .api
        .primary_ips()
        .list(&Query::default())
        .await
        .unwrap()
        .into_iter()
        .map(|found| found.id)
        .collect();
    assert!(!addresses.contains(&kept) && addresses.contains(&used), "{addresses:?}");
    desk.dockbridge(&["sweep"]).await.succeeded().said(&["No orphans found."]);
}
