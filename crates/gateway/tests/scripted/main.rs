//! The gateway in process, between a client and an engine whose every byte is written by the test.

#![allow(clippy::unwrap_used, reason = "a test tells by panicking")]

mod exchange;
mod hijack;
mod rig;
