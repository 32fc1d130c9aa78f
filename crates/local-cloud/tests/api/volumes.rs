//! Volumes.

use serde_json::{Value, json};

use crate::rig::Rig;

async fn volume(rig: &Rig, id: u64) -> Value {
    rig.get(&format!("/volumes/{id}")).await.body["volume"].clone()
}

#[tokio::test]
async fn a_volume_is_creating_and_then_available() {
    let rig = Rig::start().await;
    let made = rig
        .post(
            "/volumes",
            json!({
                "name": "v",
                "size": 42,
                "location": "nbg1",
                "format": "xfs",
                "labels": {"a": "b"},
            }),
        )
        .await;
    assert_eq!(made.expect(201).body["volume"]["status"], "creating");
    assert_eq!(made.body["next_actions"], json!([]));
    let id = rig.done(made).await.id("volume");
    let it = volume(&rig, id).await;
    assert_eq!(
        (&it["status"], &it["size"], &it["format"], &it["server"]),
        (&json!("available"), &json!(42), &json!("xfs"), &Value::Null)
    );
    assert_eq!(it["linux_device"], format!("/dev/disk/by-id/scsi-0HC_Volume_{id}"));
}

#[tokio::test]
async fn invalid_orders_are_refused() {
    let rig = Rig::start().await;
    for (order, field) in [
        (json!({"name": "v", "size": 9, "location": "fsn1"}), "size"),
        (json!({"name": "v", "size": 10241, "location": "fsn1"}), "size"),
        (json!({"name": "v", "size": 10.5, "location": "fsn1"}), "size"),
        (json!({"name": "v", "size": 10}), "location"),
        (json!({"name": "v", "size": 10, "location": "fsn1", "server": 1}), "location"),
        (json!({"name": "v", "size": 10, "location": "moon"}), "location"),
        (json!({"name": "", "size": 10, "location": "fsn1"}), "name"),
        (json!({"name": "v".repeat(65), "size": 10, "location": "fsn1"}), "name"),
        (json!({"name": "v", "size": 10, "location": "fsn1", "format": "btrfs"}), "format"),
        (json!({"name": "v", "size": 10, "location": "fsn1", "automount": true}), "automount"),
    ] {
        assert_eq!(
            rig.post("/volumes", order).await.refused(422, "invalid_input").fields(),
            [field]
        );
    }
    rig.volume("v").await;
    let twice = rig.post("/volumes", json!({"name": "v", "size": 10, "location": "fsn1"})).await;
    assert_eq!(twice.refused(409, "uniqueness_error").fields(), ["name"]);
}

#[tokio::test]
async fn a_volume_is_attached_to_one_server_in_its_location() {
    let rig = Rig::start().await;
    let (one, two) = (rig.server("one").await, rig.server("two").await);
    let far = rig.server_with("far", json!({"location": "hel1"})).await;
    let id = rig.volume("v").await;
    let act = async |name: &str, body: Value| {
        rig.post(&format!("/volumes/{id}/actions/{name}"), body).await
    };
    act("attach", json!({"server": far})).await.refused(422, "invalid_input");
    act("attach", json!({"server": 1})).await.refused(404, "not_found");
    act("detach", json!({})).await.refused(422, "service_error");
    let attach = act("attach", json!({"server": one, "automount": false})).await;
    act("attach", json!({"server": two})).await.refused(423, "locked");
    rig.done(attach).await;
    assert_eq!(volume(&rig, id).await["server"], one);
    act("attach", json!({"server": two})).await.refused(422, "volume_already_attached");
    rig.delete(&format!("/volumes/{id}")).await.refused(422, "service_error");
    rig.done(act("detach", json!({})).await).await;
    assert_eq!(volume(&rig, id).await["server"], Value::Null);
    rig.done(act("attach", json!({"server": two})).await).await;
}

#[tokio::test]
async fn a_server_takes_sixteen_volumes_and_the_next_one_fails() {
    let rig = Rig::start().await;
    let server = rig.server("s").await;
    for n in 0..16 {
        rig.done(
            rig.post("/volumes", json!({"name": format!("v{n}"), "size": 10, "server": server}))
                .await,
        )
        .await;
    }
    let id = rig.volume("one-too-many").await;
    let attach =
        rig.post(&format!("/volumes/{id}/actions/attach"), json!({"server": server})).await;
    let action = rig.ended(attach.expect(201).id("action")).await;
    assert_eq!(
        (&action["status"], &action["error"]["code"]),
        (&json!("error"), &json!("limit_exceeded_error"))
    );
    assert_eq!(volume(&rig, id).await["server"], Value::Null);
}

#[tokio::test]
async fn a_volume_only_grows() {
    let rig = Rig::start().await;
    let id = rig.volume("v").await;
    let resize = async |size: u64| {
        rig.post(&format!("/volumes/{id}/actions/resize"), json!({"size": size})).await
    };
    resize(10).await.refused(422, "invalid_input");
    resize(9).await.refused(422, "invalid_input");
    rig.done(resize(11).await).await.expect(201);
    assert_eq!(volume(&rig, id).await["size"], 11);
}

#[tokio::test]
async fn volumes_survive_their_server_and_protected_ones_survive_a_deletion() {
    let rig = Rig::start().await;
    let server = rig.server("s").await;
    let id = rig
        .done(rig.post("/volumes", json!({"name": "v", "size": 10, "server": server})).await)
        .await
        .id("volume");
    assert_eq!(volume(&rig, id).await["server"], server);
    rig.done(rig.delete(&format!("/servers/{server}")).await).await;
    assert_eq!(volume(&rig, id).await["server"], Value::Null);
    let protect = async |on: bool| {
        rig.done(
            rig.post(&format!("/volumes/{id}/actions/change_protection"), json!({"delete": on}))
                .await,
        )
        .await
    };
    protect(true).await;
    rig.delete(&format!("/volumes/{id}")).await.refused(423, "protected");
    protect(false).await;
    rig.delete(&format!("/volumes/{id}")).await.expect(204);
    rig.get(&format!("/volumes/{id}")).await.refused(404, "not_found");
}
