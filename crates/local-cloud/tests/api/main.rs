//! The API as a client sees it: contract tests over HTTP against a cloud without machines. Where
//! Hetzner's published OpenAPI file is at hand, every answer of every test is validated against it.

#![allow(clippy::unwrap_used, reason = "helpers of tests, too")]

mod actions;
mod clients;
mod coverage;
mod engines;
mod faults;
mod firewalls;
mod images;
mod machines;
mod openapi;
mod options;
mod recordings;
mod restart;
mod rig;
mod servers;
mod ssh_keys;
mod transport;
mod volumes;
