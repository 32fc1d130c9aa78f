//! Images and snapshots.

use serde_json::{Value, json};

use crate::rig::Rig;

#[tokio::test]
async fn an_image_name_exists_once_per_architecture() {
    let rig = Rig::start().await;
    let count = async |query: &str| {
        rig.get(&format!("/images?{query}")).await.body["images"].as_array().unwrap().len()
    };
    for name in [
        "ubuntu-22.04",
        "ubuntu-24.04",
        "debian-12",
        "debian-13",
        "rocky-9",
        "fedora-43",
        "docker-ce",
    ] {
        assert_eq!(count(&format!("name={name}")).await, 2, "{name}");
        assert_eq!(count(&format!("name={name}&architecture=arm")).await, 1, "{name}");
    }
    assert_eq!(count("type=app&architecture=x86").await, 1);
}

#[tokio::test]
async fn a_snapshot_is_created_used_and_deleted() {
    let rig = Rig::start().await;
    let server = rig.server_with("s", json!({"server_type": "cx33"})).await;
    let made = rig
        .post(
            &format!("/servers/{server}/actions/create_image"),
            json!({"description": "golden", "labels": {"v": "1"}}),
        )
        .await;
    assert_eq!(
        (&made.body["image"]["status"], &made.body["image"]["name"]),
        (&json!("creating"), &Value::Null)
    );
    rig.post(&format!("/servers/{server}/actions/poweroff"), json!({}))
        .await
        .refused(423, "locked");
    let image = rig.done(made).await.id("image");
    let it = rig.get(&format!("/images/{image}")).await.body["image"].clone();
    assert_eq!(
        (&it["status"], &it["disk_size"], &it["image_size"]),
        (&json!("available"), &json!(80), &json!(1.5))
    );
    assert_eq!(
        rig.get("/images?type=snapshot&label_selector=v%3D1").await.body["images"][0]["id"],
        image
    );

    let order = |name: &str, kind: &str| {
        json!({
            "name": name,
            "server_type": kind,
            "image": image,
            "location": "fsn1",
        })
    };
    assert_eq!(
        rig.post("/servers", order("t", "cx23")).await.message(),
        "image disk is bigger than server type disk"
    );
    assert_eq!(
        rig.post("/servers", order("t", "cax21")).await.refused(422, "invalid_input").fields(),
        ["image"]
    );
    let from_it = rig.done(rig.post("/servers", order("t", "cx33")).await).await;
    assert_eq!(from_it.body["server"]["image"]["id"], image);

    rig.delete(&format!("/images/{image}")).await.expect(204);
    rig.get(&format!("/images/{image}")).await.refused(404, "not_found");
    assert_eq!(
        rig.get(&format!("/servers/{}", from_it.id("server"))).await.body["server"]["image"],
        Value::Null
    );
    rig.delete("/images/161547269").await.refused(422, "invalid_input");
}
