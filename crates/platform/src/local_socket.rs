//! Sockets for local clients of the same user.

#[cfg(unix)]
#[path = "local_socket/unix.rs"]
mod system;

pub use system::{Listener, MAX_PATH, Stream, bind, is_abandoned};
