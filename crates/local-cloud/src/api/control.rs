//! Control requests, which only the local cloud has: faults, power cuts, a view of its state. The
//! crate's documentation lists them.

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::bill;
use super::faults::Fault;
use super::response::{Answer, json_response};
use super::shared::Shared;
use crate::options::ContainerEngine;
use crate::state::{Project, Server};

pub(super) const PREFIX: &str = "/_local/";

pub(super) async fn answer(shared: &Shared, method: &Method, path: &str, body: &[u8]) -> Answer {
    let segments: Vec<&str> = path[PREFIX.len()..].split('/').collect();
    match (method, segments.as_slice()) {
        (&Method::POST, ["faults"]) => order_fault(shared, body),
        (&Method::DELETE, ["faults"]) => {
            shared.faults().0.clear();
            json_response(StatusCode::OK, &json!({}))
        }
        (&Method::POST, ["late_devices"]) => {
            let devices = shared.engine.show_late_devices();
            json_response(StatusCode::OK, &json!({"devices": devices}))
        }
        (&Method::POST, ["engine"]) => set_engine(shared, body).await,
        (&Method::POST, ["servers", id, "power_cut"]) => power_cut(shared, id).await,
        (&Method::GET, ["state"]) => json_response(StatusCode::OK, &summary(shared)),
        (&Method::PUT, ["limits"]) => set_limits(shared, body),
        (&Method::DELETE, ["requests"]) => {
            let counted = shared.counter().reset();
            json_response(StatusCode::OK, &json!({"requests": counted}))
        }
        (&Method::GET, ["bill"]) => json_response(StatusCode::OK, &bill(shared)),
        _ => refusal(StatusCode::NOT_FOUND, "no such control request"),
    }
}

fn order_fault(shared: &Shared, body: &[u8]) -> Answer {
    match serde_json::from_slice::<Fault>(body) {
        Ok(fault) => {
            shared.faults().0.push(fault);
            json_response(StatusCode::CREATED, &json!({}))
        }
        Err(error) => refusal(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    }
}

/// Changes the named limits; `null` for servers means no limit.
fn set_limits(shared: &Shared, body: &[u8]) -> Answer {
    let mut limits = shared.limits_mut();
    match serde_json::from_slice::<NewLimits>(body) {
        Ok(new) => {
            limits.requests_per_hour = new.requests_per_hour.unwrap_or(limits.requests_per_hour);
            limits.servers = new.servers.unwrap_or(limits.servers);
            json_response(
                StatusCode::OK,
                &json!({"requests_per_hour": limits.requests_per_hour, "servers": limits.servers}),
            )
        }
        Err(error) => refusal(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLimits {
    requests_per_hour: Option<u32>,
    /// The outer option says whether the field is present.
    #[serde(default, deserialize_with = "named")]
    servers: Option<Option<u32>>,
}

fn named<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::<u32>::deserialize(value).map(Some)
}

/// Simulates that Hetzner rebuilds its app image with a newer docker.
async fn set_engine(shared: &Shared, body: &[u8]) -> Answer {
    #[derive(Deserialize)]
    struct Change {
        engine: ContainerEngine,
    }
    let engine = match serde_json::from_slice::<Change>(body) {
        Ok(change) => change.engine,
        Err(error) => return refusal(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    };
    match shared.engine.hypervisor.set_engine(engine).await {
        Ok(()) => json_response(StatusCode::OK, &json!({})),
        Err(failure) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &failure.to_string()),
    }
}

async fn power_cut(shared: &Shared, id: &str) -> Answer {
    let Ok(id) = id.parse() else { return refusal(StatusCode::NOT_FOUND, "no such server") };
    match shared.engine.power_cut(id).await {
        Ok(true) => json_response(StatusCode::OK, &json!({})),
        Ok(false) => refusal(StatusCode::NOT_FOUND, "no such server"),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.message),
    }
}

/// Counts over all projects, the requests of each project, and the faults that are left.
fn summary(shared: &Shared) -> Value {
    let faults = serde_json::to_value(&shared.faults().0);
    let requests = shared.counter().json();
    let world = shared.engine.world();
    let count = |of: fn(&Project) -> usize| world.projects.values().map(of).sum::<usize>();
    json!({
        "servers": count(|p| p.servers.len()),
        "server_ids": world.projects.values().flat_map(|p| p.servers.keys()).collect::<Vec<_>>(),
        "volumes": count(|p| p.volumes.len()),
        "attached": count(|p| p.volumes.values().filter(|v| v.server.is_some()).count()),
        "ssh_keys": count(|p| p.ssh_keys.len()),
        "firewalls": count(|p| p.firewalls.len()),
        "primary_ips": count(|p| {
            let of_server = |s: &Server| {
                usize::from(s.ipv4.is_some()) + usize::from(s.ipv6.is_some())
            };
            p.addresses.len() + p.servers.values().map(of_server).sum::<usize>()
        }),
        "snapshots": count(|p| p.snapshots.len()),
        "actions": count(|p| p.actions.len()),
        "locks": count(|p| p.locks.len()),
        "requests": requests,
        "faults": faults.unwrap_or_default(),
    })
}

/// The bill of each project, by its name.
fn bill(shared: &Shared) -> Value {
    let world = shared.engine.world();
    let bills = world.projects.iter().map(|(name, project)| {
        (name.clone(), bill::of(project, &shared.engine.catalogue, Timestamp::now()))
    });
    Value::Object(bills.collect())
}

fn refusal(status: StatusCode, message: &str) -> Answer {
    json_response(status, &json!({"error": {"message": message}}))
}
