//! The agent: the program that runs on the machine.
//!
//! `session` speaks the protocol on standard input and output, as the user who logged in.
//! `resident` runs once per boot, as root, and keeps what has to outlive every session: the lease,
//! and the self-destruct when it ends. Neither knows SSH or who is on the other side. `image` runs
//! in rescue systems: it writes a machine image to a disk.
//!
//! The binary only parses arguments.

#![forbid(unsafe_code)]

mod commands;
mod datagrams;
mod docker;
mod failures;
pub mod image;
pub mod lease;
mod log;
mod machine;
pub mod paths;
mod pump;
mod release;
mod rendezvous;
mod report;
pub mod resident;
mod resumption;
mod self_destruct;
pub mod session;
mod start_resident;
mod stdio;
mod streams;
mod target;
mod tcp_channel;
#[cfg(test)]
mod test_machine;
