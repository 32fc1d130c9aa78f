//! What to do next, as a plain function of what is wanted and what is there. One step at a time:
//! whoever carries it out looks again afterwards, so a step may be cut off anywhere and done again.

use std::fmt;

use crate::choice::Candidate;
use crate::observed::{
    Catalogue, Observed, Offer, Server, ServerStatus, ServerType, Volume, is_young,
};

/// The cloud's image with docker in it.
const DOCKER_IMAGE: &str = "docker-ce";

/// What machines are made from, as a person sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSetting {
    /// Images of this name, one for each architecture.
    Named(String),
    /// One image, such as a snapshot.
    Id(u64),
    /// The cloud's image with docker in it, or a snapshot of our own that is measured to be no
    /// slower.
    Auto,
}

impl ImageSetting {
    /// The images' name that machines are made from where no snapshot is.
    pub fn name(&self) -> &str {
        match self {
            ImageSetting::Named(name) => name,
            ImageSetting::Id(_) | ImageSetting::Auto => DOCKER_IMAGE,
        }
    }
}

impl Default for ImageSetting {
    fn default() -> Self {
        ImageSetting::Named(DOCKER_IMAGE.to_owned())
    }
}

impl From<&str> for ImageSetting {
    fn from(text: &str) -> Self {
        match (text, text.parse()) {
            ("auto", _) => ImageSetting::Auto,
            (_, Ok(id)) => ImageSetting::Id(id),
            (name, Err(_)) => ImageSetting::Named(name.to_owned()),
        }
    }
}

impl fmt::Display for ImageSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageSetting::Named(name) => f.write_str(name),
            ImageSetting::Id(id) => write!(f, "{id}"),
            ImageSetting::Auto => f.write_str("auto"),
        }
    }
}

/// What is wanted of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Server types in order of preference.
    pub server_types: Vec<String>,
    /// Locations in order of preference; an existing volume decides alone.
    pub locations: Vec<String>,
    /// What it is made from.
    pub image: ImageSetting,
    /// Size of a new volume, in GB.
    pub volume_size: u64,
    /// How long after boot a client has to have found the machine, in seconds.
    pub boot_lease_seconds: u64,
}

/// A server type in a location, with the images that it could be made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rung {
    /// Server type.
    pub server_type: String,
    /// Location.
    pub location: String,
    /// What the cloud says of it there.
    pub offer: Offer,
    /// For its architecture, and not bigger than its disk; never empty.
    pub images: Vec<Candidate>,
}

/// The next step towards a machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make what is missing, down the ladder until the cloud has one in stock.
    Create {
        /// The volume, when there is one: all rungs are in its location.
        volume: Option<Volume>,
        /// Never empty.
        ladder: Vec<Rung>,
    },
    /// Give the server its volume.
    Attach {
        /// The volume.
        volume: u64,
        /// The server.
        server: u64,
    },
    /// Start a new server that the cloud has created and left off: it is paid for.
    PowerOn {
        /// The server.
        server: u64,
    },
    /// A server that cannot become our machine: its data is on the volume.
    Delete {
        /// The server.
        server: u64,
        /// In words for a person.
        because: String,
    },
    /// Look again in a moment.
    Await {
        /// In words for a person.
        what: String,
    },
    /// All is there: connect.
    Connect(Box<Server>),
}

/// Why there is no way to a machine without the person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A setting names a type that the cloud does not sell.
    #[error("there is no server type {name:?}; the cloud sells {}", known.join(", "))]
    UnknownServerType {
        /// As set.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A setting names a location that does not exist.
    #[error("there is no location {name:?}; the cloud has {}", known.join(", "))]
    UnknownLocation {
        /// As set.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No such image for any wanted type.
    #[error("there is no image {name:?} for {}", server_types.join(", "))]
    UnknownImage {
        /// As set.
        name: String,
        /// The wanted types.
        server_types: Vec<String>,
    },
    /// None of the types is sold where it has to be.
    #[error("none of the server types {} is sold in {}{}", server_types.join(", "), locations.join(", "),
        if *pinned { ", where the volume is: set another of `hetzner.server_types`" } else { "" })]
    NotSold {
        /// The wanted types.
        server_types: Vec<String>,
        /// The possible locations.
        locations: Vec<String>,
        /// Whether a volume decided the location.
        pinned: bool,
    },
    /// More than one volume carries our labels: which is the right one is not for us to guess.
    #[error(
        "volumes {} all carry the labels of this profile: delete the one that is not wanted, \
            by its id",
        join(ids)
    )]
    SeveralVolumes {
        /// Their ids.
        ids: Vec<u64>,
    },
    /// The volume is attached to a server that is not ours.
    #[error(
        "volume {volume} is attached to server {server}, which is not this profile's machine: \
            detach it there first"
    )]
    VolumeInUse {
        /// The volume.
        volume: u64,
        /// The foreign server.
        server: u64,
    },
}

fn join(ids: &[u64]) -> String {
    ids.iter().map(u64::to_string).collect::<Vec<_>>().join(" and ")
}

/// The next step towards exactly one running server with exactly one volume.
pub fn plan(spec: &Spec, observed: &Observed, catalogue: &Catalogue) -> Result<Step, Problem> {
    let volume = match observed.volumes.as_slice() {
        [] => None,
        [volume] => Some(volume),
        several => {
            return Err(Problem::SeveralVolumes {
                ids: several.iter().map(|volume| volume.id).collect(),
            });
        }
    };

    // The one with the volume, else the oldest, is the one that both of two racing clients keep.
    let holder = volume.and_then(|volume| volume.server);
    let mut servers: Vec<&Server> = observed.servers.iter().collect();
    servers.sort_by_key(|server| (holder != Some(server.id), server.id));
    if let [_, .., surplus] = servers.as_slice() {
        return Ok(delete_or_await(surplus, "it is one too many for this profile"));
    }

    let Some(server) = servers.first() else {
        if let Some(Volume { id, server: Some(server), .. }) = volume {
            return Err(Problem::VolumeInUse { volume: *id, server: *server });
        }
        let ladder = ladder(spec, volume, catalogue)?;
        return Ok(Step::Create { volume: volume.cloned(), ladder });
    };

    match server.status {
        ServerStatus::Deleting => {
            Ok(Step::Await { what: format!("server {} is being deleted", server.name) })
        }
        ServerStatus::Stopping => {
            Ok(Step::Await { what: format!("server {} is stopping", server.name) })
        }
        ServerStatus::Other => Ok(Step::Await { what: format!("server {} is busy", server.name) }),
        ServerStatus::Off if server.busy => {
            Ok(Step::Await { what: format!("server {} is off for a moment", server.name) })
        }
        ServerStatus::Off
            if is_young(server.created, observed.at) && could_serve(server, volume) =>
        {
            Ok(Step::PowerOn { server: server.id })
        }
        ServerStatus::Off => Ok(delete_or_await(server, "it is off")),
        ServerStatus::Starting | ServerStatus::Running => with_volume(server, volume),
    }
}

/// Whether a server that is off would be kept if it ran.
fn could_serve(server: &Server, volume: Option<&Volume>) -> bool {
    let within_reach = |volume: &Volume| match volume.server {
        Some(attached) => attached == server.id,
        None => volume.location == server.location,
    };
    !server.host_keys.is_empty() && volume.is_some_and(within_reach)
}

fn with_volume(server: &Server, volume: Option<&Volume>) -> Result<Step, Problem> {
    let Some(volume) = volume else {
        // Servers and volumes are two lists, and the cloud may be late with one of them: the server
        // has the last word.
        if !server.volumes.is_empty() {
            return Ok(Step::Await {
                what: format!("the list of volumes lacks that of server {}", server.name),
            });
        }
        return Ok(delete_or_await(server, "its volume no longer exists"));
    };
    match volume.server {
        Some(attached) if attached == server.id => {}
        Some(attached) => return Err(Problem::VolumeInUse { volume: volume.id, server: attached }),
        None if volume.location != server.location => {
            return Ok(delete_or_await(server, "it is not where its volume is"));
        }
        // Created with its volume, which comes after the start. The machine itself waits for its
        // disk, and SSH answers before that: connecting finds out sooner than looking, and costs no
        // requests.
        None if server.busy || server.status == ServerStatus::Starting => {}
        None => return Ok(Step::Attach { volume: volume.id, server: server.id }),
    }
    if server.address.is_none() {
        return Ok(Step::Await { what: format!("server {} has no address yet", server.name) });
    }
    if server.host_keys.is_empty() {
        return Ok(delete_or_await(
            server,
            "its labels do not tell its host key, and it cannot be trusted without",
        ));
    }
    Ok(Step::Connect(Box::new(server.clone())))
}

fn delete_or_await(server: &Server, because: &str) -> Step {
    match server.status {
        ServerStatus::Deleting => {
            Step::Await { what: format!("server {} is being deleted", server.name) }
        }
        _ => Step::Delete { server: server.id, because: because.to_owned() },
    }
}

/// Types × locations that can be ordered, in the order in which they are tried.
fn ladder(
    spec: &Spec,
    volume: Option<&Volume>,
    catalogue: &Catalogue,
) -> Result<Vec<Rung>, Problem> {
    for name in &spec.locations {
        if !catalogue.locations.contains(name) {
            return Err(Problem::UnknownLocation {
                name: name.clone(),
                known: catalogue.locations.clone(),
            });
        }
    }
    let mut wanted = Vec::new();
    for name in &spec.server_types {
        let Some(found) = catalogue.server_types.iter().find(|offered| &offered.name == name)
        else {
            let known = catalogue.server_types.iter().map(|offered| offered.name.clone()).collect();
            return Err(Problem::UnknownServerType { name: name.clone(), known });
        };
        wanted.push(found);
    }
    let fitting = |found: &ServerType| -> Vec<Candidate> {
        let of_its_kind = catalogue.images.get(&found.architecture).into_iter().flatten();
        of_its_kind.filter(|image| image.disk <= found.disk).cloned().collect()
    };
    let with_images: Vec<_> = wanted
        .into_iter()
        .map(|found| (found, fitting(found)))
        .filter(|(_, images)| !images.is_empty())
        .collect();
    if with_images.is_empty() {
        return Err(Problem::UnknownImage {
            name: spec.image.to_string(),
            server_types: spec.server_types.clone(),
        });
    }
    let locations = match volume {
        Some(volume) => vec![volume.location.clone()],
        None => spec.locations.clone(),
    };
    let mut rungs = Vec::new();
    for location in &locations {
        for (found, images) in &with_images {
            if let Some(offer) = found.offers.get(location) {
                let (server_type, location, images) =
                    (found.name.clone(), location.clone(), images.clone());
                rungs.push(Rung { server_type, location, offer: *offer, images });
            }
        }
    }
    if rungs.is_empty() {
        return Err(Problem::NotSold {
            server_types: spec.server_types.clone(),
            locations,
            pinned: volume.is_some(),
        });
    }
    Ok(in_order(rungs, &spec.server_types))
}

/// From the order of preference to the order of attempts. What the cloud believes to be out of
/// stock comes last, since the belief may be wrong; but before a rung that is far dearer, each
/// preferred type is tried everywhere.
fn in_order(preferred: Vec<Rung>, server_types: &[String]) -> Vec<Rung> {
    let rank = |rung: &Rung| server_types.iter().position(|name| *name == rung.server_type);
    let (available, mut doubtful): (Vec<Rung>, Vec<Rung>) =
        preferred.into_iter().partition(|rung| rung.offer.available);
    let mut ordered = Vec::new();
    for next in available {
        let goes_first = |rung: &mut Rung| {
            rank(rung) < rank(&next) && rung.offer.is_far_cheaper_than(next.offer)
        };
        ordered.extend(doubtful.extract_if(.., goes_first));
        ordered.push(next);
    }
    ordered.extend(doubtful);
    ordered
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
