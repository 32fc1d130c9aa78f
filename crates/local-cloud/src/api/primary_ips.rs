//! The addresses that came with servers. They are only shown: they live and go with their server.

use serde_json::{Value, json};

use super::error::ApiError;
use super::list::Listing;
use super::scope::{Reply, Scope};
use super::view;
use crate::state::Server;

const PRIMARY_IPS: Listing = Listing { plural: "primary_ips", sort: &["id", "created"], equal: &["name", "ip"] };

pub(super) fn list(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    scope.list(&PRIMARY_IPS, all(scope))
}

pub(super) fn get(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    find(scope).map(|ip| Reply::ok(json!({"primary_ip": ip})))
}

/// Neither changed nor deleted as long as it is assigned, and it always is.
pub(super) fn keep(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    find(scope)?;
    Err(ApiError::unprocessable("must_be_unassigned", "the primary IP is assigned to a server"))
}

fn find(scope: &Scope<'_>) -> Result<Value, ApiError> {
    all(scope).into_iter().find(|ip| ip["id"] == scope.id()).ok_or_else(|| ApiError::not_found("primary_ip", scope.id()))
}

fn all(scope: &Scope<'_>) -> Vec<Value> {
    scope.project.servers.values().flat_map(|server| of(scope, server)).collect()
}

fn of(scope: &Scope<'_>, server: &Server) -> Vec<Value> {
    let location = scope.catalogue.location(server.location);
    let shown = |id: u64, kind: &str, ip: String, names: Value| {
        json!({
            "id": id,
            "name": format!("primary_ip-{id}"),
            "labels": {},
            "created": view::time(server.created),
            "blocked": false,
            "datacenter": location.map(|l| scope.catalogue.datacenter_json(l)),
            "location": location.map(|l| &l.json),
            "ip": ip,
            "dns_ptr": names,
            "protection": {"delete": false},
            "type": kind,
            "auto_delete": true,
            "assignee_type": "server",
            "assignee_id": server.id,
        })
    };
    let ipv4 = server.ipv4.as_ref().map(|a| shown(a.id, "ipv4", a.ip.to_string(), json!([{"ip": a.ip, "dns_ptr": a.reverse_name()}])));
    let ipv6 = server.ipv6.as_ref().map(|a| {
        let names = a.dns_ptr.iter().map(|(ip, name)| json!({"ip": ip, "dns_ptr": name})).collect::<Vec<_>>();
        shown(a.id, "ipv6", format!("{}/64", a.network), names.into())
    });
    ipv4.into_iter().chain(ipv6).collect()
}
