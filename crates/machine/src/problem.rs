//! Why no machine can be planned until the user changes something.

/// What the user has to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A setting names a server type that the cloud does not sell.
    #[error("there is no server type {name:?}; the cloud sells {}", known.join(", "))]
    UnknownServerType {
        /// The name in the setting.
        name: String,
        /// All names of the cloud.
        known: Vec<String>,
    },
    /// A setting names a location that does not exist.
    #[error("there is no location {name:?}; the cloud has {}", known.join(", "))]
    UnknownLocation {
        /// The name in the setting.
        name: String,
        /// All names of the cloud.
        known: Vec<String>,
    },
    /// The image exists for none of the server types.
    #[error("there is no image {name:?} for {}", server_types.join(", "))]
    UnknownImage {
        /// The name in the setting.
        name: String,
        /// The server types in the settings.
        server_types: Vec<String>,
    },
    /// None of the server types is sold in any of the possible locations.
    #[error(
        "none of the server types {} is sold in {}{}",
        server_types.join(", "),
        locations.join(", "),
        if *pinned { ", where the volume is" } else { "" }
    )]
    NotSold {
        /// The server types in the settings.
        server_types: Vec<String>,
        /// The possible locations.
        locations: Vec<String>,
        /// Whether a volume decided the location.
        pinned: bool,
    },
    /// More than one volume carries this profile's labels, and dockbridge does not guess which one
    /// is right.
    #[error(
        "volumes {} all carry the labels of this profile: delete the one that is not wanted, \
        by its id",
        join(ids)
    )]
    SeveralVolumes {
        /// Their ids.
        ids: Vec<u64>,
    },
    /// The volume is attached to a server that is not this profile's.
    #[error(
        "volume {volume} is attached to server {server}, which is not this profile's machine: \
        detach it there first"
    )]
    VolumeInUse {
        /// The volume.
        volume: u64,
        /// The other server.
        server: u64,
    },
}

fn join(ids: &[u64]) -> String {
    ids.iter().map(u64::to_string).collect::<Vec<_>>().join(" and ")
}
