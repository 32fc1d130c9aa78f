//! The paths between client and machine: a plain one without delay, or an emulated long one.
//! `bench/emulator/link.sh` makes a network namespace whose only route to this host is the emulated
//! link; the kernel's own TCP runs over it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A path between client and machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// No delay: machine and client on one host
    Plain,
    /// 30 ms, 1 Gbit/s in both directions
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
    /// All of them, in the order of the table.
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

/// A namespace behind an emulated link. Dropping it removes both.
pub struct Emulated {
    script: Child,
    /// The namespace's name.
    pub name: String,
}

impl Emulated {
    /// Lays the link. The machine has to be reachable from this host.
    pub fn lay(script: &Path, link: Link) -> Result<Self> {
        let name = format!("dbb{}-{}", std::process::id(), link.round_trip_ms());
        let (up, down) = link.rates_mbit();
        let rates = [link.round_trip_ms().to_string(), up.to_string(), down.to_string()];
        // The script removes everything when it is ended, also if this process is killed.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--"])
            .arg(script)
            .arg(&name)
            .args(rates)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be run", script.display()))?;
        let output = child.stdout.take();
        let laid = Self { script: child, name };
        let mut line = String::new();
        BufReader::new(output.context("no output")?).read_line(&mut line)?;
        ensure!(line.trim() == "ready", "the link {} was not laid", laid.name);
        Ok(laid)
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        if let Some(pid) =
            i32::try_from(self.script.id()).ok().and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.script.wait();
    }
}
