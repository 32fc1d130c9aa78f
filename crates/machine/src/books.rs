//! Reports to whoever keeps the books: each server and volume that dockbridge makes or deletes,
//! whatever command does it and whatever becomes of the attempt. It knows the labels that say whose
//! a server is. It does not know how the books are kept.

use std::fmt;
use std::sync::Arc;

use hetzner::Pricing;

use crate::cloud::{priced_server, priced_volume};
use crate::identity::{IMAGE_BUILDER, PROFILE, ROLE};
use crate::provider::{Summary, VolumeSummary};

/// One entry for the books.
#[derive(Debug, Clone, PartialEq)]
pub struct Posting {
    /// The profile that the labels name; `None` where they name none, as those of image builders.
    pub profile: Option<String>,
    /// What happened.
    pub event: Billed,
}

/// What began to bill, or ceased to.
#[derive(Debug, Clone, PartialEq)]
pub enum Billed {
    /// A server exists.
    Server {
        /// With its price.
        server: Box<Summary>,
        /// An image is built on it: it has no lease.
        builds_image: bool,
    },
    /// A server is deleted. It is described, since it may never have been reported before.
    ServerGone {
        /// With its price.
        server: Box<Summary>,
        /// An image was built on it.
        builds_image: bool,
    },
    /// A volume exists.
    Volume(VolumeSummary),
    /// A volume is deleted.
    VolumeGone(u64),
    /// The cloud was asked for all servers and volumes: what is not among these ids is gone,
    /// whoever deleted it.
    Only {
        /// Of machines of this profile, and of all image builders.
        servers: Vec<u64>,
        /// Of this profile.
        volumes: Vec<u64>,
    },
}

type Keep = dyn Fn(Posting) + Send + Sync;

/// Takes postings. Clones share the receiver.
#[derive(Clone)]
pub struct Books(Arc<Keep>);

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Books").finish_non_exhaustive()
    }
}

impl Books {
    /// `keep` is called with each posting, at once. It must not block for long.
    pub fn new(keep: impl Fn(Posting) + Send + Sync + 'static) -> Self {
        Self(Arc::new(keep))
    }

    /// A server exists. Without a price list its address is missing in the price.
    pub fn server(&self, server: &hetzner::Server, pricing: Option<&Pricing>) {
        let (summary, builds_image) =
            (Box::new(priced_server(server, pricing)), builds_image(&server.labels));
        self.of(&server.labels, Billed::Server { server: summary, builds_image });
    }

    /// A server is deleted.
    pub fn server_gone(&self, server: &hetzner::Server, pricing: Option<&Pricing>) {
        let (summary, builds_image) =
            (Box::new(priced_server(server, pricing)), builds_image(&server.labels));
        self.of(&server.labels, Billed::ServerGone { server: summary, builds_image });
    }

    /// A volume exists.
    pub fn volume(&self, volume: &hetzner::Volume, pricing: Option<&Pricing>) {
        self.of(&volume.labels, Billed::Volume(priced_volume(volume, pricing)));
    }

    /// A volume with these labels is deleted.
    pub fn volume_gone(&self, id: u64, labels: &hetzner::Labels) {
        self.of(labels, Billed::VolumeGone(id));
    }

    /// Hands a posting on.
    pub fn post(&self, posting: Posting) {
        (self.0)(posting);
    }

    fn of(&self, labels: &hetzner::Labels, event: Billed) {
        self.post(Posting { profile: labels.get(PROFILE).cloned(), event });
    }
}

fn builds_image(labels: &hetzner::Labels) -> bool {
    labels.get(ROLE).is_some_and(|role| role == IMAGE_BUILDER)
}
