//! The command without machines: its output and exit codes, over a local cloud that is only the
//! API. Tests that need root or a docker client pass over with a reason.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod arguments;
#[path = "../bill/mod.rs"]
mod bill;
mod books;
mod clock;
mod cloud_project;
mod completions;
mod config_changes;
mod config_show;
mod daemon_start;
mod docker_errors;
mod emergencies;
mod forwards;
mod fresh_volume;
mod help;
mod images;
mod init;
mod invalid_settings;
mod joining;
mod local_cloud_command;
mod login_key;
mod no_api;
mod own_host;
mod profiles;
mod read_only_commands;
mod rig;
mod service;
mod settings;
mod tokens;
mod uninstall;
mod waiting;
#[path = "../../../agent/tests/web/mod.rs"]
mod web;
