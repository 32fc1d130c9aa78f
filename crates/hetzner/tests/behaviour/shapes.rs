//! The shapes of resources in replies, including future ones, and of request bodies.

use dockbridge_hetzner::{
    Architecture, CpuType, Direction, Firewall, FirewallRule, FirewallTarget, Image, ImageStatus,
    ImageType, Location, NewVolume, Pricing, Protocol, Query, Server, ServerStatus, ServerType,
    SshKey, TargetKind, Volume, VolumeFormat, VolumeStatus,
};
use serde_json::{Value, json};

use crate::bodies::{
    action, firewall, image, list, location, price, server, server_type, ssh_key, volume,
};
use crate::scripted::{Cloud, reply};

fn read<T: serde::de::DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

#[test]
fn all_fields_of_a_server_are_read() {
    let server: Server =
        read(server(42, "dockbridge-a", json!({"role": "machine", "just-a-key": ""})));
    assert_eq!(server.status, ServerStatus::Initializing);
    assert_eq!(server.created.to_string(), "2026-01-30T23:55:00Z");
    assert_eq!(server.public_net.ipv4.unwrap().ip.to_string(), "203.0.113.7");
    assert_eq!(server.public_net.ipv6.unwrap().ip, "2001:db8::/64");
    assert_eq!(server.public_net.firewalls[0].id, 38);
    assert_eq!(server.server_type.name, "cx23");
    assert_eq!(server.location.name, "fsn1");
    assert_eq!(server.image.unwrap().name.as_deref(), Some("docker-ce"));
    assert!(!server.locked, "as recorded while it is made");
    assert_eq!(server.labels["just-a-key"], "");
    assert_eq!(server.volumes, [4711]);
}

#[test]
fn server_may_lack_image_and_addresses() {
    let mut bare = server(42, "a", json!({}));
    bare["image"] = Value::Null;
    bare["public_net"] = json!({"ipv4": null, "ipv6": null, "floating_ips": [], "firewalls": []});
    let bare: Server = read(bare);
    assert_eq!((bare.image, bare.public_net.ipv4, bare.public_net.ipv6), (None, None, None));
}

#[test]
fn server_types_are_read_with_prices_and_locations() {
    let cx23: ServerType = read(server_type());
    assert_eq!((cx23.cores, cx23.memory, cx23.disk), (2, 4.0, 40));
    assert_eq!((&cx23.cpu_type, &cx23.architecture), (&CpuType::Shared, &Architecture::X86));
    let price = cx23.price_at("fsn1").unwrap();
    assert_eq!(price.price_hourly.net.to_string(), "0.0088000000");
    assert_eq!(price.price_hourly.gross.micros(), Some(10_472));
    assert_eq!(cx23.price_at("sin"), None);
    assert!(cx23.locations[0].available && cx23.locations[0].deprecation.is_none());
    assert_eq!(
        cx23.locations[1].deprecation.as_ref().unwrap().unavailable_after.to_string(),
        "2025-12-31T23:59:59Z"
    );
}

#[test]
fn images_are_read_with_either_form_of_deprecation() {
    let old: Image = read(image());
    assert_eq!(
        (&old.kind, &old.status, old.disk_size),
        (&ImageType::App, &ImageStatus::Available, 20.0)
    );
    let mut new = image();
    new.as_object_mut().unwrap().remove("deprecated");
    new["deprecation"] =
        json!({"announced": "2026-08-01T00:00:00Z", "unavailable_after": "2026-11-30T00:00:00Z"});
    assert!(read::<Image>(new).deprecation.is_some());
    let mut snapshot = image();
    (snapshot["type"], snapshot["name"], snapshot["image_size"]) =
        (json!("snapshot"), Value::Null, json!(2.3));
    let snapshot: Image = read(snapshot);
    assert_eq!(
        (snapshot.kind, snapshot.name, snapshot.image_size),
        (ImageType::Snapshot, None, Some(2.3))
    );
}

#[test]
fn volumes_keys_and_locations_are_read() {
    let mut attached = volume(4711, "data", json!({}));
    (attached["server"], attached["format"], attached["status"]) =
        (json!(42), json!("ext4"), json!("available"));
    let attached: Volume = read(attached);
    assert_eq!(
        (attached.server, attached.format, attached.status),
        (Some(42), Some(VolumeFormat::Ext4), VolumeStatus::Available)
    );
    assert_eq!(attached.linux_device, "/dev/disk/by-id/scsi-0HC_Volume_4711");
    assert_eq!(read::<SshKey>(ssh_key(5, "key", json!({}))).fingerprint.len(), 47);
    assert_eq!(read::<Location>(location()).network_zone, "eu-central");
}

#[test]
fn firewalls_are_read_with_rules_and_targets() {
    let wall: Firewall = read(firewall(38, "wall", json!({})));
    let rule = FirewallRule {
        direction: Direction::In,
        protocol: Protocol::Tcp,
        port: Some("22".into()),
        source_ips: vec!["0.0.0.0/0".into(), "::/0".into()],
        destination_ips: vec![],
        description: None,
    };
    assert_eq!(
        wall.applied_to,
        [FirewallTarget::server(42), FirewallTarget::label_selector("role=machine")]
    );
    let written = serde_json::to_value(&rule).unwrap();
    assert_eq!(
        written,
        json!({"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["0.0.0.0/0",
            "::/0"]})
    );
    assert_eq!(wall.rules, [rule]);
    let written = serde_json::to_value(FirewallTarget::label_selector("role=machine")).unwrap();
    assert_eq!(
        written,
        json!({"type": "label_selector", "label_selector": {"selector": "role=machine"}})
    );
}

#[test]
fn unknown_words_and_fields_are_accepted() {
    let mut tomorrow = server(42, "a", json!({}));
    tomorrow["status"] = json!("hibernating");
    tomorrow["quantum"] = json!({"entangled": true});
    tomorrow["server_type"]["architecture"] = json!("riscv");
    tomorrow["server_type"]["cpu_type"] = json!("burst");
    (tomorrow["image"]["type"], tomorrow["image"]["status"]) = (json!("oci"), json!("thawing"));
    let tomorrow: Server = read(tomorrow);
    assert_eq!(tomorrow.status, ServerStatus::Other("hibernating".into()));
    assert_eq!(tomorrow.server_type.architecture, Architecture::Other("riscv".into()));
    assert_eq!(tomorrow.server_type.cpu_type.as_str(), "burst");
    assert_eq!(tomorrow.image.unwrap().kind, ImageType::Other("oci".into()));
    let mut wall = firewall(38, "wall", json!({}));
    (wall["rules"][0]["protocol"], wall["applied_to"][0]) =
        (json!("sctp"), json!({"type": "network", "network": {"id": 1}}));
    let wall: Firewall = read(wall);
    assert_eq!(wall.rules[0].protocol, Protocol::Other("sctp".into()));
    assert_eq!(wall.applied_to[0].kind, TargetKind::Other("network".into()));
    let mut disk = volume(1, "data", json!({}));
    (disk["status"], disk["format"]) = (json!("resting"), json!("btrfs"));
    assert_eq!(read::<Volume>(disk).format, Some(VolumeFormat::Other("btrfs".into())));
}

#[test]
fn blank_volume_has_no_format_in_the_request() {
    let mut new = NewVolume {
        name: "data".into(),
        size: 10,
        location: "fsn1".into(),
        format: None,
        labels: Default::default(),
    };
    assert_eq!(
        serde_json::to_value(&new).unwrap(),
        json!({"name": "data", "size": 10, "location": "fsn1", "labels": {}})
    );
    new.format = Some(VolumeFormat::Ext4);
    assert_eq!(serde_json::to_value(&new).unwrap()["format"], "ext4");
}

#[tokio::test]
async fn prices_are_read() {
    let body = json!({"pricing": {
        "currency": "EUR", "vat_rate": "19.00",
        "primary_ips": [{"type": "ipv4", "prices": [
            {"location": "fsn1", "price_hourly": price("0.0008", "0.000952"),
                "price_monthly": price("0.50", "0.595")}
        ]}],
        "floating_ips": [], "image": {"price_per_gb_month": price("0.0143", "0.017017")},
        "volume": {"price_per_gb_month": price("0.0572", "0.068068")},
        "server_backup": {"percentage": "20.00"},
        "server_types": [{"id": 114, "name": "cx23", "prices": server_type()["prices"]}],
        "load_balancer_types": []
    }});
    let cloud = Cloud::with([reply(200, body)]).await;
    let prices: Pricing = cloud.client().pricing().await.unwrap();
    assert_eq!(cloud.lines(), ["GET /pricing"]);
    assert_eq!(prices.currency, "EUR");
    assert_eq!(prices.volume.price_per_gb_month.net.micros(), Some(57_200));
    assert_eq!(prices.primary_ips[0].prices[0].price_hourly.gross.micros(), Some(952));
    assert_eq!(prices.server_types[0].prices[0].price_monthly.net.micros(), Some(5_490_000));
}

#[tokio::test]
async fn images_are_found_by_name_and_architecture() {
    let cloud = Cloud::with([
        reply(200, list("images", vec![image()])),
        reply(200, list("images", vec![])),
    ])
    .await;
    let client = cloud.client();
    assert!(
        client.images().of_architecture("docker-ce", Architecture::X86).await.unwrap().is_some()
    );
    let query = Query {
        image_type: vec![ImageType::Snapshot],
        status: vec!["available".into()],
        include_deprecated: true,
        ..Query::default()
    };
    client.images().list(&query).await.unwrap();
    let expected = [
        "GET /images?name=docker-ce&architecture=x86&page=1&per_page=50",
        "GET /images?status=available&type=snapshot&include_deprecated=true&page=1&per_page=50",
    ];
    assert_eq!(cloud.lines(), expected);
}

#[tokio::test]
async fn firewall_calls_use_the_apis_paths() {
    let accepted = || reply(201, json!({"actions": [action(1, "apply_firewall", "running")]}));
    let cloud = Cloud::with([accepted(), accepted(), accepted()]).await;
    let client = cloud.client();
    client.firewalls().set_rules(38, &[]).await.unwrap();
    client.firewalls().apply(38, &[FirewallTarget::server(42)]).await.unwrap();
    assert_eq!(
        client.firewalls().remove(38, &[FirewallTarget::server(42)]).await.unwrap().len(),
        1
    );
    let asked: Vec<(String, Value)> =
        cloud.asked().into_iter().map(|asked| (asked.line, asked.body)).collect();
    let target = json!([{"type": "server", "server": {"id": 42}}]);
    let expected = [
        ("POST /firewalls/38/actions/set_rules".to_owned(), json!({"rules": []})),
        ("POST /firewalls/38/actions/apply_to_resources".to_owned(), json!({"apply_to": target})),
        (
            "POST /firewalls/38/actions/remove_from_resources".to_owned(),
            json!({"remove_from": target}),
        ),
    ];
    assert_eq!(asked, expected);
}
