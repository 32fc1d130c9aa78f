//! Unix: a session of its own, by setsid(2) in the child. Between fork and exec it would need
//! `unsafe`.

use std::process::Command;

pub(super) fn prepare(_command: &mut Command) {}

pub(super) fn in_child() {
    // Fails only for the leader of a process group: such a process is detached already, or the user
    // started it by hand.
    let _ = rustix::process::setsid();
}
