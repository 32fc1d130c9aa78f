//! What must never happen: formatted data, a leaked secret, an open port, remains on this host.

mod exposure;
mod orphans;
mod secrets;
mod volumes;
