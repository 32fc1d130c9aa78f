//! What the tests of several crates share: commands that ran, daemons, polling with a ceiling,
//! control requests to a local cloud, generated documents, the JSON Schemas of what `--json`
//! prints, captured logs, arm64 programs by emulation, and the record of tests that were passed
//! over. A dependency of tests only; it knows no other crate of dockbridge.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "for tests")]

mod command;
mod control;
mod daemon;
mod document;
mod emulation;
mod log;
mod passed_over;
mod polling;
mod schema;

pub use command::{LONGEST_COMMAND, Ran, run, run_within};
pub use control::Control;
pub use daemon::{Daemon, signal};
pub use document::{compare_generated, compare_generated_file, compare_generated_files, wrapped};
pub use emulation::{Emulation, NoEmulation, arm64_agent};
pub use log::CapturedLog;
pub use passed_over::{pass_over, pass_over_in_part};
pub use polling::eventually;
pub use schema::{assert_follows, assert_output_follows};
