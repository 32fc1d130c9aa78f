//! SSH keys.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde_json::json;

use super::body::Fields;
use super::error::ApiError;
use super::list::Listing;
use super::reply::Reply;
use super::scope::Scope;
use super::view;
use crate::state::SshKey;

const SSH_KEYS: Listing =
    Listing { plural: "ssh_keys", sort: &["id", "name"], equal: &["name", "fingerprint"] };

/// Key types that OpenSSH writes into `authorized_keys`.
const TYPES: [&str; 8] = [
    "ssh-rsa",
    "ssh-dss",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

pub(super) fn list(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    scope.list(&SSH_KEYS, scope.project.ssh_keys.values().map(view::ssh_key).collect())
}

pub(super) fn get(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let key = scope
        .project
        .ssh_keys
        .get(&scope.id())
        .ok_or_else(|| ApiError::not_found("ssh_key", scope.id()))?;
    Ok(Reply::ok(json!({"ssh_key": view::ssh_key(key)})))
}

pub(super) fn create(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let mut fields = Fields::of(&scope.call.body);
    let name: String = fields.required("name");
    let public_key: String = fields.required("public_key");
    let labels = fields.labels().unwrap_or_default();
    fields.refuse_unless(!name.trim().is_empty(), "name", "Name must not be empty.");
    let fingerprint = fingerprint(&public_key);
    fields.refuse_unless(fingerprint.is_some(), "public_key", "SSH key is malformed.");
    fields.finish()?;
    let fingerprint = fingerprint.unwrap_or_default();
    if scope.project.ssh_keys.values().any(|k| k.fingerprint == fingerprint) {
        return Err(ApiError::taken(
            "public_key",
            "SSH key with the same fingerprint already exists",
        ));
    }
    ensure_name_is_free(scope, &name, None)?;
    let id = scope.new_id();
    let key = SshKey {
        id,
        name,
        created: scope.now,
        fingerprint,
        public_key: public_key.trim().to_owned(),
        labels,
    };
    let reply = Reply::created(json!({"ssh_key": view::ssh_key(&key)}));
    scope.project.ssh_keys.insert(id, key);
    Ok(reply)
}

pub(super) fn update(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let id = scope.id();
    get(scope)?;
    let mut fields = Fields::of(&scope.call.body);
    let name: Option<String> = fields.optional("name");
    let labels = fields.labels();
    fields.refuse_unless(
        name.as_deref().is_none_or(|n| !n.trim().is_empty()),
        "name",
        "Name must not be empty.",
    );
    fields.finish()?;
    if let Some(name) = &name {
        ensure_name_is_free(scope, name, Some(id))?;
    }
    if let Some(key) = scope.project.ssh_keys.get_mut(&id) {
        key.name = name.unwrap_or_else(|| std::mem::take(&mut key.name));
        key.labels = labels.unwrap_or_else(|| std::mem::take(&mut key.labels));
    }
    get(scope)
}

pub(super) fn delete(scope: &mut Scope<'_>) -> Result<Reply, ApiError> {
    let id = scope.id();
    scope
        .project
        .ssh_keys
        .remove(&id)
        .map(|_| Reply::nothing())
        .ok_or_else(|| ApiError::not_found("ssh_key", id))
}

fn ensure_name_is_free(scope: &Scope<'_>, name: &str, except: Option<u64>) -> Result<(), ApiError> {
    let taken = scope.project.ssh_keys.values().any(|k| k.name == name && Some(k.id) != except);
    if taken { Err(ApiError::taken("name", "SSH key name is already used")) } else { Ok(()) }
}

/// MD5 of the key's blob, colon separated; `None` if it is not one line of a public key.
fn fingerprint(public_key: &str) -> Option<String> {
    if public_key.trim().lines().count() != 1 {
        return None;
    }
    let mut words = public_key.split_whitespace();
    let (kind, blob) = (words.next()?, STANDARD.decode(words.next()?).ok()?);
    // The blob begins with the type again, after its length.
    let length = usize::try_from(u32::from_be_bytes(blob.get(..4)?.try_into().ok()?)).ok()?;
    let inner = blob.get(4..length.checked_add(4)?)?;
    let well_formed = TYPES.contains(&kind) && inner == kind.as_bytes() && blob.len() > length + 8;
    well_formed.then(|| {
        Md5::digest(&blob).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 \
     AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl name@host";

    #[test]
    fn the_fingerprint_is_that_of_ssh_keygen() {
        // From `ssh-keygen -E md5 -lf`.
        assert_eq!(
            fingerprint(KEY).as_deref(),
            Some("65:96:2d:fc:e8:d5:a9:11:64:0c:0f:ea:00:6e:5b:bd")
        );
    }

    #[test]
    fn malformed_keys_have_none() {
        for bad in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
            "x y z",
        ] {
            assert_eq!(fingerprint(bad), None, "{bad}");
        }
        assert_eq!(fingerprint(&format!("{KEY}\n{KEY}")), None);
        assert!(fingerprint(&format!("{KEY}\n")).is_some());
    }
}
