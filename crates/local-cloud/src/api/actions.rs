//! Queries of actions: one, some by id, all of a kind of resource, all of one resource.

use serde_json::{Value, json};

use super::error::ApiError;
use super::list::Listing;
use super::reply::Reply;
use super::scope::Scope;
use super::view;
use crate::state::{Action, Resource};

const ACTIONS: Listing = Listing {
    plural: "actions",
    sort: &["id", "command", "status", "started", "finished"],
    equal: &["id", "status"],
};

/// `GET /actions?id=1&id=2`. The form without ids was removed in January 2025. It has no pages.
pub(super) fn by_ids(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let asked: Vec<&str> = scope.call.query.all("id").collect();
    if asked.is_empty() {
        return Err(ApiError::removed("2023-07-20-actions-list-endpoint-is-deprecated"));
    }
    let ids: Vec<u64> = asked
        .iter()
        .map(|id| {
            id.parse()
                .map_err(|_| ApiError::invalid_field("id", format!("Not a valid integer: {id}")))
        })
        .collect::<Result<_, _>>()?;
    let mut reply = scope
        .list(&Listing { equal: &["status"], ..ACTIONS }, shown(scope, |a| ids.contains(&a.id)))?;
    reply.page = None;
    if let Some(body) = reply.body.as_mut().and_then(Value::as_object_mut) {
        body.remove("meta");
    }
    Ok(reply)
}

pub(super) fn get(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    one(scope, scope.id())
}

/// `GET /servers/{id}/actions/{action_id}`, the old form.
pub(super) fn get_of_resource(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let [resource, action] = scope.call.params[..] else {
        return Err(ApiError::not_found("action", 0));
    };
    let belongs = scope
        .project
        .actions
        .get(&action)
        .is_some_and(|a| a.resources.iter().any(|r| r.id() == resource));
    if belongs { one(scope, action) } else { Err(ApiError::not_found("action", action)) }
}

fn one(scope: &Scope<'_>, id: u64) -> Result<Reply, ApiError> {
    match scope.action_json(id) {
        Value::Null => Err(ApiError::not_found("action", id)),
        action => Ok(Reply::ok(json!({"action": action}))),
    }
}

fn shown(scope: &Scope<'_>, wanted: impl Fn(&Action) -> bool) -> Vec<Value> {
    scope
        .project
        .actions
        .values()
        .filter(|a| wanted(a))
        .map(|a| view::action(a, scope.now))
        .collect()
}

pub(super) fn none(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    scope.list(&ACTIONS, Vec::new())
}

fn list_of_kind(scope: &Scope<'_>, kind: &str) -> Result<Reply, ApiError> {
    scope.list(&ACTIONS, shown(scope, |a| a.resources.iter().any(|r| r.kind() == kind)))
}

fn list_of(scope: &Scope<'_>, resource: Resource, exists: bool) -> Result<Reply, ApiError> {
    if !exists {
        return Err(ApiError::not_found(resource.kind(), resource.id()));
    }
    scope.list(
        &Listing { equal: &["status"], ..ACTIONS },
        shown(scope, |a| a.resources.contains(&resource)),
    )
}

pub(super) fn list_of_servers(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    list_of_kind(scope, "server")
}

pub(super) fn list_of_volumes(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    list_of_kind(scope, "volume")
}

pub(super) fn list_of_images(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    list_of_kind(scope, "image")
}

pub(super) fn list_of_firewalls(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    list_of_kind(scope, "firewall")
}

pub(super) fn list_of_server(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    list_of(scope, Resource::Server(scope.id()), scope.project.servers.contains_key(&scope.id()))
}

pub(super) fn list_of_volume(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    list_of(scope, Resource::Volume(scope.id()), scope.project.volumes.contains_key(&scope.id()))
}

pub(super) fn list_of_image(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let exists = scope.project.snapshots.contains_key(&scope.id())
        || scope.catalogue.image(scope.id()).is_some();
    list_of(scope, Resource::Image(scope.id()), exists)
}

pub(super) fn list_of_firewall(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    list_of(
        scope,
        Resource::Firewall(scope.id()),
        scope.project.firewalls.contains_key(&scope.id()),
    )
}
