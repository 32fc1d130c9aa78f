//! Ids, and the resources that actions name by them.

use serde::{Deserialize, Serialize};

/// The API's ids: unique over all kinds and never reused.
pub(crate) type Id = u64;

/// Generates ids.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ids {
    next: Id,
}

/// A resource that actions work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Resource {
    Server(Id),
    Volume(Id),
    Image(Id),
    Firewall(Id),
}

impl Resource {
    pub(crate) fn id(self) -> Id {
        match self {
            Resource::Server(id)
            | Resource::Volume(id)
            | Resource::Image(id)
            | Resource::Firewall(id) => id,
        }
    }

    /// The name in an action's `resources`.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Resource::Server(_) => "server",
            Resource::Volume(_) => "volume",
            Resource::Image(_) => "image",
            Resource::Firewall(_) => "firewall",
        }
    }
}

impl Ids {
    pub(crate) fn starting_at(next: Id) -> Ids {
        Ids { next }
    }

    pub(crate) fn take(&mut self) -> Id {
        let id = self.next;
        self.next += 1;
        id
    }
}
