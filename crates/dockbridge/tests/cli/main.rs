//! The command without machines: what it says and how it ends, over a local cloud that is only the API. What needs root or a docker client passes over with
//! its reason where they are missing.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod arguments;
mod books;
mod cloud_project;
mod daemon_start;
mod docker_errors;
mod forwards;
mod images;
mod local_cloud_command;
mod no_api;
mod rig;
mod settings;
mod waiting;
#[path = "../../../agent/tests/web/mod.rs"]
mod web;
