//! Which resources of a kind to list.

use std::collections::BTreeMap;

use crate::architecture::Architecture;

/// Labels of a resource.
pub type Labels = BTreeMap<String, String>;

open_enum! {
    /// The origin of an image.
    ImageType {
        System = "system",
        App = "app",
        Snapshot = "snapshot",
        Backup = "backup",
    }
}

/// Which resources to list. Set only filters that the kind of resource has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// The exact name.
    pub name: Option<String>,
    /// A label selector, such as `managed-by=dockbridge,role in (machine,builder)`.
    pub label_selector: Option<String>,
    /// Any of these states.
    pub status: Vec<String>,
    /// SSH keys: this fingerprint, in the MD5 form.
    pub fingerprint: Option<String>,
    /// Images: this architecture.
    pub architecture: Option<Architecture>,
    /// Images: any of these types.
    pub image_type: Vec<ImageType>,
    /// Images: include deprecated ones.
    pub include_deprecated: bool,
    /// Order, such as `created:desc`.
    pub sort: Vec<String>,
}

impl Query {
    /// Resources that a label selector matches.
    pub fn labels(selector: impl Into<String>) -> Self {
        Self { label_selector: Some(selector.into()), ..Self::default() }
    }

    /// The resource (or the images) of this name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// The parameters of the request.
    pub(crate) fn pairs(&self) -> Vec<(&'static str, String)> {
        let mut pairs = Vec::new();
        pairs.extend(self.name.iter().map(|name| ("name", name.clone())));
        pairs.extend(
            self.label_selector.iter().map(|selector| ("label_selector", selector.clone())),
        );
        pairs.extend(self.status.iter().map(|status| ("status", status.clone())));
        pairs.extend(
            self.fingerprint.iter().map(|fingerprint| ("fingerprint", fingerprint.clone())),
        );
        pairs.extend(
            self.architecture.iter().map(|architecture| ("architecture", architecture.to_string())),
        );
        pairs.extend(self.image_type.iter().map(|kind| ("type", kind.to_string())));
        pairs.extend(self.include_deprecated.then(|| ("include_deprecated", "true".to_owned())));
        pairs.extend(self.sort.iter().map(|sort| ("sort", sort.clone())));
        pairs
    }
}
