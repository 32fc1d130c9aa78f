//! What is billed now: everything of one owner in a cloud project, with its price.

use serde::{Deserialize, Serialize};

use crate::machine::{Summary, VolumeSummary};

/// Everything of one owner that is billed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Standing {
    /// Currency of all prices, as an ISO 4217 code.
    pub currency: String,
    /// Machines of all profiles.
    pub machines: Vec<Owned<Summary>>,
    /// Servers on which images are built.
    pub builders: Vec<Owned<Summary>>,
    /// Volumes of all profiles.
    pub volumes: Vec<Owned<VolumeSummary>>,
    /// IPv4 addresses without a server.
    pub addresses: Vec<Stored>,
    /// Snapshots.
    pub snapshots: Vec<Stored>,
}

/// A resource with the profile in its labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Owned<T> {
    /// `None` if the labels name none.
    pub profile: Option<String>,
    /// The resource.
    #[serde(flatten)]
    pub thing: T,
}

/// A resource that is billed for storage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Stored {
    /// The cloud's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Net price of a month, where it is known.
    pub price_monthly: Option<f64>,
}

impl Standing {
    /// Whether nothing is billed.
    pub fn is_empty(&self) -> bool {
        let Self { currency: _, machines, builders, volumes, addresses, snapshots } = self;
        machines.is_empty()
            && builders.is_empty()
            && volumes.is_empty()
            && addresses.is_empty()
            && snapshots.is_empty()
    }
}

/// One look at what is billed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Look {
    /// Seconds since 1970.
    pub at: i64,
    /// Owner id and cloud.
    pub of: String,
    /// What was found.
    #[serde(flatten)]
    pub standing: Standing,
}

/// What is known of what is billed.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Bills {
    /// The last look; `None` where the cloud never answered.
    #[serde(flatten)]
    pub look: Option<Look>,
    /// Why `look` is not current, human-readable.
    pub trouble: Option<String>,
}
