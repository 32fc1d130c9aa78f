//! Servers: list, create, change, delete. `server_actions` has the actions on them.

use std::net::Ipv6Addr;

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::body::{Fields, IdOrName};
use super::error::ApiError;
use super::faults::Kind;
use super::list::Listing;
use super::scope::{Reply, Scope};
use super::{images, view};
use crate::catalogue::{Entry, NotSold};
use crate::state::{Id, Ipv4, Ipv6, Resource, Server, ServerStatus};
use crate::work::Work;

const SERVERS: Listing =
    Listing { plural: "servers", sort: &["id", "name", "created"], equal: &["name", "status"] };

/// Maximum size of user data in bytes.
pub(super) const MAX_USER_DATA: usize = 32 * 1024;

/// The documentation prefix 2001:db8::/32; each server gets the /64 of its id.
const NETWORKS: u128 = 0x2001_0db8_u128 << 96;

pub(super) fn list(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    scope.list(
        &SERVERS,
        scope
            .project
            .servers
            .values()
            .map(|s| view::server(scope.project, scope.catalogue, s, scope.now))
            .collect(),
    )
}

pub(super) fn get(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    find(scope)?;
    Ok(Reply::ok(json!({"server": scope.server_json(scope.id())})))
}

pub(super) fn find<'s>(scope: &'s Scope<'_>) -> Result<&'s Server, ApiError> {
    scope.project.servers.get(&scope.id()).ok_or_else(|| ApiError::not_found("server", scope.id()))
}

/// The network part of an order.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicNet {
    enable_ipv4: Option<bool>,
    enable_ipv6: Option<bool>,
    ipv4: Option<u64>,
    ipv6: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FirewallRef {
    firewall: Id,
}

pub(super) fn create(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let mut fields = Fields::of(&scope.call.body);
    let name: String = fields.required("name");
    let server_type: IdOrName = fields.required("server_type");
    let image: IdOrName = fields.required("image");
    let location: Option<IdOrName> = fields.optional("location");
    // Unknown since July 2026, like any other unknown field.
    let datacenter: Option<IdOrName> =
        scope.catalogue.removed_properties.then(|| fields.optional("datacenter")).flatten();
    let starts = fields.optional("start_after_create").unwrap_or(true);
    let key_refs: Vec<IdOrName> = fields.optional("ssh_keys").unwrap_or_default();
    let volumes: Vec<Id> = fields.optional("volumes").unwrap_or_default();
    let automount: bool = fields.optional("automount").unwrap_or_default();
    let networks: Vec<Id> = fields.optional("networks").unwrap_or_default();
    let firewalls: Vec<FirewallRef> = fields.optional("firewalls").unwrap_or_default();
    let user_data: Option<String> = fields.optional("user_data");
    let labels = fields.labels().unwrap_or_default();
    let placement_group: Option<Id> = fields.optional("placement_group");
    let public_net: PublicNet = fields.optional("public_net").unwrap_or_default();
    fields.refuse_unless(is_host_name(&name), "name", "Name is not a valid hostname.");
    fields.refuse_unless(
        user_data.as_ref().is_none_or(|d| d.len() <= MAX_USER_DATA),
        "user_data",
        "Longer than maximum length 32768.",
    );
    fields.refuse_unless(
        location.is_none() || datacenter.is_none(),
        "location",
        "location and datacenter exclude each other.",
    );
    fields.refuse_unless(
        !automount || !volumes.is_empty(),
        "automount",
        "automount is only possible with volumes.",
    );
    let (has_ipv4, has_ipv6) =
        (public_net.enable_ipv4.unwrap_or(true), public_net.enable_ipv6.unwrap_or(true));
    fields.finish()?;
    if !networks.is_empty()
        || placement_group.is_some()
        || public_net.ipv4.is_some()
        || public_net.ipv6.is_some()
    {
        return Err(ApiError::unsupported(
            "the local cloud has no networks, placement groups or reserved addresses",
        ));
    }
    if starts && !has_ipv4 && !has_ipv6 {
        return Err(without_an_address());
    }

    let server_type = find_server_type(scope, &server_type)?;
    let image = images::find_for(scope, &image, server_type)?;
    let location = choose_location(scope, server_type, location, datacenter, &volumes)?;
    let keys = find_keys(scope, &key_refs)?;
    check_volumes(scope, &volumes, location)?;
    for firewall in &firewalls {
        if !scope.project.firewalls.contains_key(&firewall.firewall) {
            return Err(ApiError::invalid_field(
                "firewalls",
                format!("firewall {} not found", firewall.firewall),
            ));
        }
    }
    ensure_name_is_free(scope, &name, None)?;
    ensure_below_limit(scope)?;
    place(scope, server_type, location)?;

    let id = scope.new_id();
    let reserved = scope.hypervisor.reserve_address(id).map_err(|failure| {
        tracing::warn!(
            server = id,
            what = failure.what,
            cause = failure.cause,
            "no address for a new server"
        );
        ApiError::limit_exceeded("Primary IP limit exceeded", "primary_ip_limit")
    })?;
    let ipv4 = has_ipv4.then(|| Ipv4 {
        id: scope.new_id(),
        ip: reserved,
        dns_ptr: None,
        facts: Default::default(),
    });
    let ipv6 = has_ipv6.then(|| Ipv6 {
        id: scope.new_id(),
        network: Ipv6Addr::from(NETWORKS | (u128::from(id & 0xffff_ffff) << 64)),
        dns_ptr: Default::default(),
        facts: Default::default(),
    });
    let root_password = keys.is_empty().then(root_password);
    let server = Server {
        id,
        name,
        status: ServerStatus::Initializing,
        created: scope.now,
        server_type: server_type.id,
        location: location.id,
        image,
        ipv4,
        ipv6,
        labels,
        protected: false,
        disk: server_type.number("disk"),
        made: false,
        user_data,
        ssh_keys: keys,
        firewalls: Default::default(),
        rescue: None,
    };
    scope.project.servers.insert(id, server);
    for firewall in &firewalls {
        if let Some(record) = scope.project.firewalls.get_mut(&firewall.firewall) {
            record.targets.insert(crate::state::firewall::Target::Server(id));
        }
    }
    Ok(order(scope, id, starts, (&volumes, automount), root_password))
}

/// Records the actions of a new server: firewalls before the start, so that it is never seen
/// without; volumes after it, like Hetzner. The id of `start_server` is lower than that of
/// `create_server`, as recorded: ids do not follow the order.
fn order(
    scope: &mut Scope<'_>,
    id: Id,
    starts: bool,
    (volumes, automount): (&[Id], bool),
    root_password: Option<String>,
) -> Reply {
    let server = Resource::Server(id);
    let started = starts.then(|| scope.action("start_server", &[server]));
    let created = scope.action("create_server", &[server]);
    let mut steps = vec![(created, Work::CreateServer { server: id, start_follows: starts })];
    for firewall in scope.project.wanted_firewalls(id) {
        let revision = scope.project.firewalls.get(&firewall).map_or(0, |f| f.revision);
        if let Some(record) = scope.project.servers.get_mut(&id) {
            record.firewalls.insert(firewall, None);
        }
        let action = scope.action("apply_firewall", &[server, Resource::Firewall(firewall)]);
        steps.push((action, Work::ApplyFirewall { firewall, server: id, revision }));
    }
    steps.extend(started.map(|action| (action, Work::Start(id))));
    let late = scope.call.late;
    for &volume in volumes {
        let action = scope.action("attach_volume", &[server, Resource::Volume(volume)]);
        steps.push((action, Work::Attach { volume, server: id, late, automount }));
    }
    let next: Vec<Id> = steps.iter().skip(1).map(|(action, _)| *action).collect();
    let holds = volumes.iter().map(|v| Resource::Volume(*v)).chain([server]).collect();
    scope.start(steps, holds);
    Reply::created(json!({
        "server": scope.server_json(id),
        "action": scope.action_json(created),
        "next_actions": scope.actions_json(&next),
        "root_password": root_password,
    }))
}

pub(super) fn update(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let id = scope.id();
    find(scope)?;
    let mut fields = Fields::of(&scope.call.body);
    let name: Option<String> = fields.optional("name");
    let labels = fields.labels();
    fields.refuse_unless(
        name.as_deref().is_none_or(is_host_name),
        "name",
        "Name is not a valid hostname.",
    );
    fields.finish()?;
    if let Some(name) = &name {
        ensure_name_is_free(scope, name, Some(id))?;
    }
    if let Some(server) = scope.project.servers.get_mut(&id) {
        server.name = name.unwrap_or_else(|| std::mem::take(&mut server.name));
        server.labels = labels.unwrap_or_else(|| std::mem::take(&mut server.labels));
    }
    get(scope)
}

pub(super) fn delete(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let id = scope.id();
    if find(scope)?.protected {
        return Err(ApiError::protected("server"));
    }
    scope.ensure_unlocked(Resource::Server(id))?;
    let volumes: Vec<Resource> =
        scope.project.volumes_of(id).into_iter().map(Resource::Volume).collect();
    for volume in &volumes {
        scope.ensure_unlocked(*volume)?;
    }
    let action = scope.action("delete_server", &[Resource::Server(id)]);
    let holds = volumes.into_iter().chain([Resource::Server(id)]).collect();
    scope.start(vec![(action, Work::DeleteServer(id))], holds);
    Ok(Reply::ok(json!({"action": scope.action_json(action)})))
}

pub(super) fn find_server_type<'a>(
    scope: &Scope<'a>,
    wanted: &IdOrName,
) -> Result<&'a Entry, ApiError> {
    let found = scope.catalogue.server_types.iter().find(|t| wanted.is(t.id, &t.name));
    found.ok_or_else(|| {
        ApiError::invalid_field("server_type", format!("server type {} not found", wanted.text()))
    })
}

/// The requested location; else the volumes' location; else the first where the type is sold.
fn choose_location<'a>(
    scope: &Scope<'a>,
    server_type: &Entry,
    location: Option<IdOrName>,
    datacenter: Option<IdOrName>,
    volumes: &[Id],
) -> Result<&'a Entry, ApiError> {
    let catalogue = scope.catalogue;
    if let Some(wanted) = location {
        let found = catalogue.locations.iter().find(|l| wanted.is(l.id, &l.name));
        return found.ok_or_else(|| {
            ApiError::invalid_field("location", format!("location {} not found", wanted.text()))
        });
    }
    if let Some(wanted) = datacenter {
        let found = catalogue.location_of_datacenter(&wanted.text());
        return found.ok_or_else(|| {
            ApiError::invalid_field("datacenter", format!("datacenter {} not found", wanted.text()))
        });
    }
    let of_volume = volumes
        .first()
        .and_then(|id| scope.project.volumes.get(id))
        .and_then(|v| catalogue.location(v.location));
    let sold = || {
        catalogue.locations.iter().find(|l| catalogue.sold(server_type, &l.name, scope.now).is_ok())
    };
    of_volume
        .or_else(sold)
        .or(catalogue.locations.first())
        .ok_or_else(|| ApiError::invalid("no location"))
}

/// Checks that the type is sold there and that the stock has it.
pub(super) fn place(
    scope: &Scope<'_>,
    server_type: &Entry,
    location: &Entry,
) -> Result<(), ApiError> {
    let not_here = || ApiError::invalid("unsupported location for server type");
    let deprecated = || ApiError::invalid(format!("server type {} is deprecated", server_type.id));
    match scope.catalogue.sold(server_type, &location.name, scope.now) {
        Err(NotSold::Withdrawn) => return Err(deprecated()),
        Err(NotSold::NotHere) => return Err(not_here()),
        Ok(()) => {}
    }
    match scope.call.fault {
        Some(Kind::StockOut) => Err(ApiError::new(
            StatusCode::PRECONDITION_FAILED,
            "resource_unavailable",
            "error during placement",
        )),
        Some(Kind::UnsupportedLocation) => Err(not_here()),
        Some(Kind::TypeDeprecated) => Err(deprecated()),
        Some(Kind::LocationDisabled) => Err(ApiError::location_disabled()),
        Some(Kind::ImageGone) => {
            Err(ApiError::invalid_field("image", "image not found".to_owned()))
        }
        _ => Ok(()),
    }
}

pub(super) fn find_keys(scope: &Scope<'_>, wanted: &[IdOrName]) -> Result<Vec<String>, ApiError> {
    let find = |wanted: &IdOrName| {
        let found = scope.project.ssh_keys.values().find(|k| wanted.is(k.id, &k.name));
        let missing =
            || ApiError::invalid_field("ssh_keys", format!("SSH key {} not found", wanted.text()));
        found.map(|k| k.public_key.clone()).ok_or_else(missing)
    };
    wanted.iter().map(find).collect()
}

fn check_volumes(scope: &Scope<'_>, volumes: &[Id], location: &Entry) -> Result<(), ApiError> {
    for id in volumes {
        let missing = || ApiError::invalid_field("volumes", format!("volume {id} not found"));
        let volume = scope.project.volumes.get(id).ok_or_else(missing)?;
        if volume.location != location.id {
            return Err(ApiError::invalid_field(
                "volumes",
                format!("volume {id} is not in location {}", location.name),
            ));
        }
        if volume.server.is_some() {
            return Err(super::volumes::already_attached());
        }
        scope.ensure_unlocked(Resource::Volume(*id))?;
    }
    Ok(())
}

fn ensure_name_is_free(scope: &Scope<'_>, name: &str, except: Option<Id>) -> Result<(), ApiError> {
    let taken = scope.project.servers.values().any(|s| s.name == name && Some(s.id) != except);
    if taken { Err(ApiError::taken("name", "server name is already used")) } else { Ok(()) }
}

/// Such a server can be created, but not started.
pub(super) fn without_an_address() -> ApiError {
    ApiError::invalid(
        "server must be attached to at least one of: primary_ipv4, primary_ipv6, private_network",
    )
}

/// Twenty letters and digits, like Hetzner's.
pub(super) fn root_password() -> String {
    rand::distr::SampleString::sample_string(&rand::distr::Alphanumeric, &mut rand::rng(), 20)
}

fn ensure_below_limit(scope: &Scope<'_>) -> Result<(), ApiError> {
    let is_reached =
        scope.limits.servers.is_some_and(|most| scope.project.servers.len() >= most as usize);
    if is_reached {
        Err(ApiError::limit_exceeded("server limit exceeded", "server_limit"))
    } else {
        Ok(())
    }
}

/// RFC 1123.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_those_of_rfc_1123() {
        for good in ["a", "web-1", "web.example.com", "1", &"a".repeat(63)] {
            assert!(is_host_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a_b", "a..b", ".a", "ä", "a b", &"a".repeat(64)] {
            assert!(!is_host_name(bad), "{bad}");
        }
    }
}
