//! Hetzner's operations that the local cloud does not have. All of them answer one error, which no
//! client takes for a missing resource (404) or repeats (5xx, 429). Lists of missing resources
//! exist and are empty, so that clients which look there continue.

use http::Method;

use super::error::ApiError;
use super::list::Listing;
use super::reply::Reply;
use super::route::{Route, routes};
use super::scope::Scope;

pub(super) fn operation(_: &mut Scope<'_>) -> Result<Reply, ApiError> {
    Err(ApiError::unsupported("the local cloud does not have this operation"))
}

macro_rules! empty {
    ($($plural:ident),* $(,)?) => {$(
        pub(super) fn $plural(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
            scope.list(
                &Listing {
                    plural: stringify!($plural),
                    sort: &["id", "name", "created"],
                    equal: &[],
                },
                Vec::new(),
            )
        }
    )*};
}

empty!(
    networks,
    floating_ips,
    load_balancers,
    load_balancer_types,
    placement_groups,
    certificates,
    isos,
    zones
);

fn no_actions(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    super::actions::none(scope)
}

pub(super) static ROUTES: &[Route] = routes! {
    "networks" { GET networks, POST operation }
    "networks/actions" { GET no_actions }
    "networks/actions/{id}" { GET operation }
    "networks/{id}" { GET operation, PUT operation, DELETE operation }
    "networks/{id}/actions" { GET operation }
    "networks/{id}/actions/{id}" { GET operation }
    "networks/{id}/actions/add_route" { POST operation }
    "networks/{id}/actions/add_subnet" { POST operation }
    "networks/{id}/actions/change_ip_range" { POST operation }
    "networks/{id}/actions/change_protection" { POST operation }
    "networks/{id}/actions/delete_route" { POST operation }
    "networks/{id}/actions/delete_subnet" { POST operation }
    "networks/{id}/members" { GET operation }
    "floating_ips" { GET floating_ips, POST operation }
    "floating_ips/actions" { GET no_actions }
    "floating_ips/actions/{id}" { GET operation }
    "floating_ips/{id}" { GET operation, PUT operation, DELETE operation }
    "floating_ips/{id}/actions" { GET operation }
    "floating_ips/{id}/actions/{id}" { GET operation }
    "floating_ips/{id}/actions/assign" { POST operation }
    "floating_ips/{id}/actions/change_dns_ptr" { POST operation }
    "floating_ips/{id}/actions/change_protection" { POST operation }
    "floating_ips/{id}/actions/unassign" { POST operation }
    "load_balancers" { GET load_balancers, POST operation }
    "load_balancers/actions" { GET no_actions }
    "load_balancers/actions/{id}" { GET operation }
    "load_balancers/{id}" { GET operation, PUT operation, DELETE operation }
    "load_balancers/{id}/metrics" { GET operation }
    "load_balancers/{id}/actions" { GET operation }
    "load_balancers/{id}/actions/{id}" { GET operation }
    "load_balancers/{id}/actions/add_service" { POST operation }
    "load_balancers/{id}/actions/add_target" { POST operation }
    "load_balancers/{id}/actions/attach_to_network" { POST operation }
    "load_balancers/{id}/actions/change_algorithm" { POST operation }
    "load_balancers/{id}/actions/change_dns_ptr" { POST operation }
    "load_balancers/{id}/actions/change_protection" { POST operation }
    "load_balancers/{id}/actions/change_type" { POST operation }
    "load_balancers/{id}/actions/delete_service" { POST operation }
    "load_balancers/{id}/actions/detach_from_network" { POST operation }
    "load_balancers/{id}/actions/disable_public_interface" { POST operation }
    "load_balancers/{id}/actions/enable_public_interface" { POST operation }
    "load_balancers/{id}/actions/remove_target" { POST operation }
    "load_balancers/{id}/actions/update_service" { POST operation }
    "load_balancer_types" { GET load_balancer_types }
    "load_balancer_types/{id}" { GET operation }
    "placement_groups" { GET placement_groups, POST operation }
    "placement_groups/{id}" { GET operation, PUT operation, DELETE operation }
    "certificates" { GET certificates, POST operation }
    "certificates/actions" { GET no_actions }
    "certificates/actions/{id}" { GET operation }
    "certificates/{id}" { GET operation, PUT operation, DELETE operation }
    "certificates/{id}/actions" { GET operation }
    "certificates/{id}/actions/{id}" { GET operation }
    "certificates/{id}/actions/retry" { POST operation }
    "isos" { GET isos }
    "isos/{id}" { GET operation }
    "primary_ips/{id}/actions/assign" { POST operation }
    "primary_ips/{id}/actions/change_dns_ptr" { POST operation }
    "primary_ips/{id}/actions/change_protection" { POST operation }
    "primary_ips/{id}/actions/unassign" { POST operation }
    "servers/{id}/actions/add_to_placement_group" { POST operation }
    "servers/{id}/actions/attach_iso" { POST operation }
    "servers/{id}/actions/attach_to_network" { POST operation }
    "servers/{id}/actions/change_alias_ips" { POST operation }
    "servers/{id}/actions/detach_from_network" { POST operation }
    "servers/{id}/actions/detach_iso" { POST operation }
    "servers/{id}/actions/disable_backup" { POST operation }
    "servers/{id}/actions/enable_backup" { POST operation }
    "servers/{id}/actions/remove_from_placement_group" { POST operation }
    "servers/{id}/actions/request_console" { POST operation }
    "zones" { GET zones, POST operation }
    "zones/actions" { GET no_actions }
    "zones/actions/{id}" { GET operation }
    "zones/{name}" { GET operation, PUT operation, DELETE operation }
    "zones/{name}/actions" { GET operation }
    "zones/{name}/actions/{id}" { GET operation }
    "zones/{name}/actions/change_primary_nameservers" { POST operation }
    "zones/{name}/actions/change_protection" { POST operation }
    "zones/{name}/actions/change_ttl" { POST operation }
    "zones/{name}/actions/import_zonefile" { POST operation }
    "zones/{name}/zonefile" { GET operation }
    "zones/{name}/rrsets" { GET operation, POST operation }
    "zones/{name}/rrsets/{name}/{name}" { GET operation, PUT operation, DELETE operation }
    "zones/{name}/rrsets/{name}/{name}/actions/add_records" { POST operation }
    "zones/{name}/rrsets/{name}/{name}/actions/change_protection" { POST operation }
    "zones/{name}/rrsets/{name}/{name}/actions/change_ttl" { POST operation }
    "zones/{name}/rrsets/{name}/{name}/actions/remove_records" { POST operation }
    "zones/{name}/rrsets/{name}/{name}/actions/set_records" { POST operation }
    "zones/{name}/rrsets/{name}/{name}/actions/update_records" { POST operation }
};
