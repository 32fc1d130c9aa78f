//! Connections to the engine.

pub(crate) mod connection;
pub(crate) mod connections;
pub(crate) mod io;
pub(crate) mod pool;
