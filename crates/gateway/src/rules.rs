//! What the gateway adds to requests: one rule a file, and the table that says which endpoint gets
//! which.

pub(crate) mod bind_advice;
pub(crate) mod bind_mounts;
mod body_paths;
pub(crate) mod disk_space;
pub(crate) mod endpoint;
pub(crate) mod local_path;
pub(crate) mod origin;
pub(crate) mod port_advice;
pub(crate) mod portless;
pub(crate) mod refused_start;
mod rewrite;
pub(crate) mod route;
mod table;
