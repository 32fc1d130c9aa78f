//! End to end: the commands that a user types, with the real docker client, on a local cloud with
//! real machines. Needs root and a docker client; without them each test passes over with a
//! reason.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[cfg(target_arch = "x86_64")]
mod arm64;
mod basics;
#[path = "../bill/mod.rs"]
mod bill;
mod books;
mod computers;
mod docker_cli;
mod ends;
mod endurance;
mod engines;
#[path = "../packaging/server.rs"]
#[allow(dead_code, reason = "shared with other tests, which use more of it")]
mod files;
mod first_use;
mod images;
mod installation;
mod live_settings;
mod machine_side;
mod metrics;
#[path = "../newcomer/mod.rs"]
mod newcomer;
mod own_host;
mod ports;
mod races;
mod raw_api;
mod real_cloud;
mod rig;
mod safety;
mod service;
mod suites;
mod upkeep;
mod user_computer;
mod waking;
#[path = "../../../agent/tests/web/mod.rs"]
mod web;
