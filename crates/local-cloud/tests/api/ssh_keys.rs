//! SSH keys.

use serde_json::json;

use crate::rig::Rig;

pub const KEY: &str = "ssh-ed25519 \
 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@here";
const OTHER_KEY: &str = "ssh-ed25519 \
 AAAAC3NzaC1lZDI1NTE5AAAAINv3Vzq7eoTJSpVNqjI1tVyqKz3KtBY8lPcTZ7UTxxqB";

#[tokio::test]
async fn keys_are_unique_by_material_and_by_name() {
    let rig = Rig::start().await;
    let create = async |name: &str, key: &str| {
        rig.post("/ssh_keys", json!({"name": name, "public_key": key})).await
    };
    let made = create("one", KEY).await;
    assert_eq!(
        made.expect(201).body["ssh_key"]["fingerprint"],
        "65:96:2d:fc:e8:d5:a9:11:64:0c:0f:ea:00:6e:5b:bd"
    );
    assert_eq!(
        create("two", KEY).await.refused(409, "uniqueness_error").message(),
        "SSH key with the same fingerprint already exists"
    );
    assert_eq!(
        create("one", OTHER_KEY).await.refused(409, "uniqueness_error").message(),
        "SSH key name is already used"
    );
    create("two", OTHER_KEY).await.expect(201);
    assert_eq!(
        rig.get("/ssh_keys?fingerprint=65:96:2d:fc:e8:d5:a9:11:64:0c:0f:ea:00:6e:5b:bd")
            .await
            .names("ssh_keys"),
        ["one"]
    );
    rig.put(&format!("/ssh_keys/{}", made.id("ssh_key")), json!({"name": "two"}))
        .await
        .refused(409, "uniqueness_error");
}

#[tokio::test]
async fn what_is_not_a_public_key_is_refused() {
    let rig = Rig::start().await;
    for key in [
        "",
        "hello",
        "ssh-ed25519 AAAA",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
    ] {
        let answer = rig.post("/ssh_keys", json!({"name": "k", "public_key": key})).await;
        assert_eq!(answer.refused(422, "invalid_input").fields(), ["public_key"], "{key}");
    }
}

#[tokio::test]
async fn with_a_key_there_is_no_root_password() {
    let rig = Rig::start().await;
    rig.post("/ssh_keys", json!({"name": "k", "public_key": KEY})).await.expect(201);
    let made = rig
        .post(
            "/servers",
            json!({"name": "s", "server_type": "cx23", "image": "debian-12", "ssh_keys": ["k"]}),
        )
        .await;
    assert_eq!(made.expect(201).body["root_password"], serde_json::Value::Null);
}
