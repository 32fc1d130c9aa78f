//! Creation by name, with lost replies.

use dockbridge_hetzner::{
    ActionStatus, Client, Error, FirewallTarget, Labels, NewFirewall, NewServer, NewVolume,
};
use serde_json::{Value, json};

use crate::bodies::{action, firewall, list, server, ssh_key, volume};
use crate::scripted::{Answer, Cloud, refusal, reply};

const BY_NAME: &str = "GET /servers?name=dockbridge-a&page=1&per_page=50";

fn own_labels() -> Labels {
    Labels::from([("managed-by".into(), "dockbridge".into()), ("owner".into(), "o1".into())])
}

fn new_server() -> NewServer {
    NewServer {
        name: "dockbridge-a".into(),
        server_type: "cx23".into(),
        image: "docker-ce".into(),
        labels: own_labels(),
        ..NewServer::default()
    }
}

fn own_server() -> Value {
    server(
        42,
        "dockbridge-a",
        json!({"managed-by": "dockbridge", "owner": "o1", "more": "does not matter"}),
    )
}

fn created() -> Answer {
    let next = [action(2, "start_server", "running")];
    reply(
        201,
        json!({"server": own_server(), "action": action(1, "create_server", "running"),
            "next_actions": next, "root_password": null}),
    )
}

fn found(server: Value) -> Answer {
    reply(200, list("servers", vec![server]))
}

fn not_found() -> Answer {
    reply(200, list("servers", vec![]))
}

fn taken() -> Answer {
    refusal(409, "uniqueness_error", "server name is already used")
}

fn its_actions() -> Answer {
    let actions = vec![
        action(1, "create_server", "running"),
        action(2, "start_server", "running"),
        action(3, "attach_volume", "error"),
    ];
    reply(200, list("actions", actions))
}

async fn create(client: Client) -> dockbridge_hetzner::Result<dockbridge_hetzner::CreatedServer> {
    client.servers().create(&new_server()).await
}

#[tokio::test]
async fn server_is_created_with_all_requested_fields() {
    let cloud = Cloud::with([created()]).await;
    let new = NewServer {
        location: Some("fsn1".into()),
        ssh_keys: vec![5],
        volumes: vec![4711],
        firewalls: vec![38, 39],
        user_data: Some("#cloud-config\n{}".into()),
        start_after_create: false,
        ..new_server()
    };
    let created = cloud.client().servers().create(&new).await.unwrap();
    assert_eq!(created.server.id, 42);
    assert_eq!(created.actions().iter().map(|action| action.id).collect::<Vec<_>>(), [1, 2]);
    let asked = &cloud.asked()[0];
    assert_eq!(asked.line, "POST /servers");
    let expected = json!({
        "name": "dockbridge-a", "server_type": "cx23", "image": "docker-ce", "location": "fsn1",
        "ssh_keys": [5], "volumes": [4711],
        "firewalls": [{"firewall": 38}, {"firewall": 39}], "user_data": "#cloud-config\n{}",
        "labels": {"managed-by": "dockbridge", "owner": "o1"}, "start_after_create": false,
        "public_net": {"enable_ipv4": true, "enable_ipv6": true}
    });
    assert_eq!(asked.body, expected);
}

#[tokio::test]
async fn server_is_found_by_name_after_a_lost_reply() {
    for lost in [Answer::HangUp, Answer::Cut, refusal(504, "timeout", ""), reply(502, "<html>")] {
        let cloud = Cloud::with([lost, found(own_server()), its_actions()]).await;
        let created = create(cloud.client()).await.unwrap();
        assert_eq!((created.server.id, created.action.id), (42, 1));
        assert_eq!(
            created.next_actions.iter().map(|action| action.id).collect::<Vec<_>>(),
            [2],
            "only those that still run"
        );
        assert_eq!(
            cloud.lines(),
            ["POST /servers", BY_NAME, "GET /servers/42/actions?sort=id%3Aasc&page=1&per_page=50"]
        );
    }
}

#[tokio::test]
async fn creation_is_retried_if_no_server_exists() {
    let cloud = Cloud::with([Answer::HangUp, not_found(), created()]).await;
    assert_eq!(create(cloud.client()).await.unwrap().server.id, 42);
    assert_eq!(cloud.lines(), ["POST /servers", BY_NAME, "POST /servers"]);
}

#[tokio::test]
async fn server_that_appears_late_is_recognized_by_its_labels() {
    let cloud =
        Cloud::with([Answer::HangUp, not_found(), taken(), found(own_server()), its_actions()])
            .await;
    let created = create(cloud.client()).await.unwrap();
    assert_eq!((created.server.id, &created.action.status), (42, &ActionStatus::Running));
    assert_eq!(cloud.asked().len(), 5);
}

#[tokio::test]
async fn server_with_other_labels_is_not_recognized() {
    for labels in [
        json!({}),
        json!({"managed-by": "dockbridge"}),
        json!({"managed-by": "dockbridge", "owner": "o2"}),
    ] {
        let other = || found(server(7, "dockbridge-a", labels.clone()));
        let cloud = Cloud::with([Answer::HangUp, other(), taken(), other()]).await;
        let error = create(cloud.client()).await.unwrap_err();
        assert!(error.is_uniqueness(), "{error}");
        assert_eq!(cloud.asked().len(), 4);
    }
}

#[tokio::test]
async fn without_labels_no_server_is_recognized() {
    let same_name = || found(server(7, "dockbridge-a", json!({"managed-by": "dockbridge"})));
    let cloud = Cloud::with([Answer::HangUp, same_name(), taken(), same_name()]).await;
    let new = NewServer { labels: Labels::new(), ..new_server() };
    let error = cloud.client().servers().create(&new).await.unwrap_err();
    assert!(error.is_uniqueness(), "{error}");
    assert_eq!(cloud.lines(), ["POST /servers", BY_NAME, "POST /servers", BY_NAME]);
}

#[tokio::test]
async fn server_that_is_being_deleted_is_not_the_new_one() {
    let mut leaving = own_server();
    leaving["status"] = json!("deleting");
    let cloud = Cloud::with([Answer::HangUp, found(leaving), created()]).await;
    assert_eq!(create(cloud.client()).await.unwrap().server.id, 42);
    assert_eq!(cloud.lines(), ["POST /servers", BY_NAME, "POST /servers"]);
}

#[tokio::test]
async fn name_in_use_without_a_lost_reply_is_an_error() {
    let cloud = Cloud::with([refusal(409, "conflict", ""), taken()]).await;
    assert!(create(cloud.client()).await.unwrap_err().is_uniqueness());
    assert_eq!(cloud.lines(), ["POST /servers", "POST /servers"]);
}

#[tokio::test]
async fn refusal_is_returned_at_once() {
    let cloud = Cloud::with([refusal(412, "resource_unavailable", "error during placement")]).await;
    assert!(create(cloud.client()).await.unwrap_err().is_stock_out());
    assert_eq!(cloud.asked().len(), 1);
}

#[tokio::test]
async fn replies_that_are_always_lost_end_in_that_error() {
    let cloud = Cloud::with([
        Answer::HangUp,
        not_found(),
        Answer::HangUp,
        not_found(),
        Answer::HangUp,
        not_found(),
    ])
    .await;
    let error = create(cloud.client()).await.unwrap_err();
    assert!(error.is_lost_reply(), "{error:?}");
    assert_eq!(cloud.asked().len(), 6);
}

#[tokio::test]
async fn after_a_lost_reply_any_refusal_causes_a_check_by_name() {
    let out = || refusal(412, "resource_unavailable", "error during placement");
    let cloud =
        Cloud::with([Answer::HangUp, not_found(), out(), found(own_server()), its_actions()]).await;
    assert_eq!(create(cloud.client()).await.unwrap().server.id, 42);
    assert_eq!(cloud.asked().len(), 5);

    let cloud = Cloud::with([Answer::HangUp, not_found(), out(), not_found()]).await;
    assert!(create(cloud.client()).await.unwrap_err().is_stock_out());
    assert_eq!(cloud.asked().len(), 4);
}

#[tokio::test]
async fn lost_reply_stays_the_error_if_the_check_by_name_fails() {
    let blind = || refusal(500, "server_error", "");
    for answers in
        [vec![Answer::HangUp, blind()], vec![Answer::HangUp, not_found(), taken(), blind()]]
    {
        let cloud = Cloud::with(answers).await;
        let error = create(cloud.client()).await.unwrap_err();
        assert!(error.is_lost_reply(), "{error:?}");
        cloud.asked();
    }
}

#[tokio::test]
async fn found_server_without_its_creation_action_returns_the_lost_reply() {
    let cloud =
        Cloud::with([Answer::HangUp, found(own_server()), reply(200, list("actions", vec![]))])
            .await;
    let error = create(cloud.client()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { sent: true, .. }), "{error:?}");
}

#[tokio::test]
async fn volumes_keys_and_firewalls_are_found_by_name_too() {
    let labels = json!({"managed-by": "dockbridge", "owner": "o1"});
    let cloud = Cloud::with([
        Answer::HangUp,
        reply(200, list("volumes", vec![volume(4711, "data", labels.clone())])),
        reply(200, list("actions", vec![action(1, "create_volume", "success")])),
        Answer::HangUp,
        reply(200, list("ssh_keys", vec![ssh_key(5, "key", labels.clone())])),
        Answer::HangUp,
        reply(200, list("firewalls", vec![firewall(38, "fw", labels)])),
        reply(
            200,
            list(
                "actions",
                vec![
                    action(2, "set_firewall_rules", "success"),
                    action(3, "apply_firewall", "running"),
                ],
            ),
        ),
    ])
    .await;
    let client = cloud.client();
    let new = NewVolume {
        name: "data".into(),
        size: 10,
        location: "fsn1".into(),
        format: None,
        labels: own_labels(),
    };
    let volume = client.volumes().create(&new).await.unwrap();
    assert_eq!((volume.volume.id, volume.action.id, volume.next_actions.len()), (4711, 1, 0));
    assert_eq!(
        client.ssh_keys().create("key", "ssh-ed25519 AAAA", &own_labels()).await.unwrap().id,
        5
    );
    let new = NewFirewall {
        name: "fw".into(),
        labels: own_labels(),
        apply_to: vec![FirewallTarget::server(42)],
        ..NewFirewall::default()
    };
    let firewall = client.firewalls().create(&new).await.unwrap();
    assert_eq!(
        (firewall.firewall.id, firewall.actions.iter().map(|action| action.id).collect::<Vec<_>>()),
        (38, vec![3])
    );

    let asked = cloud.asked();
    let labels = json!({"managed-by": "dockbridge", "owner": "o1"});
    assert_eq!(
        asked[0].body,
        json!({"name": "data", "size": 10, "location": "fsn1", "labels": labels})
    );
    assert_eq!(
        asked[3].body,
        json!({"name": "key", "public_key": "ssh-ed25519 AAAA", "labels": labels})
    );
    let target = json!({"type": "server", "server": {"id": 42}});
    assert_eq!(
        asked[5].body,
        json!({"name": "fw", "rules": [], "labels": labels, "apply_to": [target]})
    );
}

#[test]
fn debug_output_shows_no_user_data() {
    let new = NewServer { user_data: Some("PRIVATE KEY".into()), ..new_server() };
    let shown = format!("{new:?}");
    assert!(!shown.contains("PRIVATE") && shown.contains("user_data_bytes: Some(11)"), "{shown}");
}
