//! The real `docker` command through the gateway to a real dockerd, compared with the same command
//! on the engine itself.
//!
//! Needs root, `dockerd`, `docker` and a static `busybox`. If one is missing, the tests are skipped
//! and print why.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test reports by panicking, and prints why it was skipped"
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
    let found =
        |name: &str| path.split(':').any(|directory| Path::new(directory).join(name).exists());
    ["dockerd", "docker", "containerd", "unshare", "script"]
        .iter()
        .find(|name| !found(name))
        .map(|name| format!("{name} is not installed"))
        .or_else(|| dockerd::busybox().is_none().then(|| "no static busybox is installed".into()))
}

/// A started engine. If there can be none, prints why.
async fn engine() -> Option<dockerd::Dockerd> {
    if let Some(why) = missing() {
        testkit::passed_over!("{why}");
        return None;
    }
    Some(dockerd::Dockerd::start().await)
}
