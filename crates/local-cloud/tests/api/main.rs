//! The API as a client sees it: contract tests over HTTP against a cloud without machines. If
//! Hetzner's published OpenAPI file is available, it validates every answer of every test.

#![allow(clippy::unwrap_used, reason = "test code")]

mod actions;
mod clients;
mod coverage;
mod engines;
mod faults;
mod firewalls;
mod images;
mod machines;
mod new_servers;
mod openapi;
mod options;
mod recordings;
mod restart;
mod rig;
mod servers;
mod ssh_keys;
mod transport;
mod volumes;
mod walk;
