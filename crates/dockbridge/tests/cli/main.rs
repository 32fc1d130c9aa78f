//! The command without machines: its output and exit codes, over a local cloud that is only the
//! API. Tests that need root or a docker client pass over with a reason.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod arguments;
#[path = "../bill/mod.rs"]
mod bill;
mod books;
#[expect(dead_code, reason = "the logind on it is for other tests")]
#[path = "../../../platform/tests/session/rig.rs"]
mod bus;
mod clock;
mod cloud_project;
mod completions;
mod config_changes;
mod config_show;
mod daemon_start;
mod docker_errors;
mod docker_plugin;
mod doctor;
mod emergencies;
mod errors;
mod first_use;
mod first_words;
mod forwards;
mod fresh_volume;
mod help;
mod images;
mod init;
mod invalid_settings;
mod joining;
mod keyring;
#[path = "../../../platform/tests/keyring/rig.rs"]
mod keyring_rig;
#[path = "../../../platform/tests/session/listener.rs"]
mod listener;
mod local_cloud_command;
mod login_key;
mod logs;
mod metrics;
#[expect(dead_code, reason = "only a run with a machine needs all of it")]
#[path = "../newcomer/mod.rs"]
mod newcomer;
mod no_api;
mod notices;
mod own_host;
mod profiles;
mod read_only_commands;
mod report;
mod rereading;
mod rig;
mod service;
mod settings;
mod terminal;
mod tokens;
mod uninstall;
mod waiting;
#[path = "../../../agent/tests/web/mod.rs"]
mod web;
