//! Detaching: a process that goes on after the terminal and the login that started it have ended.
//!
//! The parent prepares the command with [`prepare`]; the child calls [`in_child`] first thing.

use std::process::Command;

#[cfg(unix)]
#[path = "detach/unix.rs"]
mod system;
#[cfg(windows)]
#[path = "detach/windows.rs"]
mod system;

/// Prepares a command that starts a detached process. Standard streams are the caller's choice.
pub fn prepare(command: &mut Command) {
    system::prepare(command);
}

/// Detaches this process from its terminal. Does nothing where it is detached already.
pub fn in_child() {
    system::in_child();
}
