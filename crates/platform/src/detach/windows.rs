//! Windows: a process without a console and in a process group of its own.

use std::os::windows::process::CommandExt as _;
use std::process::Command;

use windows_sys::Win32::System::Threading::{CREATE_NEW_PROCESS_GROUP, DETACHED_PROCESS};

pub(super) fn prepare(command: &mut Command) {
    command.creation_flags(DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP);
}

pub(super) fn in_child() {}
