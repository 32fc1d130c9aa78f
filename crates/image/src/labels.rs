//! What identifies an image: its name, and the labels of its snapshot and of everything that a
//! build creates. Pure.

use std::fmt;

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use hetzner::{Architecture, Labels};
use machine::{DOCKBRIDGE, IMAGE, IMAGE_BUILDER, MANAGED_BY, OWNER, Owner, ROLE, owner_selector};
use sha2::{Digest, Sha256};

/// Label with the image's name.
pub(crate) const NAME: &str = "dockbridge-image";
/// Label with a short hash of the recipe: two builds with the same value make the same image.
pub(crate) const BUILD: &str = "dockbridge-build";
/// Label of a server on which an image is built: the computer that builds it.
pub(crate) const HOST: &str = "dockbridge-host";
/// Label with the operating system.
pub(crate) const OS: &str = "os";
/// Label with its version.
pub(crate) const VERSION: &str = "version";
/// Label with the schematic of a Talos image, shortened to the length of a label.
pub(crate) const SCHEMATIC: &str = "schematic";
/// Label with the architecture, as the API names it.
pub(crate) const ARCH: &str = "arch";
/// Label with the SHA-256 of the source in base 32: hex digits would be one too many for a label.
pub(crate) const SOURCE: &str = "source-sha256";
/// Label with the SHA-256 of the image, in the same form.
pub(crate) const CONTENT: &str = "image-sha256";

/// Label with the version of the docker engine in a machine image.
pub(crate) const ENGINE: &str = "docker-engine";

/// The longest value of a label.
const LONGEST_VALUE: usize = 63;

/// An image's name. It becomes a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

/// A name that cannot be a label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name for an image: it has to be 1 to 63 letters, digits, `-`, `_` and `.`, \
        with a letter or digit at both ends"
)]
pub struct InvalidImageName(String);

impl Name {
    /// Checks a name.
    pub fn parse(text: &str) -> Result<Self, InvalidImageName> {
        if is_label_value(text) && !text.is_empty() {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidImageName(text.to_owned()))
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label_value(text: &str) -> bool {
    let at_end = |byte: Option<u8>| byte.is_none_or(|byte| byte.is_ascii_alphanumeric());
    text.len() <= LONGEST_VALUE
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && at_end(text.bytes().next())
        && at_end(text.bytes().last())
}

/// What distinguishes an image from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Its name.
    pub name: Name,
    /// The operating system.
    pub os: Name,
    /// Its version, if it has one.
    pub version: Option<Name>,
    /// The schematic of a Talos image.
    pub schematic: Option<String>,
    /// The architecture.
    pub architecture: Architecture,
    /// What identifies the source: its address, or the checksum of its content.
    pub source: String,
}

impl Recipe {
    /// A short hash of the recipe: 16 hex digits.
    pub(crate) fn key(&self) -> String {
        let mut hash = Sha256::new();
        let version = self.version.as_ref().map(Name::to_string).unwrap_or_default();
        let schematic = self.schematic.clone().unwrap_or_default();
        for part in [
            &self.name.0,
            &self.os.0,
            &version,
            &schematic,
            self.architecture.as_str(),
            &self.source,
        ] {
            hash.update(part);
            hash.update([0]);
        }
        HEXLOWER.encode(&hash.finalize()[..8])
    }

    /// Labels of the snapshot of a disk image, with the hashes of source and written image.
    pub(crate) fn disk_labels(
        &self,
        owner: &Owner,
        source_sha256: &str,
        image_sha256: &str,
    ) -> Labels {
        let mut labels = self.labels(owner);
        for (key, hex) in [(SOURCE, source_sha256), (CONTENT, image_sha256)] {
            labels.extend(short(hex).map(|value| (key.to_owned(), value)));
        }
        labels
    }

    /// Labels of any snapshot.
    pub(crate) fn labels(&self, owner: &Owner) -> Labels {
        let mut labels = own_labels(owner, IMAGE, &self.key());
        labels.insert(NAME.to_owned(), self.name.to_string());
        labels.insert(OS.to_owned(), self.os.to_string());
        labels.insert(ARCH.to_owned(), self.architecture.to_string());
        labels
            .extend(self.version.as_ref().map(|version| (VERSION.to_owned(), version.to_string())));
        labels.extend(
            self.schematic
                .as_ref()
                .map(|id| (SCHEMATIC.to_owned(), id.chars().take(LONGEST_VALUE).collect())),
        );
        labels
    }

    /// Human-readable.
    pub(crate) fn description(&self) -> String {
        let version =
            self.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        format!("{}: {}{version} for {}", self.name, self.os, self.architecture)
    }

    /// Labels of server, firewall and key of a build.
    pub(crate) fn builder_labels(&self, owner: &Owner, host: &str) -> Labels {
        let mut labels = own_labels(owner, IMAGE_BUILDER, &self.key());
        labels.insert(HOST.to_owned(), host.to_owned());
        labels
    }

    /// Name of server, firewall and key, the same in each build of the same image.
    pub(crate) fn builder_name(&self, owner: &Owner) -> String {
        format!("dockbridge-image-{owner}-{}", self.key())
    }
}

/// A label selector for all snapshots of this owner.
pub(crate) fn snapshot_selector(owner: &Owner) -> String {
    format!("{},{ROLE}={IMAGE}", owner_selector(owner))
}

/// A label selector for everything that builds of this owner have created, except snapshots.
pub(crate) fn builder_selector(owner: &Owner) -> String {
    format!("{},{ROLE}={IMAGE_BUILDER}", owner_selector(owner))
}

/// Whether these labels are those of a snapshot of this owner. The cloud evaluates selectors, so
/// this is checked again here.
pub(crate) fn is_own_snapshot(owner: &Owner, labels: &Labels) -> bool {
    is_own(owner, IMAGE, labels)
}

/// Whether these labels are those of a server, firewall or key of a build of this owner.
pub(crate) fn is_own_builder(owner: &Owner, labels: &Labels) -> bool {
    is_own(owner, IMAGE_BUILDER, labels)
}

fn is_own(owner: &Owner, role: &str, labels: &Labels) -> bool {
    let has = |key: &str, value: &str| labels.get(key).is_some_and(|found| found == value);
    has(MANAGED_BY, DOCKBRIDGE) && has(OWNER, &owner.to_string()) && has(ROLE, role)
}

fn own_labels(owner: &Owner, role: &str, key: &str) -> Labels {
    [
        (MANAGED_BY, DOCKBRIDGE.to_owned()),
        (OWNER, owner.to_string()),
        (ROLE, role.to_owned()),
        (BUILD, key.to_owned()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

/// Encodes a hash in hex digits so that it fits a label.
fn short(hex: &str) -> Option<String> {
    HEXLOWER
        .decode(hex.as_bytes())
        .ok()
        .map(|bytes| BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recipe(source: &str) -> Recipe {
        Recipe {
            name: Name::parse(&"n".repeat(63)).unwrap(),
            os: Name::parse("talos").unwrap(),
            version: Some(Name::parse("v1.12.0-alpha.1").unwrap()),
            schematic: Some("3".repeat(64)),
            architecture: Architecture::Arm,
            source: source.to_owned(),
        }
    }

    #[test]
    fn labels_are_valid_and_names_are_host_names() {
        let owner = Owner::random();
        let hash = "ab".repeat(32);
        let recipe = recipe("x");
        for (key, value) in recipe
            .disk_labels(&owner, &hash, &hash)
            .iter()
            .chain(&recipe.builder_labels(&owner, "abc"))
        {
            assert!(is_label_value(value) && key.len() <= 63, "{key}={value}");
        }
        assert!(recipe.builder_name(&owner).len() <= 63);
    }

    #[test]
    fn another_source_is_another_image_and_the_same_source_the_same() {
        assert_eq!(recipe("x").key(), recipe("x").key());
        assert_ne!(recipe("x").key(), recipe("y").key());
        assert_ne!(
            recipe("x").key(),
            Recipe { architecture: Architecture::X86, ..recipe("x") }.key()
        );
    }

    #[test]
    fn snapshots_of_others_are_not_own() {
        let (own, theirs) = (Owner::random(), Owner::random());
        let labels = recipe("x").labels(&theirs);
        assert!(is_own_snapshot(&theirs, &labels) && !is_own_snapshot(&own, &labels));
        assert!(
            !is_own_snapshot(&theirs, &recipe("x").builder_labels(&theirs, "h")),
            "a builder's server is no snapshot"
        );
    }

    proptest! {
        #[test]
        fn name_is_a_valid_label_or_refused(text in ".{0,70}") {
            prop_assert_eq!(Name::parse(&text).is_ok(), !text.is_empty() && is_label_value(&text));
        }
    }
}
