//! The real `docker` command through the gateway to a real dockerd, compared with the same command
//! on the engine itself.
//!
//! Needs root, `dockerd`, `docker` and a static `busybox`; where one is missing the tests pass over
//! and say so.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test tells by panicking, and why \
    it was passed over"
)]

mod cli;
mod dockerd;
mod published;

use std::path::Path;

/// Why these tests cannot run here.
fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root".into());
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let found = |name: &str| path.split(':').any(|folder| Path::new(folder).join(name).exists());
    ["dockerd", "docker", "containerd", "unshare", "script"]
        .iter()
        .find(|name| !found(name))
        .map(|name| format!("{name} is not installed"))
        .or_else(|| dockerd::busybox().is_none().then(|| "no static busybox is installed".into()))
}

/// A started engine, or none with the reason printed.
async fn engine() -> Option<dockerd::Dockerd> {
    if let Some(why) = missing() {
        testkit::passed_over!("{why}");
        return None;
    }
    Some(dockerd::Dockerd::start().await)
}
