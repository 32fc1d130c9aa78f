//! Actions on an existing server.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;

use super::body::{Fields, IdOrName};
use super::error::ApiError;
use super::reply::Reply;
use super::scope::Scope;
use super::{images, servers, view};
use crate::hypervisor::Rescue;
use crate::state::action::ActionError;
use crate::state::{Resource, ServerStatus, Snapshot};
use crate::work::Work;

/// The rescue system is dropped if the server does not boot within this time.
const RESCUE_WAITS: Duration = Duration::from_secs(60 * 60);

fn simple(
    scope: &mut Scope<'_>,
    command: &'static str,
    work: fn(u64) -> Work,
) -> Result<Reply, ApiError> {
    let id = servers::find(scope)?.id;
    Fields::of(&scope.call.body).finish()?;
    scope.answer_action(command, &[Resource::Server(id)], work(id))
}

pub(super) fn power_on(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let server = servers::find(scope)?;
    if server.ipv4.is_none() && server.ipv6.is_none() {
        return Err(servers::without_an_address());
    }
    simple(scope, "start_server", Work::Start)
}

pub(super) fn power_off(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    simple(scope, "stop_server", Work::Stop)
}

pub(super) fn shutdown(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    simple(scope, "shutdown_server", Work::Shutdown)
}

pub(super) fn reboot(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    simple(scope, "reboot_server", Work::Reboot)
}

pub(super) fn reset(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    simple(scope, "reset_server", Work::Reset)
}

/// The password in the answer is not set: the local cloud's servers only accept keys.
pub(super) fn enable_rescue(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let id = servers::find(scope)?.id;
    let mut fields = Fields::of(&scope.call.body);
    let kind: Option<String> = fields.optional("type");
    let keys: Vec<u64> = fields.optional("ssh_keys").unwrap_or_default();
    fields.refuse_unless(
        matches!(kind.as_deref(), None | Some("linux64")),
        "type",
        "Must be one of: linux64.",
    );
    fields.finish()?;
    let keys: Vec<IdOrName> = keys.into_iter().map(IdOrName::Id).collect();
    let rescue =
        Rescue { ssh_keys: servers::find_keys(scope, &keys)?, until: scope.now + RESCUE_WAITS };
    let work = Work::SetRescue { server: id, rescue: Some(rescue) };
    let action = scope.start_one("enable_rescue", &[Resource::Server(id)], work)?;
    let root_password = servers::root_password();
    Ok(Reply::created(json!({"action": action, "root_password": root_password})))
}

pub(super) fn disable_rescue(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    simple(scope, "disable_rescue", |server| Work::SetRescue { server, rescue: None })
}

/// The password in the answer is not set: the local cloud's servers only accept keys. The agent in
/// the server that would set it needs a running system; without one the action fails.
pub(super) fn reset_password(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let server = servers::find(scope)?;
    let (resource, runs) = (Resource::Server(server.id), server.status == ServerStatus::Running);
    Fields::of(&scope.call.body).finish()?;
    scope.ensure_unlocked(resource)?;
    let action = if runs {
        scope.start_one("reset_password", &[resource], Work::Nothing)?
    } else {
        let id = scope.action("reset_password", &[resource]);
        if let Some(action) = scope.project.actions.get_mut(&id) {
            action.end(Err(ActionError::failed("server is not running")), scope.now);
        }
        scope.action_json(id)
    };
    let root_password = servers::root_password();
    Ok(Reply::created(json!({"action": action, "root_password": root_password})))
}

pub(super) fn rebuild(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let server = servers::find(scope)?;
    let (id, is_protected, has_keys) = (server.id, server.protected, !server.ssh_keys.is_empty());
    let server_type = scope
        .catalogue
        .server_type(server.server_type)
        .ok_or_else(|| ApiError::invalid("unknown server type"))?;
    let mut fields = Fields::of(&scope.call.body);
    let image: IdOrName = fields.required("image");
    let user_data: Option<String> = fields.optional("user_data");
    let fits = user_data.as_ref().is_none_or(|d| d.len() <= servers::MAX_USER_DATA);
    fields.refuse_unless(fits, "user_data", "Longer than maximum length 32768.");
    fields.finish()?;
    if is_protected {
        return Err(ApiError::protected("server"));
    }
    let image = images::find_for(scope, &image, server_type)?;
    let action = scope.start_one(
        "rebuild_server",
        &[Resource::Server(id)],
        Work::Rebuild { server: id, image },
    )?;
    if let (Some(server), Some(_)) = (scope.project.servers.get_mut(&id), &user_data) {
        server.user_data = user_data;
    }
    let root_password = (!has_keys).then(servers::root_password);
    Ok(Reply::created(json!({"action": action, "root_password": root_password})))
}

pub(super) fn change_type(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let server = servers::find(scope)?.clone();
    let mut fields = Fields::of(&scope.call.body);
    let wanted: IdOrName = fields.required("server_type");
    let upgrade_disk: bool = fields.required("upgrade_disk");
    fields.finish()?;
    scope.ensure_unlocked(Resource::Server(server.id))?;
    let to = servers::find_server_type(scope, &wanted)?;
    let from = scope
        .catalogue
        .server_type(server.server_type)
        .ok_or_else(|| ApiError::invalid("unknown server type"))?;
    if to.id == from.id {
        return Err(ApiError::unprocessable(
            "invalid_server_type",
            "server already has this server type",
        ));
    }
    if to.text("architecture") != from.text("architecture") {
        return Err(ApiError::unprocessable(
            "invalid_server_type",
            "server types have different architectures",
        ));
    }
    if to.number("disk") < server.disk {
        return Err(ApiError::unprocessable(
            "invalid_server_type",
            "the disk of the server type is too small",
        ));
    }
    if server.status != ServerStatus::Off {
        return Err(ApiError::unprocessable("server_not_stopped", "server must be powered off"));
    }
    let location = scope
        .catalogue
        .location(server.location)
        .ok_or_else(|| ApiError::invalid("unknown location"))?;
    servers::place(scope, to, location)?;
    let work = Work::ChangeType {
        server: server.id,
        server_type: to.id,
        disk: upgrade_disk.then(|| to.number("disk")),
    };
    scope.answer_action("change_server_type", &[Resource::Server(server.id)], work)
}

pub(super) fn create_image(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let server = servers::find(scope)?.clone();
    let mut fields = Fields::of(&scope.call.body);
    let description: Option<String> = fields.optional("description");
    let kind: Option<String> = fields.optional("type");
    let labels = fields.labels().unwrap_or_default();
    let is_known = matches!(kind.as_deref(), None | Some("snapshot" | "backup"));
    fields.refuse_unless(is_known, "type", "Must be one of: snapshot, backup.");
    fields.finish()?;
    scope.ensure_unlocked(Resource::Server(server.id))?;
    let origin = images::describe(scope, server.image);
    let architecture =
        scope.catalogue.server_type(server.server_type).map_or("x86", |t| t.text("architecture"));
    let id = scope.new_id();
    let snapshot = Snapshot {
        id,
        description: description.unwrap_or_else(|| format!("snapshot {}", view::time(scope.now))),
        created: scope.now,
        created_from: (server.id, server.name.clone()),
        backup_of: (kind.as_deref() == Some("backup")).then_some(server.id),
        available: false,
        size: None,
        disk: server.disk,
        os_flavor: origin.os_flavor,
        os_version: origin.os_version,
        architecture: architecture.to_owned(),
        labels,
        protected: false,
    };
    scope.project.snapshots.insert(id, snapshot);
    let resources = [Resource::Server(server.id), Resource::Image(id)];
    let action = scope.start_one(
        "create_image",
        &resources,
        Work::CreateImage { server: server.id, image: id },
    )?;
    Ok(Reply::created(
        json!({"image": view::image_by_id(scope.project, scope.catalogue, id), "action": action}),
    ))
}

pub(super) fn change_protection(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let server = servers::find(scope)?;
    let (id, before) = (server.id, server.protected);
    let mut fields = Fields::of(&scope.call.body);
    let delete: Option<bool> = fields.optional("delete");
    let rebuild: Option<bool> = fields.optional("rebuild");
    let (delete, rebuild) = (delete.unwrap_or(before), rebuild.unwrap_or(before));
    fields.refuse_unless(delete == rebuild, "rebuild", "Must be the same as delete.");
    fields.finish()?;
    let reply = scope.answer_action("change_protection", &[Resource::Server(id)], Work::Nothing)?;
    if let Some(server) = scope.project.servers.get_mut(&id) {
        server.protected = delete;
    }
    Ok(reply)
}

pub(super) fn change_dns_ptr(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let id = servers::find(scope)?.id;
    let mut fields = Fields::of(&scope.call.body);
    let ip: String = fields.required("ip");
    let name: Option<String> = fields.optional("dns_ptr");
    fields.finish()?;
    let not_its = || ApiError::invalid_field("ip", "IP does not belong to the server.");
    let ip: IpAddr = ip.parse().map_err(|_| not_its())?;
    let server = servers::find(scope)?;
    let is_its = match ip {
        IpAddr::V4(ip) => server.ipv4.as_ref().is_some_and(|a| a.ip == ip),
        IpAddr::V6(ip) => server
            .ipv6
            .as_ref()
            .is_some_and(|a| u128::from(a.network) >> 64 == u128::from(ip) >> 64),
    };
    if !is_its {
        return Err(not_its());
    }
    let reply = scope.answer_action("change_dns_ptr", &[Resource::Server(id)], Work::Nothing)?;
    if let Some(server) = scope.project.servers.get_mut(&id) {
        match (ip, &mut server.ipv4, &mut server.ipv6) {
            (IpAddr::V4(_), Some(address), _) => address.dns_ptr = name,
            (IpAddr::V6(ip), _, Some(network)) => {
                network.dns_ptr.remove(&ip);
                network.dns_ptr.extend(name.map(|name| (ip, name)));
            }
            _ => {}
        }
    }
    Ok(reply)
}
