//! What can be ordered: server types, locations, prices.

use serde_json::{Value, json};

use super::error::ApiError;
use super::list::Listing;
use super::reply::Reply;
use super::scope::Scope;
use crate::catalogue::Entry;

const SERVER_TYPES: Listing =
    Listing { plural: "server_types", sort: &["id", "name"], equal: &["name", "architecture"] };
const LOCATIONS: Listing = Listing { plural: "locations", sort: &["id", "name"], equal: &["name"] };

fn shown(entries: &[Entry]) -> Vec<Value> {
    entries.iter().map(|e| e.json.clone()).collect()
}

pub(super) fn server_types(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    scope.list(&SERVER_TYPES, shown(&scope.catalogue.server_types))
}

pub(super) fn server_type(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let found = scope
        .catalogue
        .server_type(scope.id())
        .ok_or_else(|| ApiError::not_found("server_type", scope.id()))?;
    Ok(Reply::ok(json!({"server_type": found.json})))
}

pub(super) fn locations(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    scope.list(&LOCATIONS, shown(&scope.catalogue.locations))
}

pub(super) fn location(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let found = scope
        .catalogue
        .location(scope.id())
        .ok_or_else(|| ApiError::not_found("location", scope.id()))?;
    Ok(Reply::ok(json!({"location": found.json})))
}

pub(super) fn pricing(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    Ok(Reply::ok(json!({"pricing": scope.catalogue.pricing_json()})))
}

/// Removed in October 2026.
pub(super) fn datacenters(_: &mut Scope<'_>) -> Result<Reply, ApiError> {
    Err(ApiError::removed("2026-06-02-datacenters-deprecated"))
}
