//! The books and what bills now: each server and volume is in `cost` whatever became of it and
//! whichever command deleted it, and whatever bills is on the first screen of `status` with its
//! price.

use hetzner::{Labels, Query};
use serde_json::{Value, json};

use crate::bill::servers;
use crate::rig::{Desk, run};

/// `cost` and the cloud's own bill name the same servers with the same prices.
async fn equals_the_clouds_bill(desk: &Desk, count: usize) {
    let ours = desk.dockbridge(&["cost", "--json"]).await.succeeded().json();
    let theirs = desk.control().get("bill").await["default"].clone();
    assert_eq!(servers(&ours, "cost"), servers(&theirs, "net"), "{ours}\n{theirs}");
    assert_eq!(servers(&ours, "cost").len(), count, "{ours}");
}

fn builder(desk: &Desk) -> Labels {
    let owner = desk.identity("default").owner.to_string();
    let labels = [
        ("managed-by", "dockbridge"),
        ("dockbridge-owner", &owner),
        ("dockbridge-role", "image-builder"),
        ("dockbridge-host", "h"),
    ];
    labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// Another limit of the project for servers.
async fn limit(desk: &Desk, body: &str) {
    let endpoint = desk.cloud.endpoint();
    let url = format!("{}/_local/limits", endpoint.strip_suffix("/v1").unwrap());
    let mut curl = desk.command("curl");
    curl.args([
        "-sS",
        "--fail-with-body",
        "-X",
        "PUT",
        "-H",
        "Content-Type: application/json",
        "-d",
        body,
    ])
    .arg(url);
    run(curl, "").await.succeeded();
}

#[tokio::test]
async fn a_month_in_which_nothing_ran_costs_nothing() {
    let desk = Desk::new().await;
    desk.dockbridge(&["cost"])
        .await
        .succeeded()
        .said(&["Nothing of this profile ran.", "Total 0.00 EUR"]);
    let cost = desk.dockbridge(&["cost", "--json"]).await.succeeded().json();
    assert!(cost["total"].as_f64().unwrap().is_sign_positive(), "{cost}");
}

#[tokio::test]
async fn what_commands_delete_without_a_daemon_is_in_the_books() {
    let desk = Desk::new().await;
    let identity = desk.identity("default");
    let volume = desk.make_volume(&identity.name(), identity.labels("data")).await;
    desk.make_server(&identity.name(), identity.labels("machine"), vec![volume.id], true).await;
    desk.dockbridge(&["server", "destroy"]).await.succeeded();
    equals_the_clouds_bill(&desk, 1).await;

    // One that is off, of another profile: it belongs into that one's books.
    let other = desk.identity("other");
    let off = desk.make_server(&other.name(), other.labels("machine"), Vec::new(), false).await;
    desk.dockbridge(&["sweep", "--yes"]).await.succeeded().said(&["Removed."]);
    let cost = desk.dockbridge(&["--profile", "other", "cost", "--json"]).await.succeeded().json();
    assert_eq!(
        servers(&cost, "cost").iter().map(|server| server.0).collect::<Vec<_>>(),
        [off.id],
        "{cost}"
    );

    let own = desk.dockbridge(&["volume", "list", "--json"]).await.succeeded().json();
    assert_eq!(own[0]["id"], volume.id, "{own}");
    desk.dockbridge(&["status"]).await.failed(3, &[]);
    desk.dockbridge(&["volume", "delete", &identity.name(), "--yes"]).await.succeeded();
    let cost = desk.dockbridge(&["cost", "--json"]).await.succeeded().json();
    assert_eq!(
        cost["volumes"][0]["id"], volume.id,
        "one that is gone was billed all the same: {cost}"
    );
}

#[tokio::test]
async fn a_volume_that_no_server_came_to_use_is_taken_back() {
    let desk = Desk::new().await;
    let daemon = desk.start().await;
    limit(&desk, r#"{"servers": 0}"#).await;
    desk.dockbridge(&["wake"]).await.failed(1, &["limit"]);
    let volumes = desk.api.volumes().list(&Query::default()).await.unwrap();
    assert_eq!(volumes, [], "it bills for nothing: {}", daemon.output());
    desk.dockbridge(&["status"]).await.succeeded().said(&["Bills     nothing"]);

    // One that was there before, and may hold data, stays.
    let identity = desk.identity("default");
    let volume = desk.make_volume(&identity.name(), identity.labels("data")).await;
    desk.dockbridge(&["wake"]).await.failed(1, &["limit"]);
    let volumes = desk.api.volumes().list(&Query::default()).await.unwrap();
    assert_eq!(volumes.iter().map(|volume| volume.id).collect::<Vec<_>>(), [volume.id]);
    daemon.stop().await;
}

#[tokio::test]
async fn status_and_sweep_show_whatever_bills_with_its_price() {
    let desk = Desk::new().await;
    let (identity, other) = (desk.identity("default"), desk.identity("other"));
    let volume = desk.make_volume(&identity.name(), identity.labels("data")).await;
    let theirs = desk.make_volume(&other.name(), other.labels("data")).await;
    desk.make_volume("strange", Labels::new()).await;
    let machine =
        desk.make_server(&identity.name(), identity.labels("machine"), vec![volume.id], true).await;
    let built_on = desk.make_server("builder", builder(&desk), Vec::new(), true).await;
    let address = desk.keep_address("gone", identity.labels("address")).await;
    let lines = [
        format!("Bills     server {} ({}, cx23 in fsn1): 0.0", machine.name, machine.id),
        format!("Bills     image builder builder ({}, cx23 in fsn1): 0.0", built_on.id),
        format!(
            "Bills     volume {} ({}, 10 GB in fsn1): 0.57 EUR a month",
            volume.name, volume.id
        ),
        format!(
            "Bills     volume {} of profile other ({}, 10 GB in fsn1, not attached): 0.57 EUR a \
             month",
            theirs.name, theirs.id
        ),
        format!("Bills     unused primary IP primary_ip-{address} ({address}): 0.5"),
    ];
    let lines = lines.each_ref().map(String::as_str);
    let status = desk.dockbridge(&["status"]).await;
    status.failed(3, &[]).said(&lines);
    assert!(!status.stdout.contains("strange"), "{status}");
    desk.dockbridge(&["sweep"]).await.succeeded().said(&lines);

    let daemon = desk.start().await;
    desk.dockbridge(&["status"]).await.succeeded().said(&lines);
    let told = desk.dockbridge(&["status", "--json"]).await.succeeded().json();
    assert_eq!(told["bills"]["volumes"][0]["id"], volume.id, "{told}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_look_that_fails_shows_the_last_one_with_its_age() {
    let desk = Desk::new().await;
    let identity = desk.identity("default");
    let volume = desk.make_volume(&identity.name(), identity.labels("data")).await;
    desk.dockbridge(&["sweep"]).await.succeeded();
    let fault = json!({"kind": "server_error", "times": 999, "match": {"path": "/v1/volumes"}});
    desk.control().post("faults", &fault.to_string()).await;
    let looked = desk.path("home/state/default/bills.json");
    let mut last: Value = serde_json::from_slice(&std::fs::read(&looked).unwrap()).unwrap();
    last["at"] = json!(last["at"].as_i64().unwrap() - 3_600);
    std::fs::write(&looked, last.to_string()).unwrap();
    let line = format!("Bills     volume {} ({}", volume.name, volume.id);
    desk.dockbridge(&["status"]).await.failed(3, &[]).said(&[
        "Bills     not known (",
        "as it was 1h",
        &line,
    ]);
}

#[tokio::test]
async fn looking_at_what_bills_makes_nothing() {
    let desk = Desk::new().await;
    desk.dockbridge(&["status"]).await.failed(3, &[]);
    assert!(!desk.path("home/state/default/bills.json").exists());
}
