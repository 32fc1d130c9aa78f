//! The gateway in process, between a client and an engine whose every byte is written by the test.

#![allow(clippy::unwrap_used, reason = "a test tells by panicking")]

mod absence;
mod added;
mod doors;
mod ends;
mod exchange;
mod folders;
mod hijack;
mod known;
mod limits;
mod memory;
mod opening;
mod pipeline;
mod progress;
mod relay;
mod rig;
mod room;
mod smuggling;
mod spares;
mod starts;
mod trailers;
mod versions;
