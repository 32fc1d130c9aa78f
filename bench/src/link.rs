//! The paths between client and machine: none to speak of, or an emulated long one. The emulator is
//! a packet-level one that real TCP runs over (`link.sh`, which makes a network namespace whose
//! only way out it is); it stands outside of this project and may be missing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// No delay: machine and client on one host
    Plain,
    /// 30 ms, 1 Gbit/s both ways
    Wan30,
    /// 25 ms, 40 Mbit/s up, 100 Mbit/s down
    Wan25,
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

impl Link {
    /// All of them, in the order of the report.
    pub const ALL: [Link; 3] = [Link::Plain, Link::Wan30, Link::Wan25];

    /// For a heading.
    pub fn title(self) -> &'static str {
        match self {
            Link::Plain => "Plain link (no delay, client and machine on one host)",
            Link::Wan30 => "30 ms, 1 Gbit/s",
            Link::Wan25 => "25 ms, 40 Mbit/s up, 100 Mbit/s down",
        }
    }

    /// A round trip in milliseconds.
    pub fn round_trip_ms(self) -> f64 {
        match self {
            Link::Plain => 0.0,
            Link::Wan30 => 30.0,
            Link::Wan25 => 25.0,
        }
    }

    fn rates_mbit(self) -> (u32, u32) {
        match self {
            Link::Plain | Link::Wan30 => (1000, 1000),
            Link::Wan25 => (40, 100),
        }
    }
}

/// A namespace behind an emulated link. Goes with this value.
pub struct Emulated {
    script: PathBuf,
    /// The namespace's name.
    pub name: String,
}

impl Emulated {
    /// Lays the link. The machine has to be reachable from this host.
    pub fn lay(emulator: &Path, link: Link) -> Result<Self> {
        let script = emulator.join("link.sh");
        let name = format!("dbb{}-{}", std::process::id(), link.round_trip_ms());
        let (up, down) = link.rates_mbit();
        let rates = [link.round_trip_ms().to_string(), up.to_string(), down.to_string()];
        let laid = Self { script, name };
        let output = Command::new(&laid.script).arg("up").arg(&laid.name).args(rates).output();
        let output = output.with_context(|| format!("{} cannot be run", laid.script.display()))?;
        ensure!(
            output.status.success(),
            "the link {} was not laid: {}",
            laid.name,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(laid)
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        let _ = Command::new(&self.script).arg("down").arg(&self.name).output();
    }
}
