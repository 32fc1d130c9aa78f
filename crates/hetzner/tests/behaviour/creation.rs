//! Creating under a name, with replies that get lost.

use dockbridge_hetzner::{
    ActionStatus, Client, Error, FirewallTarget, Labels, NewFirewall, NewServer, NewVolume,
};
use serde_json::{Value, json};

use crate::bodies::{action, firewall, list, server, ssh_key, volume};
use crate::scripted::{Answer, Cloud, refusal, reply};

const BY_NAME: &str = "GET /servers?name=dockbridge-a&page=1&per_page=50";

fn ours() -> Labels {
    Labels::from([("managed-by".into(), "dockbridge".into()), ("owner".into(), "o1".into())])
}

fn new_server() -> NewServer {
    NewServer {
        name: "dockbridge-a".into(),
        server_type: "cx23".into(),
        image: "docker-ce".into(),
        labels: ours(),
        ..NewServer::default()
    }
}

fn our_server() -> Value {
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
        json!({"server": our_server(), "action": action(1, "create_server", "running"), "next_actions": next, "root_password": null}),
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
async fn a_server_is_created_with_all_that_was_asked_for() {
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
        "name": "dockbridge-a", "server_type": "cx23", "image": "docker-ce", "location": "fsn1", "ssh_keys": [5], "volumes": [4711],
        "firewalls": [{"firewall": 38}, {"firewall": 39}], "user_data": "#cloud-config\n{}",
        "labels": {"managed-by": "dockbridge", "owner": "o1"}, "start_after_create": false,
        "public_net": {"enable_ipv4": true, "enable_ipv6": true}
    });
    assert_eq!(asked.body, expected);
}

#[tokio::test]
async fn a_server_whose_reply_was_lost_is_found_by_its_name() {
    for lost in [Answer::HangUp, Answer::Cut, refusal(504, "timeout", ""), reply(502, "<html>")] {
        let cloud = Cloud::with([lost, found(our_server()), its_actions()]).await;
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
async fn a_server_that_was_not_created_is_created_again() {
    let cloud = Cloud::with([Answer::HangUp, not_found(), created()]).await;
    assert_eq!(create(cloud.client()).await.unwrap().server.id, 42);
    assert_eq!(cloud.lines(), ["POST /servers", BY_NAME, "POST /servers"]);
}

#[tokio::test]
async fn a_server_that_appears_late_is_ours_if_its_labels_say_so() {
    let cloud =
        Cloud::with([Answer::HangUp, not_found(), taken(), found(our_server()), its_actions()])
            .await;
    let created = create(cloud.client()).await.unwrap();
    assert_eq!((created.server.id, &created.action.status), (42, &ActionStatus::Running));
    assert_eq!(cloud.asked().len(), 5);
}

#[tokio::test]
async fn a_server_with_other_labels_is_never_taken_for_ours() {
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
async fn without_labels_nothing_is_known_to_be_ours() {
    let same_name = || found(server(7, "dockbridge-a", json!({"managed-by": "dockbridge"})));
    let cloud = Cloud::with([Answer::HangUp, same_name(), taken(), same_name()]).await;
    let new = NewServer { labels: Labels::new(), ..new_server() };
    let error = cloud.client().servers().create(&new).await.unwrap_err();
    assert!(error.is_uniqueness(), "{error}");
    assert_eq!(cloud.lines(), ["POST /servers", BY_NAME, "POST /servers", BY_NAME]);
}

#[tokio::test]
async fn a_server_that_is_being_deleted_is_not_the_new_one() {
    let mut leaving = our_server();
    leaving["status"] = json!("deleting");
    let cloud = Cloud::with([Answer::HangUp, found(leaving), created()]).await;
    assert_eq!(create(cloud.client()).await.unwrap().server.id, 42);
    assert_eq!(cloud.lines(), ["POST /servers", BY_NAME, "POST /servers"]);
}

#[tokio::test]
async fn a_name_that_was_taken_before_is_the_callers_to_judge() {
    let cloud = Cloud::with([refusal(409, "conflict", ""), taken()]).await;
    assert!(create(cloud.client()).await.unwrap_err().is_uniqueness());
    assert_eq!(cloud.lines(), ["POST /servers", "POST /servers"]);
}

#[tokio::test]
async fn a_refusal_is_told_at_once() {
    let cloud = Cloud::with([refusal(412, "resource_unavailable", "error during placement")]).await;
    assert!(create(cloud.client()).await.unwrap_err().is_stock_out());
    assert_eq!(cloud.asked().len(), 1);
}

#[tokio::test]
async fn replies_that_are_always_lost_end_in_the_loss() {
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
async fn after_a_loss_any_refusal_leads_to_a_look_at_the_name() {
    let out = || refusal(412, "resource_unavailable", "error during placement");
    let cloud =
        Cloud::with([Answer::HangUp, not_found(), out(), found(our_server()), its_actions()]).await;
    assert_eq!(create(cloud.client()).await.unwrap().server.id, 42);
    assert_eq!(cloud.asked().len(), 5);

    let cloud = Cloud::with([Answer::HangUp, not_found(), out(), not_found()]).await;
    assert!(create(cloud.client()).await.unwrap_err().is_stock_out());
    assert_eq!(cloud.asked().len(), 4);
}

#[tokio::test]
async fn a_loss_that_cannot_be_looked_into_stays_a_loss() {
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
async fn a_server_that_cannot_tell_its_creation_leaves_the_loss_to_the_caller() {
    let cloud =
        Cloud::with([Answer::HangUp, found(our_server()), reply(200, list("actions", vec![]))])
            .await;
    let error = create(cloud.client()).await.unwrap_err();
    assert!(matches!(error, Error::Transport { sent: true, .. }), "{error:?}");
}

#[tokio::test]
async fn volumes_keys_and_firewalls_are_found_by_their_names_too() {
    let labels = json!({"managed-by": "dockbridge", "owner": "o1"});
    let cloud = Cloud::with([
        Answer::HangUp,
        reply(200, list("volumes", vec![volume(4711, "data", labels.clone())])),
        reply(200, list("actions", vec![action(1, "create_volume", "success")])),
        Answer::HangUp,
        reply(200, list("ssh_keys", vec![ssh_key(5, "key", labels.clone())])),
        Answer::HangUp,
        reply(200, list("firewalls", vec![firewall(38, "wall", labels)])),
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
        labels: ours(),
    };
    let volume = client.volumes().create(&new).await.unwrap();
    assert_eq!((volume.volume.id, volume.action.id, volume.next_actions.len()), (4711, 1, 0));
    assert_eq!(client.ssh_keys().create("key", "ssh-ed25519 AAAA", &ours()).await.unwrap().id, 5);
    let new = NewFirewall {
        name: "wall".into(),
        labels: ours(),
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
        json!({"name": "wall", "rules": [], "labels": labels, "apply_to": [target]})
    );
}

#[test]
fn user_data_is_not_in_debug_output() {
    let new = NewServer { user_data: Some("PRIVATE KEY".into()), ..new_server() };
    let shown = format!("{new:?}");
    assert!(!shown.contains("PRIVATE") && shown.contains("user_data_bytes: Some(11)"), "{shown}");
}
