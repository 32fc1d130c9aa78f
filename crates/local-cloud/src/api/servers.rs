//! Servers: list, change, delete. `new_server` creates them, `server_actions` has the actions on
//! them.

use http::StatusCode;
use serde_json::json;

use super::body::{Fields, IdOrName};
use super::error::ApiError;
use super::faults::Kind;
use super::list::Listing;
use super::reply::Reply;
use super::scope::Scope;
use super::view;
use crate::catalogue::{Entry, NotSold};
use crate::state::{Id, Resource, Server};
use crate::work::Work;

const SERVERS: Listing =
    Listing { plural: "servers", sort: &["id", "name", "created"], equal: &["name", "status"] };

/// Maximum size of user data in bytes.
pub(super) const MAX_USER_DATA: usize = 32 * 1024;

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

pub(super) fn ensure_name_is_free(
    scope: &Scope<'_>,
    name: &str,
    except: Option<Id>,
) -> Result<(), ApiError> {
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

/// RFC 1123.
pub(super) fn is_host_name(name: &str) -> bool {
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
