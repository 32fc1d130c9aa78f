//! Volumes.

use serde_json::json;

use super::body::{Fields, IdOrName};
use super::error::ApiError;
use super::faults::Kind;
use super::list::Listing;
use super::reply::Reply;
use super::scope::Scope;
use super::view;
use crate::state::labels::Labels;
use crate::state::{Id, Resource, Server, Volume};
use crate::work::Work;
use crate::work::effect::Effect;

const VOLUMES: Listing =
    Listing { plural: "volumes", sort: &["id", "name", "created"], equal: &["name", "status"] };

/// Sizes for sale, in GB.
const SIZES: std::ops::RangeInclusive<u64> = 10..=10240;

pub(super) fn list(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    scope.list(
        &VOLUMES,
        scope.project.volumes.values().map(|v| view::volume(scope.catalogue, v)).collect(),
    )
}

pub(super) fn get(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    find(scope)?;
    Ok(Reply::ok(json!({"volume": scope.volume_json(scope.id())})))
}

fn find<'s>(scope: &'s Scope<'_>) -> Result<&'s Volume, ApiError> {
    scope.project.volumes.get(&scope.id()).ok_or_else(|| ApiError::not_found("volume", scope.id()))
}

fn find_server<'s>(scope: &'s Scope<'_>, id: Id) -> Result<&'s Server, ApiError> {
    scope.project.servers.get(&id).ok_or_else(|| ApiError::not_found("server", id))
}

pub(super) fn already_attached() -> ApiError {
    ApiError::unprocessable(
        "volume_already_attached",
        "volume is already attached to a server, please detach it first",
    )
}

/// A request to create a volume, with valid fields.
struct Order {
    size: u64,
    name: String,
    labels: Labels,
    format: Option<String>,
    location: Option<IdOrName>,
    server: Option<Id>,
    automount: bool,
}

impl Order {
    fn read(scope: &Scope<'_>) -> Result<Order, ApiError> {
        let mut fields = Fields::of(&scope.call.body);
        let order = Order {
            size: fields.required("size"),
            name: fields.required("name"),
            labels: fields.labels().unwrap_or_default(),
            format: fields.optional("format"),
            location: fields.optional("location"),
            server: fields.optional("server"),
            automount: fields.optional("automount").unwrap_or_default(),
        };
        let Order { size, name, format, location, server, automount, .. } = &order;
        fields.refuse_unless(SIZES.contains(size), "size", "Must be between 10 and 10240.");
        fields.refuse_unless(is_name(name), "name", "Length must be between 1 and 64.");
        fields.refuse_unless(
            matches!(format.as_deref(), None | Some("ext4" | "xfs")),
            "format",
            "Must be one of: xfs, ext4.",
        );
        fields.refuse_unless(
            location.is_some() != server.is_some(),
            "location",
            "Exactly one of location and server is required.",
        );
        fields.refuse_unless(
            !automount || server.is_some(),
            "automount",
            "automount is only possible with a server.",
        );
        fields.finish()?;
        Ok(order)
    }

    /// Id of the volume's location: the requested one, or the server's.
    fn location(&self, scope: &Scope<'_>) -> Result<u64, ApiError> {
        match (&self.location, self.server) {
            (_, Some(server)) => {
                let location = find_server(scope, server)?.location;
                scope.ensure_unlocked(Resource::Server(server))?;
                Ok(location)
            }
            (Some(wanted), None) => {
                let found = scope.catalogue.locations.iter().find(|l| wanted.is(l.id, &l.name));
                let missing = || format!("location {} not found", wanted.text());
                found.map(|l| l.id).ok_or_else(|| ApiError::invalid_field("location", missing()))
            }
            (None, None) => Err(ApiError::invalid("no location")),
        }
    }
}

pub(super) fn create(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let order = Order::read(scope)?;
    let location = order.location(scope)?;
    ensure_name_is_free(scope, &order.name, None)?;
    match scope.call.fault {
        // Hetzner's documentation has the code; the message is not recorded.
        Some(Kind::NoSpaceLeft) => {
            return Err(ApiError::unprocessable(
                "no_space_left_in_location",
                "no space left in location",
            ));
        }
        Some(Kind::LocationDisabled) => return Err(ApiError::location_disabled()),
        _ => {}
    }
    let (id, created) = (scope.new_id(), scope.now);
    let Order { size, name, labels, format, server, automount, .. } = order;
    let volume = Volume {
        id,
        name,
        created,
        location,
        size,
        server: None,
        format,
        labels,
        protected: false,
        available: false,
    };
    scope.project.volumes.insert(id, volume);

    let action = scope.action("create_volume", &[Resource::Volume(id)]);
    let mut steps = vec![(action, Work::CreateVolume(id))];
    let mut holds = vec![Resource::Volume(id)];
    if let Some(server) = server {
        let attach =
            scope.action("attach_volume", &[Resource::Server(server), Resource::Volume(id)]);
        steps.push((attach, Work::Attach { volume: id, server, late: scope.call.late, automount }));
        holds.push(Resource::Server(server));
    }
    let next: Vec<Id> = steps.iter().skip(1).map(|(action, _)| *action).collect();
    scope.start(steps, holds);
    Ok(Reply::created(json!({
        "volume": scope.volume_json(id),
        "action": scope.action_json(action),
        "next_actions": scope.actions_json(&next),
    })))
}

pub(super) fn update(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let id = find(scope)?.id;
    let mut fields = Fields::of(&scope.call.body);
    let name: Option<String> = fields.optional("name");
    let labels = fields.labels();
    fields.refuse_unless(
        name.as_deref().is_none_or(is_name),
        "name",
        "Length must be between 1 and 64.",
    );
    fields.finish()?;
    if let Some(name) = &name {
        ensure_name_is_free(scope, name, Some(id))?;
    }
    if let Some(volume) = scope.project.volumes.get_mut(&id) {
        volume.name = name.unwrap_or_else(|| std::mem::take(&mut volume.name));
        volume.labels = labels.unwrap_or_else(|| std::mem::take(&mut volume.labels));
    }
    get(scope)
}

pub(super) fn delete(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let volume = find(scope)?;
    let id = volume.id;
    if volume.protected {
        return Err(ApiError::protected("volume"));
    }
    if volume.server.is_some() {
        return Err(ApiError::unprocessable(
            "service_error",
            "volume is attached to a server, please detach it first",
        ));
    }
    scope.ensure_unlocked(Resource::Volume(id))?;
    scope.project.volumes.remove(&id);
    scope.afterwards(Effect::DeleteVolume(id));
    Ok(Reply::nothing())
}

pub(super) fn attach(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let volume = find(scope)?.clone();
    let mut fields = Fields::of(&scope.call.body);
    let server: Id = fields.required("server");
    let automount = fields.optional("automount").unwrap_or_default();
    fields.finish()?;
    let to = find_server(scope, server)?;
    if volume.server.is_some() {
        return Err(already_attached());
    }
    if to.location != volume.location {
        return Err(ApiError::invalid_field(
            "server",
            "server and volume are in different locations",
        ));
    }
    let work = Work::Attach { volume: volume.id, server, late: scope.call.late, automount };
    scope.answer_action(
        "attach_volume",
        &[Resource::Server(server), Resource::Volume(volume.id)],
        work,
    )
}

pub(super) fn detach(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let volume = find(scope)?.clone();
    Fields::of(&scope.call.body).finish()?;
    scope.ensure_unlocked(Resource::Volume(volume.id))?;
    let server = volume.server.ok_or_else(|| {
        ApiError::unprocessable("service_error", "volume is not attached to a server")
    })?;
    scope.answer_action(
        "detach_volume",
        &[Resource::Server(server), Resource::Volume(volume.id)],
        Work::Detach(volume.id),
    )
}

pub(super) fn resize(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let (id, before) = (scope.id(), find(scope)?.size);
    let mut fields = Fields::of(&scope.call.body);
    let size: u64 = fields.required("size");
    fields.refuse_unless(SIZES.contains(&size), "size", "Must be between 10 and 10240.");
    fields.refuse_unless(size > before, "size", "Must be greater than the current size.");
    fields.finish()?;
    scope.answer_action("resize_volume", &[Resource::Volume(id)], Work::Resize { volume: id, size })
}

pub(super) fn change_protection(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let id = find(scope)?.id;
    let mut fields = Fields::of(&scope.call.body);
    let delete: Option<bool> = fields.optional("delete");
    fields.finish()?;
    let reply = scope.answer_action("change_protection", &[Resource::Volume(id)], Work::Nothing)?;
    if let (Some(volume), Some(delete)) = (scope.project.volumes.get_mut(&id), delete) {
        volume.protected = delete;
    }
    Ok(reply)
}

fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= 64
}

fn ensure_name_is_free(scope: &Scope<'_>, name: &str, except: Option<Id>) -> Result<(), ApiError> {
    let taken = scope.project.volumes.values().any(|v| v.name == name && Some(v.id) != except);
    if taken { Err(ApiError::taken("name", "name is already used")) } else { Ok(()) }
}
