//! Bodies of replies, in the shape that the API gives them.

use serde_json::{Value, json};

pub fn location() -> Value {
    json!({
        "id": 1, "name": "fsn1", "description": "Falkenstein DC Park 1", "country": "DE",
        "city": "Falkenstein",
        "latitude": 50.47612, "longitude": 12.370071, "network_zone": "eu-central"
    })
}

pub fn price(net: &str, gross: &str) -> Value {
    json!({"net": net, "gross": gross})
}

pub fn server_type() -> Value {
    json!({
        "id": 114, "name": "cx23", "description": "CX23", "cores": 2, "memory": 4.0, "disk": 40,
        "deprecated": false,
        "prices": [{
            "location": "fsn1",
            "price_hourly": price("0.0088000000", "0.0104720000000000"),
            "price_monthly": price("5.4900000000", "6.5331000000000000"),
            "included_traffic": 21_990_232_555_520_u64,
            "price_per_tb_traffic": price("1.0000000000", "1.1900000000000000")
        }],
        "storage_type": "local", "cpu_type": "shared", "category": "cost_optimized",
        "architecture": "x86", "deprecation": null,
        "locations": [
            {"id": 1, "name": "fsn1", "deprecation": null, "recommended": true, "available": true},
            {"id": 2, "name": "nbg1", "recommended": false, "available": false,
             "deprecation": {"announced": "2025-10-16T06:00:00Z",
             "unavailable_after": "2025-12-31T23:59:59Z"}}
        ]
    })
}

pub fn image() -> Value {
    json!({
        "id": 40093247, "type": "app", "status": "available", "name": "docker-ce",
        "description": "Docker CE", "image_size": null,
        "disk_size": 20, "created": "2021-05-06T12:00:00Z", "created_from": null, "bound_to": null,
        "os_flavor": "ubuntu",
        "os_version": "24.04", "rapid_deploy": true, "protection": {"delete": false},
        "deprecated": null, "deleted": null,
        "labels": {}, "architecture": "x86"
    })
}

pub fn server(id: u64, name: &str, labels: Value) -> Value {
    json!({
        "id": id, "name": name, "status": "initializing", "created": "2026-01-30T23:55:00Z",
        "public_net": {
            "ipv4": {"id": 7, "ip": "203.0.113.7", "blocked": false,
            "dns_ptr": "server.example.com"},
            "ipv6": {"id": 8, "ip": "2001:db8::/64", "blocked": false,
            "dns_ptr": [{"ip": "2001:db8::1", "dns_ptr": "server.example.com"}]},
            "floating_ips": [478], "firewalls": [{"id": 38, "status": "applied"}]
        },
        "private_net": [], "server_type": server_type(), "location": location(), "image": image(),
        "iso": null,
        "rescue_enabled": false, "locked": false, "backup_window": null, "outgoing_traffic": null,
        "ingoing_traffic": null,
        "included_traffic": 654_321, "protection": {"delete": false, "rebuild": false},
        "labels": labels, "volumes": [4711],
        "load_balancers": [], "primary_disk_size": 40, "placement_group": null
    })
}

pub fn volume(id: u64, name: &str, labels: Value) -> Value {
    json!({
        "id": id, "created": "2026-01-30T23:55:00Z", "name": name, "server": null,
        "location": location(), "size": 10,
        "linux_device": format!("/dev/disk/by-id/scsi-0HC_Volume_{id}"),
        "protection": {"delete": false}, "labels": labels,
        "status": "creating", "format": null
    })
}

pub fn ssh_key(id: u64, name: &str, labels: Value) -> Value {
    json!({
        "id": id, "name": name, "fingerprint": "b7:2f:30:a0:2f:6c:58:6c:21:04:58:61:ba:06:3b:2f",
        "public_key": "ssh-ed25519 AAAA",
        "labels": labels, "created": "2026-01-30T23:55:00Z"
    })
}

pub fn firewall(id: u64, name: &str, labels: Value) -> Value {
    json!({
        "id": id, "name": name, "labels": labels, "created": "2026-01-30T23:55:00Z",
        "rules": [{
            "description": null, "direction": "in", "source_ips": ["0.0.0.0/0", "::/0"],
            "destination_ips": [], "protocol": "tcp", "port": "22"
        }],
        "applied_to": [
            {"type": "server", "server": {"id": 42}},
            {"type": "label_selector", "label_selector": {"selector": "role=machine"},
             "applied_to_resources": [{"type": "server", "server": {"id": 42}}]}
        ]
    })
}

pub fn action(id: u64, command: &str, status: &str) -> Value {
    let error =
        (status == "error").then(|| json!({"code": "action_failed", "message": "Action failed"}));
    let finished = (status != "running").then_some("2026-01-30T23:56:00Z");
    json!({
        "id": id, "command": command, "status": status, "started": "2026-01-30T23:55:00Z",
        "finished": finished,
        "progress": if status == "success" { 100 } else { 0 }, "resources": [{"id": 42,
        "type": "server"}], "error": error
    })
}

pub fn list(key: &str, items: Vec<Value>) -> Value {
    page(key, items, 1, None)
}

pub fn page(key: &str, items: Vec<Value>, page: u32, next: Option<u32>) -> Value {
    json!({
        key: items,
        "meta": {"pagination": {
            "page": page, "per_page": 50, "previous_page": null, "next_page": next,
            "last_page": null, "total_entries": null
        }}
    })
}
