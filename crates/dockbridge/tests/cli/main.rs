//! The command without machines: what it says and how it ends, over a local cloud that is only the
//! API. What needs root or a docker client passes over with its reason where they are missing.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod arguments;
#[path = "../bill/mod.rs"]
mod bill;
mod books;
mod brakes;
mod cloud_project;
mod daemon_start;
mod docker_errors;
mod forwards;
mod fresh_volume;
mod images;
mod joining;
mod kept_apart;
mod local_cloud_command;
mod looking;
mod no_api;
mod own_host;
mod rig;
mod senseless;
mod settings;
mod tokens;
mod waiting;
#[path = "../../../agent/tests/web/mod.rs"]
mod web;
