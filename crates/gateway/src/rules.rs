//! What the gateway adds to requests, one rule a file, and the table of endpoints that says which request gets what.

pub(crate) mod bind_advice;
pub(crate) mod bind_mounts;
pub(crate) mod body_paths;
pub(crate) mod disk_space;
pub(crate) mod endpoints;
pub(crate) mod local_path;
pub(crate) mod origin;
pub(crate) mod paths;
pub(crate) mod port_advice;
pub(crate) mod portless;
pub(crate) mod refused_start;
