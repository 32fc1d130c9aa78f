//! What a machine reports about itself.

use serde::{Deserialize, Serialize};

/// The state of the machine, by its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MachineReport {
    /// The version of the agent's protocol.
    pub protocol: u32,
    /// Whether dockerd answers.
    pub docker: DockerState,
    /// The number of containers, if dockerd answers.
    pub containers: Option<ContainerCounts>,
    /// The volume's usage, if it is mounted.
    pub disk: Option<DiskUsage>,
    /// Seconds until the lease ends; `None` before the first heartbeat.
    pub lease_seconds: Option<u32>,
    /// Other clients that use the machine, human-readable.
    pub others: Vec<String>,
    /// Seconds since the machine booted.
    pub uptime_seconds: u64,
}

/// Whether dockerd answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DockerState {
    /// It answers.
    Ready,
    /// It does not answer now.
    Starting,
    /// It was stopped and its volume released: the machine is about to end.
    Released,
    /// It will not start.
    Failed {
        /// The reason, human-readable.
        reason: String,
    },
}

/// How many containers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ContainerCounts {
    /// Running.
    pub running: u32,
    /// All.
    pub total: u32,
}

/// Disk usage of the volume, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DiskUsage {
    /// Used bytes.
    pub used: u64,
    /// Total bytes.
    pub total: u64,
}
