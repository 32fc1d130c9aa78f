//! The table of all routes; `absent` has those that the local cloud does not implement. `{id}`
//! matches digits, `{name}` anything; the first matching pattern wins.

use http::Method;

use super::budget::Quota;
use super::route::{Route, routes};
use super::{
    absent, actions, firewalls, images, metrics, new_server, ordering, primary_ips, server_actions,
    servers, ssh_keys, volumes,
};

static ROUTES: &[Route] = routes! {
    "actions" { GET actions::by_ids }
    "actions/{id}" { GET actions::get }
    "servers" { GET servers::list, POST new_server::create }
    "servers/actions" { GET actions::list_of_servers }
    "servers/actions/{id}" { GET actions::get }
    "servers/{id}" { GET servers::get, PUT servers::update, DELETE servers::delete }
    "servers/{id}/metrics" { GET metrics::get }
    "servers/{id}/actions" { GET actions::list_of_server }
    "servers/{id}/actions/{id}" { GET actions::get_of_resource }
    "servers/{id}/actions/poweron" { POST server_actions::power_on }
    "servers/{id}/actions/poweroff" { POST server_actions::power_off }
    "servers/{id}/actions/shutdown" { POST server_actions::shutdown }
    "servers/{id}/actions/reboot" { POST server_actions::reboot }
    "servers/{id}/actions/reset" { POST server_actions::reset }
    "servers/{id}/actions/rebuild" { POST server_actions::rebuild }
    "servers/{id}/actions/change_type" { POST server_actions::change_type }
    "servers/{id}/actions/create_image" { POST server_actions::create_image }
    "servers/{id}/actions/change_protection" { POST server_actions::change_protection }
    "servers/{id}/actions/change_dns_ptr" { POST server_actions::change_dns_ptr }
    "servers/{id}/actions/enable_rescue" { POST server_actions::enable_rescue }
    "servers/{id}/actions/disable_rescue" { POST server_actions::disable_rescue }
    "servers/{id}/actions/reset_password" { POST server_actions::reset_password }
    "volumes" { GET volumes::list, POST volumes::create }
    "volumes/actions" { GET actions::list_of_volumes }
    "volumes/actions/{id}" { GET actions::get }
    "volumes/{id}" { GET volumes::get, PUT volumes::update, DELETE volumes::delete }
    "volumes/{id}/actions" { GET actions::list_of_volume }
    "volumes/{id}/actions/{id}" { GET actions::get_of_resource }
    "volumes/{id}/actions/attach" { POST volumes::attach }
    "volumes/{id}/actions/detach" { POST volumes::detach }
    "volumes/{id}/actions/resize" { POST volumes::resize }
    "volumes/{id}/actions/change_protection" { POST volumes::change_protection }
    "ssh_keys" { GET ssh_keys::list, POST ssh_keys::create }
    "ssh_keys/{id}" { GET ssh_keys::get, PUT ssh_keys::update, DELETE ssh_keys::delete }
    "images" { GET images::list }
    "images/actions" { GET actions::list_of_images }
    "images/actions/{id}" { GET actions::get }
    "images/{id}" { GET images::get, PUT images::update, DELETE images::delete }
    "images/{id}/actions" { GET actions::list_of_image }
    "images/{id}/actions/{id}" { GET actions::get_of_resource }
    "images/{id}/actions/change_protection" { POST images::change_protection }
    "firewalls" { GET firewalls::list, POST firewalls::create }
    "firewalls/actions" { GET actions::list_of_firewalls }
    "firewalls/actions/{id}" { GET actions::get }
    "firewalls/{id}" { GET firewalls::get, PUT firewalls::update, DELETE firewalls::delete }
    "firewalls/{id}/actions" { GET actions::list_of_firewall }
    "firewalls/{id}/actions/{id}" { GET actions::get_of_resource }
    "firewalls/{id}/actions/set_rules" { POST firewalls::set_rules }
    "firewalls/{id}/actions/apply_to_resources" { POST firewalls::apply }
    "firewalls/{id}/actions/remove_from_resources" { POST firewalls::remove }
    "server_types" { GET ordering::server_types }
    "server_types/{id}" { GET ordering::server_type }
    "locations" { GET ordering::locations }
    "locations/{id}" { GET ordering::location }
    "pricing" { GET ordering::pricing }
    "datacenters" { GET ordering::datacenters }
    "datacenters/{id}" { GET ordering::datacenters }
    "primary_ips" { GET primary_ips::list, POST absent::operation }
    "primary_ips/actions" { GET actions::none }
    "primary_ips/actions/{id}" { GET actions::get }
    "primary_ips/{id}/actions" { GET primary_ips::actions }
    "primary_ips/{id}/actions/{id}" { GET actions::get_of_resource }
    "primary_ips/{id}" { GET primary_ips::get, PUT primary_ips::update, DELETE primary_ips::delete }
};

/// The route of a path and the ids in the path.
pub(super) fn find(path: &str) -> Option<(&'static Route, Vec<u64>)> {
    let path = path.strip_prefix("/v1/")?;
    ROUTES.iter().chain(absent::ROUTES).find_map(|route| Some((route, fits(route.pattern, path)?)))
}

fn fits(pattern: &str, path: &str) -> Option<Vec<u64>> {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut ids = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(ids),
            (Some("{id}"), Some(segment)) => ids.push(segment.parse().ok()?),
            (Some("{name}"), Some(segment)) if !segment.is_empty() => {}
            (Some(word), Some(segment)) if word == segment => {}
            _ => return None,
        }
    }
}

/// The bucket that pays for a route.
pub(super) fn budget(pattern: &str) -> Quota {
    if pattern.starts_with("actions") { Quota::Actions } else { Quota::Everything }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_route() {
        let pattern = |path: &str| find(path).map(|(route, ids)| (route.pattern, ids));
        assert_eq!(pattern("/v1/servers"), Some(("servers", vec![])));
        assert_eq!(pattern("/v1/servers/actions"), Some(("servers/actions", vec![])));
        assert_eq!(
            pattern("/v1/servers/5/actions/6"),
            Some(("servers/{id}/actions/{id}", vec![5, 6]))
        );
        assert_eq!(
            pattern("/v1/servers/5/actions/poweron"),
            Some(("servers/{id}/actions/poweron", vec![5]))
        );
        assert_eq!(
            pattern("/v1/zones/example.com/rrsets/www/A"),
            Some(("zones/{name}/rrsets/{name}/{name}", vec![]))
        );
        for unknown in [
            "/v1/zones/",
            "/v1",
            "/v1/",
            "/servers",
            "/v1/servers/",
            "/v1/servers/five",
            "/v1/nothing",
            "/v2/servers",
            "/v1/servers/-5",
        ] {
            assert_eq!(pattern(unknown), None, "{unknown}");
        }
    }
}
