//! What happens to a daemon and its clients when the path to the machine is lost, and how the
//! daemon recovers. The machine is a real sshd on this host, with the real agent; the engine behind
//! it is a few lines of the test.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests count as tests, and figures are for people"
)]

// The rig of tunnel's own tests names the crate as its package.
extern crate tunnel as dockbridge_tunnel;

#[path = "../../../tunnel/tests/rig/mod.rs"]
mod machine;

mod away;
mod losses;
mod rig;
mod trace;
