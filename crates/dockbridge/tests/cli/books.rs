//! The cost ledger and what bills now: `cost` lists each server and volume, whichever command
//! deleted it, with who ended it and why; the first screen of `status` lists what bills, with its
//! price.

use hetzner::{Labels, Query};
use serde_json::{Value, json};

use crate::bill::servers;
use crate::rig::{Desk, run};

/// `cost` and the cloud's own bill name the same servers with the same prices.
async fn equals_the_clouds_bill(desk: &Desk, count: usize) {
    let own = desk.dockbridge(&["cost", "--json"]).await.succeeded().json();
    let theirs = desk.control().get("bill").await["default"].clone();
    assert_eq!(servers(&own, "cost"), servers(&theirs, "net"), "{own}\n{theirs}");
    assert_eq!(servers(&own, "cost").len(), count, "{own}");
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

/// Sets the project's limits, such as the number of servers.
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
async fn month_without_servers_costs_nothing() {
    let desk = Desk::new().await;
    desk.dockbridge(&["cost"])
        .await
        .succeeded()
        .said(&["Nothing of this profile ran.", "Total 0.00 EUR"]);
    let cost = desk.dockbridge(&["cost", "--json"]).await.succeeded().json();
    assert!(cost["total"].as_f64().unwrap().is_sign_positive(), "{cost}");
}

#[tokio::test]
async fn deletions_by_commands_without_a_daemon_are_in_the_ledger() {
    let desk = Desk::new().await;
    let identity = desk.identity("default");
    let volume = desk.make_volume(&identity.name(), identity.labels("data")).await;
    desk.make_server(&identity.name(), identity.labels("machine"), vec![volume.id], true).await;
    desk.dockbridge(&["server", "destroy"]).await.succeeded();
    equals_the_clouds_bill(&desk, 1).await;
    let cost = desk.dockbridge(&["cost", "--json"]).await.succeeded().json();
    let by_the_user = |command| json!({"actor": "user", "reason": command});
    assert_eq!(cost["servers"][0]["end"], by_the_user("dockbridge server destroy"), "{cost}");

    // A server of another profile, off: it belongs in the ledger of that profile.
    let other = desk.identity("other");
    let off = desk.make_server(&other.name(), other.labels("machine"), Vec::new(), false).await;
    desk.dockbridge(&["sweep", "--yes"]).await.succeeded().said(&["Removed."]);
    let cost = desk.dockbridge(&["--profile", "other", "cost", "--json"]).await.succeeded().json();
    assert_eq!(
        servers(&cost, "cost").iter().map(|server| server.0).collect::<Vec<_>>(),
        [off.id],
        "{cost}"
    );
    assert_eq!(cost["servers"][0]["end"], by_the_user("dockbridge sweep"), "{cost}");

    let own = desk.dockbridge(&["volume", "list", "--json"]).await.succeeded().json();
    assert_eq!(own[0]["id"], volume.id, "{own}");
    desk.dockbridge(&["status"]).await.failed(3, &[]);
    desk.dockbridge(&["volume", "delete", &identity.name(), "--yes"]).await.succeeded();
    let cost = desk.dockbridge(&["cost", "--json"]).await.succeeded().json();
    assert_eq!(cost["volumes"][0]["id"], volume.id, "a deleted volume was billed, too: {cost}");
    let deleted = by_the_user("dockbridge volume delete");
    assert_eq!(cost["volumes"][0]["end"], deleted, "{cost}");
}

#[tokio::test]
async fn new_volume_that_no_server_used_is_deleted() {
    let desk = Desk::new().await;
    let daemon = desk.start().await;
    limit(&desk, r#"{"servers": 0}"#).await;
    desk.dockbridge(&["wake"]).await.failed(1, &["limit"]);
    let volumes = desk.api.volumes().list(&Query::default()).await.unwrap();
    assert_eq!(volumes, [], "it bills for nothing: {}", daemon.output());
    desk.dockbridge(&["status"]).await.succeeded().said(&["Bills     nothing"]);

    // A volume that existed before, and may hold data, stays.
    let identity = desk.identity("default");
    let volume = desk.make_volume(&identity.name(), identity.labels("data")).await;
    desk.dockbridge(&["wake"]).await.failed(1, &["limit"]);
    let volumes = desk.api.volumes().list(&Query::default()).await.unwrap();
    assert_eq!(volumes.iter().map(|volume| volume.id).collect::<Vec<_>>(), [volume.id]);
    daemon.stop().await;
}

#[tokio::test]
async fn status_and_sweep_list_what_bills_with_its_price() {
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
    let status = desk.dockbridge(&["status", "--json"]).await.succeeded().json();
    assert_eq!(status["bills"]["volumes"][0]["id"], volume.id, "{status}");
    daemon.stop().await;
}

#[tokio::test]
async fn failed_query_shows_the_last_result_with_its_age() {
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
    desk.dockbridge(&["status"]).await.failed(3, &[]).said(&["Bills     unknown (", "; 1h", &line]);
}

#[tokio::test]
async fn listing_what_bills_creates_nothing() {
    let desk = Desk::new().await;
    desk.dockbridge(&["status"]).await.failed(3, &[]);
    assert!(!desk.path("home/state/default/bills.json").exists());
}
