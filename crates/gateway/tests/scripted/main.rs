//! The gateway in process, between a client and an engine whose every byte is written by the test.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod additions;
mod bind_mounts;
mod disk_space;
mod ends;
mod exchange;
mod hijack;
mod limits;
mod memory;
mod opening;
mod origin;
mod ping;
mod pipelining;
mod polling;
mod pool;
mod progress;
mod relay;
mod request_id;
mod rig;
mod smuggling;
mod starts;
mod trailers;
mod versions;
