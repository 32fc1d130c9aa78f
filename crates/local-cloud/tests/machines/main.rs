//! Real machines, driven through the trait that the API uses.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "test code")]

mod disks;
mod fstab;
mod host;
mod rescue;
mod rig;
mod servers;
mod usage;
