//! Creates servers: reads an order, checks it against catalogue, project and limits, and records
//! server and actions.

use std::net::Ipv6Addr;

use serde::Deserialize;
use serde_json::json;

use super::body::{Fields, IdOrName};
use super::error::ApiError;
use super::reply::Reply;
use super::scope::Scope;
use super::servers::{
    MAX_USER_DATA, ensure_name_is_free, find_keys, find_server_type, is_host_name, place,
    root_password, without_an_address,
};
use super::{images, volumes};
use crate::catalogue::Entry;
use crate::state::firewall::Target;
use crate::state::labels::Labels;
use crate::state::{Id, Ipv4, Ipv6, Resource, Server, ServerStatus};
use crate::work::Work;

/// The documentation prefix 2001:db8::/32; each server gets the /64 of its id.
const NETWORKS: u128 = 0x2001_0db8_u128 << 96;

/// A request to create a server, with valid fields.
struct Order {
    name: String,
    server_type: IdOrName,
    image: IdOrName,
    location: Option<IdOrName>,
    datacenter: Option<IdOrName>,
    starts: bool,
    keys: Vec<IdOrName>,
    volumes: Vec<Id>,
    automount: bool,
    firewalls: Vec<Id>,
    user_data: Option<String>,
    labels: Labels,
    has_ipv4: bool,
    has_ipv6: bool,
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

impl Order {
    fn read(scope: &Scope<'_>) -> Result<Order, ApiError> {
        let mut fields = Fields::of(&scope.call.body);
        let firewalls: Vec<FirewallRef> = fields.optional("firewalls").unwrap_or_default();
        let networks: Vec<Id> = fields.optional("networks").unwrap_or_default();
        let placement_group: Option<Id> = fields.optional("placement_group");
        let public_net: PublicNet = fields.optional("public_net").unwrap_or_default();
        let order = Order {
            name: fields.required("name"),
            server_type: fields.required("server_type"),
            image: fields.required("image"),
            location: fields.optional("location"),
            // Unknown since July 2026, like any other unknown field.
            datacenter: scope
                .catalogue
                .removed_properties
                .then(|| fields.optional("datacenter"))
                .flatten(),
            starts: fields.optional("start_after_create").unwrap_or(true),
            keys: fields.optional("ssh_keys").unwrap_or_default(),
            volumes: fields.optional("volumes").unwrap_or_default(),
            automount: fields.optional("automount").unwrap_or_default(),
            firewalls: firewalls.iter().map(|reference| reference.firewall).collect(),
            user_data: fields.optional("user_data"),
            labels: fields.labels().unwrap_or_default(),
            has_ipv4: public_net.enable_ipv4.unwrap_or(true),
            has_ipv6: public_net.enable_ipv6.unwrap_or(true),
        };
        order.validate(&mut fields);
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
        if order.starts && !order.has_ipv4 && !order.has_ipv6 {
            return Err(without_an_address());
        }
        Ok(order)
    }

    fn validate(&self, fields: &mut Fields) {
        fields.refuse_unless(is_host_name(&self.name), "name", "Name is not a valid hostname.");
        fields.refuse_unless(
            self.user_data.as_ref().is_none_or(|d| d.len() <= MAX_USER_DATA),
            "user_data",
            "Longer than maximum length 32768.",
        );
        fields.refuse_unless(
            self.location.is_none() || self.datacenter.is_none(),
            "location",
            "location and datacenter exclude each other.",
        );
        fields.refuse_unless(
            !self.automount || !self.volumes.is_empty(),
            "automount",
            "automount is only possible with volumes.",
        );
    }
}

pub(super) fn create(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let order = Order::read(scope)?;
    let server_type = find_server_type(scope, &order.server_type)?;
    let image = images::find_for(scope, &order.image, server_type)?;
    let location = choose_location(scope, server_type, &order)?;
    let keys = find_keys(scope, &order.keys)?;
    check_volumes(scope, &order.volumes, location)?;
    for firewall in &order.firewalls {
        if !scope.project.firewalls.contains_key(firewall) {
            return Err(ApiError::invalid_field(
                "firewalls",
                format!("firewall {firewall} not found"),
            ));
        }
    }
    ensure_name_is_free(scope, &order.name, None)?;
    ensure_below_limit(scope)?;
    place(scope, server_type, location)?;

    let id = scope.new_id();
    let (ipv4, ipv6) = addresses(scope, id, &order)?;
    let root_password = keys.is_empty().then(root_password);
    let server = Server {
        id,
        name: order.name,
        status: ServerStatus::Initializing,
        created: scope.now,
        server_type: server_type.id,
        location: location.id,
        image,
        ipv4,
        ipv6,
        labels: order.labels,
        protected: false,
        disk: server_type.number("disk"),
        made: false,
        user_data: order.user_data,
        ssh_keys: keys,
        firewalls: Default::default(),
        rescue: None,
    };
    scope.project.servers.insert(id, server);
    for firewall in &order.firewalls {
        if let Some(record) = scope.project.firewalls.get_mut(firewall) {
            record.targets.insert(Target::Server(id));
        }
    }
    let volumes = (order.volumes.as_slice(), order.automount);
    Ok(start_actions(scope, id, order.starts, volumes, root_password))
}

fn addresses(
    scope: &mut Scope<'_>,
    id: Id,
    order: &Order,
) -> Result<(Option<Ipv4>, Option<Ipv6>), ApiError> {
    let reserved = scope.hypervisor.reserve_address(id).map_err(|failure| {
        tracing::warn!(
            server = id,
            what = failure.what,
            cause = failure.cause,
            "cannot reserve an address for a new server"
        );
        ApiError::limit_exceeded("Primary IP limit exceeded", "primary_ip_limit")
    })?;
    let ipv4 = order.has_ipv4.then(|| Ipv4 {
        id: scope.new_id(),
        ip: reserved,
        dns_ptr: None,
        facts: Default::default(),
    });
    let ipv6 = order.has_ipv6.then(|| Ipv6 {
        id: scope.new_id(),
        network: Ipv6Addr::from(NETWORKS | (u128::from(id & 0xffff_ffff) << 64)),
        dns_ptr: Default::default(),
        facts: Default::default(),
    });
    Ok((ipv4, ipv6))
}

/// Records the actions of a new server: firewalls before the start, so that it is never seen
/// without; volumes after it, like Hetzner. The id of `start_server` is lower than that of
/// `create_server`, as recorded: ids do not follow the order.
fn start_actions(
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

/// The requested location; else the volumes' location; else the first where the type is sold.
fn choose_location<'a>(
    scope: &Scope<'a>,
    server_type: &Entry,
    order: &Order,
) -> Result<&'a Entry, ApiError> {
    let catalogue = scope.catalogue;
    if let Some(wanted) = &order.location {
        let found = catalogue.locations.iter().find(|l| wanted.is(l.id, &l.name));
        return found.ok_or_else(|| {
            ApiError::invalid_field("location", format!("location {} not found", wanted.text()))
        });
    }
    if let Some(wanted) = &order.datacenter {
        let found = catalogue.location_of_datacenter(&wanted.text());
        return found.ok_or_else(|| {
            ApiError::invalid_field("datacenter", format!("datacenter {} not found", wanted.text()))
        });
    }
    let of_volume = order
        .volumes
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
            return Err(volumes::already_attached());
        }
        scope.ensure_unlocked(Resource::Volume(*id))?;
    }
    Ok(())
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
