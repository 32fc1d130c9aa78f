//! What follows when a connection stops being HTTP: raw streams and relayed answers.

pub(crate) mod hijack;
pub(crate) mod relay;
