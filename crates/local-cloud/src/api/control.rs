//! Control requests, which only the local cloud has: faults, power cuts, a view of its state. The
//! crate's documentation lists them.

use http::{Method, Response, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::faults::Fault;
use super::{Api, Request, bill, json_response};
use crate::options::ContainerEngine;

pub(super) const PREFIX: &str = "/_local/";

pub(super) async fn answer(api: &Api, request: &Request) -> Response<Full<bytes::Bytes>> {
    let segments: Vec<&str> = request.path[PREFIX.len()..].split('/').collect();
    match (&request.method, segments.as_slice()) {
        (&Method::POST, ["faults"]) => order_fault(api, &request.body),
        (&Method::DELETE, ["faults"]) => {
            api.faults.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0.clear();
            json_response(StatusCode::OK, &json!({}))
        }
        (&Method::POST, ["engine"]) => set_engine(api, &request.body).await,
        (&Method::POST, ["servers", id, "power_cut"]) => power_cut(api, id).await,
        (&Method::GET, ["state"]) => json_response(StatusCode::OK, &summary(api)),
        (&Method::PUT, ["limits"]) => set_limits(api, &request.body),
        (&Method::DELETE, ["requests"]) => {
            let counted =
                api.counter.lock().unwrap_or_else(std::sync::PoisonError::into_inner).reset();
            json_response(StatusCode::OK, &json!({"requests": counted}))
        }
        (&Method::GET, ["bill"]) => json_response(StatusCode::OK, &bill(api)),
        _ => refusal(StatusCode::NOT_FOUND, "no such control request"),
    }
}

fn order_fault(api: &Api, body: &[u8]) -> Response<Full<bytes::Bytes>> {
    match serde_json::from_slice::<Fault>(body) {
        Ok(fault) => {
            api.faults.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0.push(fault);
            json_response(StatusCode::CREATED, &json!({}))
        }
        Err(error) => refusal(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    }
}

/// Changes the named limits; `null` for servers means no limit.
fn set_limits(api: &Api, body: &[u8]) -> Response<Full<bytes::Bytes>> {
    let mut limits = api.limits.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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
async fn set_engine(api: &Api, body: &[u8]) -> Response<Full<bytes::Bytes>> {
    #[derive(Deserialize)]
    struct Change {
        engine: ContainerEngine,
    }
    let engine = match serde_json::from_slice::<Change>(body) {
        Ok(change) => change.engine,
        Err(error) => return refusal(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    };
    match api.engine.hypervisor.set_engine(engine).await {
        Ok(()) => json_response(StatusCode::OK, &json!({})),
        Err(failure) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &failure.to_string()),
    }
}

async fn power_cut(api: &Api, id: &str) -> Response<Full<bytes::Bytes>> {
    let Ok(id) = id.parse() else { return refusal(StatusCode::NOT_FOUND, "no such server") };
    match api.engine.power_cut(id).await {
        Ok(true) => json_response(StatusCode::OK, &json!({})),
        Ok(false) => refusal(StatusCode::NOT_FOUND, "no such server"),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.message),
    }
}

/// Counts over all projects, the requests of each project, and the faults that are left.
fn summary(api: &Api) -> Value {
    let faults = serde_json::to_value(
        &api.faults.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0,
    );
    let requests = api.counter.lock().unwrap_or_else(std::sync::PoisonError::into_inner).json();
    let world = api.engine.world();
    let count =
        |of: fn(&crate::state::Project) -> usize| world.projects.values().map(of).sum::<usize>();
    json!({
        "servers": count(|p| p.servers.len()),
        "server_ids": world.projects.values().flat_map(|p| p.servers.keys()).collect::<Vec<_>>(),
        "volumes": count(|p| p.volumes.len()),
        "attached": count(|p| p.volumes.values().filter(|v| v.server.is_some()).count()),
        "ssh_keys": count(|p| p.ssh_keys.len()),
        "firewalls": count(|p| p.firewalls.len()),
        "primary_ips": count(|p| {
            p.addresses.len() + p.servers.values().map(|s| usize::from(s.ipv4.is_some()) + usize::from(s.ipv6.is_some())).sum::<usize>()
        }),
        "snapshots": count(|p| p.snapshots.len()),
        "actions": count(|p| p.actions.len()),
        "locks": count(|p| p.locks.len()),
        "requests": requests,
        "faults": faults.unwrap_or_default(),
    })
}

/// The bill of each project, by its name.
fn bill(api: &Api) -> Value {
    let world = api.engine.world();
    let bills = world.projects.iter().map(|(name, project)| {
        (name.clone(), bill::of(project, &api.engine.catalogue, Timestamp::now()))
    });
    Value::Object(bills.collect())
}

fn refusal(status: StatusCode, message: &str) -> Response<Full<bytes::Bytes>> {
    json_response(status, &json!({"error": {"message": message}}))
}
