//! The JSON objects of the API, one function each.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::catalogue::Catalogue;
use crate::state::firewall::{Direction, Rule, Target};
use crate::state::labels::Selector;
use crate::state::{Action, Firewall, Id, Progress, Project, Server, Snapshot, SshKey, Volume};

/// RFC 3339 in UTC, whole seconds.
pub(super) fn time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(super) fn action(action: &Action, now: Timestamp) -> Value {
    let (status, error) = match &action.progress {
        Progress::Running => ("running", Value::Null),
        Progress::Success => ("success", Value::Null),
        Progress::Error(error) => ("error", json!({"code": error.code, "message": error.message})),
    };
    json!({
        "id": action.id,
        "command": action.command,
        "status": status,
        "progress": action.percent(now),
        "started": time(action.started),
        "finished": action.finished.map(time),
        "resources": action
            .resources
            .iter()
            .map(|r| json!({"id": r.id(), "type": r.kind()}))
            .collect::<Vec<_>>(),
        "error": error,
    })
}

pub(super) fn server(
    project: &Project,
    catalogue: &Catalogue,
    server: &Server,
    now: Timestamp,
) -> Value {
    let location = catalogue.location(server.location);
    let server_type = catalogue.server_type(server.server_type);
    let included = location
        .zip(server_type)
        .map_or(Value::Null, |(l, t)| catalogue.included_traffic(t, &l.name));
    let firewalls = server.firewalls.iter().map(|(id, in_force)| {
        let status = if in_force.is_some() { "applied" } else { "pending" };
        json!({"id": id, "status": status})
    });
    let mut shown = json!({
        "id": server.id,
        "name": server.name,
        "status": server.status.name(),
        "created": time(server.created),
        "public_net": {
            "ipv4": server.ipv4.as_ref().map(|a| json!({
                "id": a.id,
                "ip": a.ip,
                "blocked": false,
                "dns_ptr": a.reverse_name(),
            })),
            "ipv6": server.ipv6.as_ref().map(|a| json!({
                "id": a.id,
                "ip": format!("{}/64", a.network),
                "blocked": false,
                "dns_ptr": a
                    .dns_ptr
                    .iter()
                    .map(|(ip, name)| json!({"ip": ip, "dns_ptr": name}))
                    .collect::<Vec<_>>(),
            })),
            "floating_ips": [],
            "firewalls": firewalls.collect::<Vec<_>>(),
        },
        "private_net": [],
        "server_type": server_type.map(|t| &t.json),
        "location": location.map(|l| &l.json),
        "image": image_by_id(project, catalogue, server.image),
        "iso": null,
        "rescue_enabled": server.rescue.as_ref().is_some_and(|rescue| now < rescue.until),
        "locked": project.shows_locked(server.id),
        "backup_window": null,
        "outgoing_traffic": 0,
        "ingoing_traffic": 0,
        "included_traffic": included,
        "protection": {"delete": server.protected, "rebuild": server.protected},
        "labels": server.labels,
        "volumes": project.volumes_of(server.id),
        "load_balancers": [],
        "primary_disk_size": server.disk,
        "placement_group": null,
    });
    if catalogue.removed_properties {
        shown["datacenter"] = location.map(|l| catalogue.datacenter_json(l)).into();
    }
    shown
}

/// Null once a snapshot is deleted.
pub(super) fn image_by_id(project: &Project, catalogue: &Catalogue, id: Id) -> Value {
    match (catalogue.image(id), project.snapshots.get(&id)) {
        (Some(image), _) => image.json.clone(),
        (None, Some(snapshot)) => self::snapshot(catalogue, snapshot),
        (None, None) => Value::Null,
    }
}

pub(super) fn snapshot(catalogue: &Catalogue, snapshot: &Snapshot) -> Value {
    let mut shown = json!({
        "id": snapshot.id,
        "type": if snapshot.backup_of.is_some() { "backup" } else { "snapshot" },
        "status": if snapshot.available { "available" } else { "creating" },
        "name": null,
        "description": snapshot.description,
        // In GB, as billed.
        "image_size": snapshot.size.map(|bytes| (bytes as f64 / 1e7).round() / 100.0),
        "disk_size": snapshot.disk,
        "created": time(snapshot.created),
        "created_from": {"id": snapshot.created_from.0, "name": snapshot.created_from.1},
        "bound_to": snapshot.backup_of,
        "os_flavor": snapshot.os_flavor,
        "os_version": snapshot.os_version,
        "rapid_deploy": false,
        "protection": {"delete": snapshot.protected},
        "deprecation": null,
        "deleted": null,
        "labels": snapshot.labels,
        "architecture": snapshot.architecture,
    });
    if catalogue.removed_properties {
        shown["deprecated"] = Value::Null;
    }
    shown
}

pub(super) fn volume(catalogue: &Catalogue, volume: &Volume) -> Value {
    json!({
        "id": volume.id,
        "name": volume.name,
        "created": time(volume.created),
        "server": volume.server,
        "location": catalogue.location(volume.location).map(|l| &l.json),
        "size": volume.size,
        "linux_device": format!("/dev/disk/by-id/scsi-0HC_Volume_{}", volume.id),
        "protection": {"delete": volume.protected},
        "labels": volume.labels,
        "status": if volume.available { "available" } else { "creating" },
        "format": volume.format,
    })
}

pub(super) fn ssh_key(key: &SshKey) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "fingerprint": key.fingerprint,
        "public_key": key.public_key,
        "labels": key.labels,
        "created": time(key.created),
    })
}

pub(super) fn firewall(project: &Project, firewall: &Firewall) -> Value {
    json!({
        "id": firewall.id,
        "name": firewall.name,
        "labels": firewall.labels,
        "created": time(firewall.created),
        "rules": firewall.rules.iter().map(rule).collect::<Vec<_>>(),
        "applied_to": firewall.targets.iter().map(|t| target(project, t)).collect::<Vec<_>>(),
    })
}

fn rule(rule: &Rule) -> Value {
    json!({
        "direction": if rule.direction == Direction::In { "in" } else { "out" },
        "protocol": rule.protocol.name(),
        "port": rule.port,
        "source_ips": rule.source_ips,
        "destination_ips": rule.destination_ips,
        "description": rule.description,
    })
}

fn target(project: &Project, target: &Target) -> Value {
    match target {
        Target::Server(id) => json!({"type": "server", "server": {"id": id}}),
        Target::Selector(text) => {
            let matches =
                |server: &&Server| Selector::parse(text).is_ok_and(|s| s.matches(&server.labels));
            let servers = project
                .servers
                .values()
                .filter(matches)
                .map(|s| json!({"type": "server", "server": {"id": s.id}}));
            json!({
                "type": "label_selector",
                "label_selector": {"selector": text},
                "applied_to_resources": servers.collect::<Vec<_>>(),
            })
        }
    }
}
