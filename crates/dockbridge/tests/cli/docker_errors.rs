//! Settings that only the cloud can validate: `start` serves, and the first docker command reports
//! the error.

use crate::rig::Desk;

#[tokio::test]
async fn settings_that_the_cloud_lacks_are_reported_to_docker_before_anything_is_created() {
    let cases = [
        (
            "HETZNER_SERVER_TYPES",
            "cx23,cx999",
            "there is no server type \"cx999\"; the cloud sells ",
            "change `hetzner.server_types` in the settings",
            api::Code::ServerTypeUnknown,
        ),
        (
            "HETZNER_LOCATIONS",
            "mars",
            "there is no location \"mars\"; the cloud has fsn1",
            "change `hetzner.locations` in the settings",
            api::Code::LocationUnknown,
        ),
        (
            "HETZNER_IMAGE",
            "windows",
            "there is no image \"windows\" for cx23",
            "change `hetzner.image` in the settings",
            api::Code::ImageUnknown,
        ),
    ];
    for (setting, value, what, hint, code) in cases {
        let mut desk = Desk::new().await;
        desk.set(&format!("DOCKBRIDGE_{setting}"), value);
        let daemon = desk.start().await;
        assert!(daemon.output().contains("No machine yet"), "{}", daemon.output());
        if let Some(ran) = desk.docker(&["ps"]).await {
            ran.failed(1, &["Error response from daemon: ", what, hint]);
        }
        desk.dockbridge(&["wake"]).await.failed(1, &["Error: ", what, hint]);
        let status = desk.dockbridge(&["status", "--json"]).await.succeeded().json();
        let error = &status["error"];
        assert_eq!((&status["state"], &error["code"]), (&"failed".into(), &code.word().into()));
        assert_eq!((&error["hints"][0], &error["retryable"]), (&hint.into(), &false.into()));
        desk.nothing_was_created().await;
        daemon.stop().await;
    }
}

/// Each created server is billed for an hour, so dockbridge must stop asking a cloud that loses
/// all of them.
#[tokio::test]
async fn a_cloud_that_gives_every_server_up_is_not_asked_for_ever() {
    let desk = Desk::new().await;
    let fault = r#"{
        "kind": "action_error",
        "match": {"method": "POST", "path": "/v1/servers"},
        "times": 20
    }"#;
    desk.control().post("faults", fault).await;
    let daemon = desk.start().await;
    desk.dockbridge(&["wake"]).await.failed(
        1,
        &[
            "Error: 3 new servers in a row did not come up; the last step was: removing server ",
            ": action create_server ",
            "Hint: the cloud's console shows",
        ],
    );
    let left = desk.control().get("state").await;
    assert_eq!(left["faults"][0]["times"], 17, "three were asked for: {left}");
    daemon.stop().await;
}

#[tokio::test]
async fn two_volumes_of_one_profile_are_left_to_the_user() {
    let desk = Desk::new().await;
    let identity = desk.identity("default");
    let one = desk.make_volume("one", identity.labels("data")).await;
    let two = desk.make_volume("two", identity.labels("data")).await;
    let daemon = desk.start().await;
    let expected = format!(
        "volumes {} and {} all carry the labels of this profile: delete the one that is not \
         wanted, by its id",
        one.id, two.id
    );
    desk.dockbridge(&["wake"]).await.failed(1, &[&expected]);
    assert_eq!(desk.inventory().await, ["volume one", "volume two"]);
    daemon.stop().await;
}

#[tokio::test]
async fn a_volume_at_a_strangers_server_stays_there() {
    let desk = Desk::new().await;
    let identity = desk.identity("default");
    let volume = desk.make_volume(&identity.name(), identity.labels("data")).await;
    let server = desk.make_server("strange", hetzner::Labels::new(), vec![volume.id], true).await;
    let daemon = desk.start().await;
    let expected = format!(
        "volume {} is attached to server {}, which is not this profile's machine: detach it there \
         first",
        volume.id, server.id
    );
    if let Some(ran) = desk.docker(&["ps"]).await {
        ran.failed(1, &["Error response from daemon: ", &expected]);
    }
    assert_eq!(desk.api.volumes().get(volume.id).await.unwrap().unwrap().server, Some(server.id));
    daemon.stop().await;
}
