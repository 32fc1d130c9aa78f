//! What packages consist of besides the program: install.sh against a local server, and the files
//! for other package managers. `scripts/release --check` tries real archives and packages.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod install;
mod manifests;
mod rig;
mod server;
