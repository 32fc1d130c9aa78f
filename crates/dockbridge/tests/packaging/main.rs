//! What a release consists of besides the program: install.sh against a local server, the
//! signature, the notes, and the files for other package managers. `scripts/release --check` tries
//! real archives and packages.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod install;
mod manifests;
mod notes;
mod rig;
mod server;
mod signature;
