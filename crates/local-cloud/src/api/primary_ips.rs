//! The addresses that come with servers. They are deleted with their server, unless they are set
//! to stay.

use serde_json::{Value, json};

use super::body::Fields;
use super::error::ApiError;
use super::list::Listing;
use super::reply::Reply;
use super::scope::Scope;
use super::view;
use crate::state::{AddressFacts, Id, Server};

const PRIMARY_IPS: Listing =
    Listing { plural: "primary_ips", sort: &["id", "created"], equal: &["name", "ip"] };

pub(super) fn list(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    scope.list(&PRIMARY_IPS, all(scope))
}

pub(super) fn get(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    find(scope).map(|ip| Reply::ok(json!({"primary_ip": ip})))
}

pub(super) fn update(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    find(scope)?;
    let id = scope.id();
    let mut fields = Fields::of(&scope.call.body);
    let name: Option<String> = fields.optional("name");
    let auto_delete: Option<bool> = fields.optional("auto_delete");
    let labels = fields.labels();
    fields.finish()?;
    if name
        .as_ref()
        .is_some_and(|name| all(scope).iter().any(|ip| ip["id"] != id && ip["name"] == **name))
    {
        return Err(ApiError::taken("name", "name is already used"));
    }
    if let Some(facts) = facts(scope, id) {
        facts.name = name.or_else(|| facts.name.take());
        facts.auto_delete = auto_delete.unwrap_or(facts.auto_delete);
        facts.labels = labels.unwrap_or_else(|| std::mem::take(&mut facts.labels));
    }
    get(scope)
}

/// No action of the local cloud works on a primary IP.
pub(super) fn actions(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    find(scope)?;
    super::actions::none(scope)
}

pub(super) fn delete(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    find(scope)?;
    let id = scope.id();
    match scope.project.addresses.remove(&id) {
        Some(_) => Ok(Reply::nothing()),
        None => Err(ApiError::unprocessable(
            "must_be_unassigned",
            "the primary IP is assigned to a server",
        )),
    }
}

fn find(scope: &Scope<'_>) -> Result<Value, ApiError> {
    all(scope)
        .into_iter()
        .find(|ip| ip["id"] == scope.id())
        .ok_or_else(|| ApiError::not_found("primary_ip", scope.id()))
}

fn facts<'s>(scope: &'s mut Scope<'_>, id: Id) -> Option<&'s mut AddressFacts> {
    let project = &mut *scope.project;
    let of_servers = project.servers.values_mut().flat_map(|server| {
        let ipv4 = server.ipv4.as_mut().map(|address| (address.id, &mut address.facts));
        ipv4.into_iter().chain(server.ipv6.as_mut().map(|address| (address.id, &mut address.facts)))
    });
    let free = project.addresses.iter_mut().map(|(id, address)| (*id, &mut address.facts));
    of_servers.chain(free).find(|(found, _)| *found == id).map(|(_, facts)| facts)
}

fn all(scope: &Scope<'_>) -> Vec<Value> {
    let free = scope.project.addresses.iter().map(|(id, address)| {
        let of = Of {
            id: *id,
            kind: &address.kind,
            ip: address.ip.clone(),
            location: address.location,
            created: address.created,
            server: None,
        };
        shown(scope, of, &address.facts, json!([]))
    });
    scope.project.servers.values().flat_map(|server| of(scope, server)).chain(free).collect()
}

fn of(scope: &Scope<'_>, server: &Server) -> Vec<Value> {
    let (location, created) = (server.location, server.created);
    let ipv4 = server.ipv4.as_ref().map(|a| {
        let of = Of {
            id: a.id,
            kind: "ipv4",
            ip: a.ip.to_string(),
            location,
            created,
            server: Some(server.id),
        };
        shown(scope, of, &a.facts, json!([{"ip": a.ip, "dns_ptr": a.reverse_name()}]))
    });
    let ipv6 = server.ipv6.as_ref().map(|a| {
        let names = a
            .dns_ptr
            .iter()
            .map(|(ip, name)| json!({"ip": ip, "dns_ptr": name}))
            .collect::<Vec<_>>();
        let of = Of {
            id: a.id,
            kind: "ipv6",
            ip: format!("{}/64", a.network),
            location,
            created,
            server: Some(server.id),
        };
        shown(scope, of, &a.facts, names.into())
    });
    ipv4.into_iter().chain(ipv6).collect()
}

struct Of<'a> {
    id: Id,
    kind: &'a str,
    ip: String,
    location: Id,
    created: jiff::Timestamp,
    server: Option<Id>,
}

fn shown(scope: &Scope<'_>, of: Of<'_>, facts: &AddressFacts, names: Value) -> Value {
    let location = scope.catalogue.location(of.location);
    let mut shown = json!({
        "id": of.id,
        "name": facts.name.clone().unwrap_or_else(|| format!("primary_ip-{}", of.id)),
        "labels": facts.labels,
        "created": view::time(of.created),
        "blocked": false,
        "location": location.map(|l| &l.json),
        "ip": of.ip,
        "dns_ptr": names,
        "protection": {"delete": false},
        "type": of.kind,
        "auto_delete": facts.auto_delete,
        // `unassigned` since August 2026.
        "assignee_type": if of.server.is_some() { "server" } else { "unassigned" },
        "assignee_id": of.server,
    });
    if scope.catalogue.removed_properties {
        shown["datacenter"] = location.map(|l| scope.catalogue.datacenter_json(l)).into();
    }
    shown
}
