//! Images: those of the catalogue, and the project's snapshots.

use serde_json::{Value, json};

use super::body::{Fields, IdOrName};
use super::error::ApiError;
use super::list::Listing;
use super::reply::Reply;
use super::scope::Scope;
use super::view;
use crate::catalogue::Entry;
use crate::state::{Id, Resource};
use crate::work::Work;
use crate::work::effect::Effect;

const IMAGES: Listing = Listing {
    plural: "images",
    sort: &["id", "name", "created"],
    equal: &["name", "type", "status", "bound_to", "architecture"],
};

pub(super) fn list(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let system = scope.catalogue.images.iter().map(|i| i.json.clone());
    scope.list(
        &IMAGES,
        system
            .chain(scope.project.snapshots.values().map(|s| view::snapshot(scope.catalogue, s)))
            .collect(),
    )
}

pub(super) fn get(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    match view::image_by_id(scope.project, scope.catalogue, scope.id()) {
        Value::Null => Err(ApiError::not_found("image", scope.id())),
        image => Ok(Reply::ok(json!({"image": image}))),
    }
}

/// The image for a server of this type. Names are looked up among the images of the type's
/// architecture.
pub(super) fn find_for(
    scope: &Scope<'_>,
    wanted: &IdOrName,
    server_type: &Entry,
) -> Result<Id, ApiError> {
    let architecture = server_type.text("architecture");
    let mut named = scope.catalogue.images.iter().filter(|i| wanted.is(i.id, &i.name));
    let in_catalogue =
        named.clone().find(|i| i.text("architecture") == architecture).or_else(|| named.next());
    let snapshot = scope.project.snapshots.values().find(|s| wanted.is(s.id, ""));
    let (id, made_for, disk) = match (in_catalogue, snapshot) {
        (Some(image), _) => (image.id, image.text("architecture"), image.number("disk_size")),
        (None, Some(snapshot)) if !snapshot.available => {
            return Err(ApiError::invalid("image is not available"));
        }
        (None, Some(snapshot)) => (snapshot.id, snapshot.architecture.as_str(), snapshot.disk),
        (None, None) => {
            return Err(ApiError::invalid_field(
                "image",
                format!("image {} not found", wanted.text()),
            ));
        }
    };
    if made_for != architecture {
        return Err(ApiError::invalid_field(
            "image",
            format!("image is not for the architecture {architecture}"),
        ));
    }
    if disk > server_type.number("disk") {
        return Err(ApiError::invalid("image disk is bigger than server type disk"));
    }
    Ok(id)
}

/// What a snapshot inherits from its server's image.
pub(super) struct Origin {
    pub(super) os_flavor: String,
    pub(super) os_version: Option<String>,
}

pub(super) fn describe(scope: &Scope<'_>, id: Id) -> Origin {
    let image = view::image_by_id(scope.project, scope.catalogue, id);
    let text = |field: &str| image[field].as_str().map(str::to_owned);
    Origin {
        os_flavor: text("os_flavor").unwrap_or_else(|| "unknown".to_owned()),
        os_version: text("os_version"),
    }
}

fn ensure_own(scope: &Scope<'_>) -> Result<(), ApiError> {
    if scope.catalogue.image(scope.id()).is_some() {
        return Err(ApiError::invalid("only snapshots and backups can be changed"));
    }
    if scope.project.snapshots.contains_key(&scope.id()) {
        Ok(())
    } else {
        Err(ApiError::not_found("image", scope.id()))
    }
}

pub(super) fn update(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    ensure_own(scope)?;
    let mut fields = Fields::of(&scope.call.body);
    let description: Option<String> = fields.optional("description");
    let kind: Option<String> = fields.optional("type");
    let labels = fields.labels();
    fields.refuse_unless(
        matches!(kind.as_deref(), None | Some("snapshot")),
        "type",
        "Must be one of: snapshot.",
    );
    fields.finish()?;
    if let Some(snapshot) = scope.project.snapshots.get_mut(&scope.id()) {
        snapshot.description =
            description.unwrap_or_else(|| std::mem::take(&mut snapshot.description));
        snapshot.labels = labels.unwrap_or_else(|| std::mem::take(&mut snapshot.labels));
        if kind.is_some() {
            snapshot.backup_of = None;
        }
    }
    get(scope)
}

pub(super) fn delete(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    ensure_own(scope)?;
    let id = scope.id();
    if scope.project.snapshots.get(&id).is_some_and(|s| s.protected) {
        return Err(ApiError::protected("image"));
    }
    scope.ensure_unlocked(Resource::Image(id))?;
    scope.project.snapshots.remove(&id);
    scope.afterwards(Effect::DeleteSnapshot(id));
    Ok(Reply::nothing())
}

pub(super) fn change_protection(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    ensure_own(scope)?;
    let id = scope.id();
    let mut fields = Fields::of(&scope.call.body);
    let delete: Option<bool> = fields.optional("delete");
    fields.finish()?;
    let reply = scope.answer_action("change_protection", &[Resource::Image(id)], Work::Nothing)?;
    if let (Some(snapshot), Some(delete)) = (scope.project.snapshots.get_mut(&id), delete) {
        snapshot.protected = delete;
    }
    Ok(reply)
}
