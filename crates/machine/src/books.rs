//! Reports each server and volume that dockbridge creates or deletes to a ledger, whichever command
//! does it and however the attempt ends. It reads the labels that name a server's profile. It does
//! not know how the ledger is stored.

use std::fmt;
use std::sync::Arc;

use hetzner::Pricing;

use crate::convert::{priced_server, priced_volume};
use crate::identity::{PROFILE, builds_image};
use api::{Summary, VolumeSummary};

/// One entry for the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Posting {
    /// The profile in the labels; `None` for image builders, whose labels name none.
    pub profile: Option<String>,
    /// The event.
    pub event: Billed,
}

/// What the cloud began or ceased to bill.
#[derive(Debug, Clone, PartialEq)]
pub enum Billed {
    /// A server exists.
    Server {
        /// The server, with its price.
        server: Box<Summary>,
        /// An image is built on it, so it has no lease.
        builds_image: bool,
    },
    /// A server is deleted. The description is complete, since the server may never have been
    /// reported before.
    ServerGone {
        /// The server, with its price.
        server: Box<Summary>,
        /// An image was built on it.
        builds_image: bool,
    },
    /// A volume exists.
    Volume(VolumeSummary),
    /// A volume is deleted.
    VolumeGone(u64),
    /// All servers and volumes that the cloud lists. Others are gone, whoever deleted them.
    Only {
        /// Ids of this profile's machines and of all image builders.
        servers: Vec<u64>,
        /// Ids of this profile's volumes.
        volumes: Vec<u64>,
    },
}

type Post = dyn Fn(Posting) + Send + Sync;

/// Receives postings. Clones share the receiver.
#[derive(Clone)]
pub struct Books(Arc<Post>);

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Books").finish_non_exhaustive()
    }
}

impl Books {
    /// Calls `post` with each posting, at once. It must not block for long.
    pub fn new(post: impl Fn(Posting) + Send + Sync + 'static) -> Self {
        Self(Arc::new(post))
    }

    /// Reports a server that exists. Without a price list the price lacks that of its address.
    pub fn server(&self, server: &hetzner::Server, pricing: Option<&Pricing>) {
        let (summary, builds_image) =
            (Box::new(priced_server(server, pricing)), builds_image(&server.labels));
        self.of(&server.labels, Billed::Server { server: summary, builds_image });
    }

    /// Reports a deleted server.
    pub fn server_gone(&self, server: &hetzner::Server, pricing: Option<&Pricing>) {
        let (summary, builds_image) =
            (Box::new(priced_server(server, pricing)), builds_image(&server.labels));
        self.of(&server.labels, Billed::ServerGone { server: summary, builds_image });
    }

    /// Reports a volume that exists.
    pub fn volume(&self, volume: &hetzner::Volume, pricing: Option<&Pricing>) {
        self.of(&volume.labels, Billed::Volume(priced_volume(volume, pricing)));
    }

    /// Reports a deleted volume that had these labels.
    pub fn volume_gone(&self, id: u64, labels: &hetzner::Labels) {
        self.of(labels, Billed::VolumeGone(id));
    }

    /// Reports a posting.
    pub fn post(&self, posting: Posting) {
        (self.0)(posting);
    }

    fn of(&self, labels: &hetzner::Labels, event: Billed) {
        self.post(Posting { profile: labels.get(PROFILE).cloned(), event });
    }
}
