//! TCP of this host as Debian 12 ships it, while something is measured: figures of a host that is
//! tuned otherwise would not apply to others.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::output::complain;

/// Settings, and their values in Debian 12. `allowed` is needed for the next one, here and in
/// network namespaces.
const SETTINGS: [(&str, Option<&str>); 6] = [
    // From an emulated link to the machine.
    ("ip_forward", Some("1")),
    ("tcp_allowed_congestion_control", None),
    ("tcp_congestion_control", Some("cubic")),
    ("tcp_rmem", Some("4096 131072 6291456")),
    ("tcp_wmem", Some("4096 16384 4194304")),
    // What one connection learned about the path must not help the next one.
    ("tcp_no_metrics_save", Some("1")),
];

/// Restores the host's settings when it is dropped.
pub struct AsShipped(Vec<(PathBuf, String)>);

impl AsShipped {
    /// Changes this host's settings.
    pub fn set() -> Result<Self> {
        let mut changed = Self(Vec::new());
        for (name, value) in SETTINGS {
            let path = PathBuf::from("/proc/sys/net/ipv4").join(name);
            let before =
                std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let value = match value {
                Some(value) => value.to_owned(),
                None => {
                    std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control")?
                }
            };
            std::fs::write(&path, value.trim())
                .with_context(|| format!("{} cannot be set to {}", path.display(), value.trim()))?;
            changed.0.push((path, before));
        }
        Ok(changed)
    }
}

impl Drop for AsShipped {
    fn drop(&mut self) {
        while let Some((path, before)) = self.0.pop() {
            if let Err(error) = std::fs::write(&path, before.trim()) {
                complain(&format!(
                    "{} was not put back to {}: {error}",
                    path.display(),
                    before.trim()
                ));
            }
        }
    }
}
