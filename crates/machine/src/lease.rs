//! The lease of a machine, as this client renews it. `agent/lease.rs` decides when it ends.

use std::time::Duration;

use crate::bootstrap::RUN_DIRECTORY;

/// What this client sends with each heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Random for each run of a daemon.
    pub client: String,
    /// How long the machine lives without a heartbeat.
    pub length: Duration,
    /// How long this client may be idle before it gives the machine up.
    pub idle_limit: Duration,
}

impl Lease {
    /// A heartbeat of a client that has been idle for `idle`.
    pub fn heartbeat(&self, idle: Duration) -> agent_proto::Heartbeat {
        let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        agent_proto::Heartbeat {
            client: self.client.clone(),
            lease_seconds: seconds(self.length),
            idle_seconds: seconds(idle),
            idle_limit_seconds: seconds(self.idle_limit),
        }
    }

    /// A shell command that renews the lease on a machine without an agent: it writes the end of
    /// the lease to the file that `dead-man.sh` reads.
    pub fn renewal(&self) -> String {
        let end = format!("{RUN_DIRECTORY}/lease");
        let seconds = self.length.as_secs();
        format!(
            "read -r up rest </proc/uptime && echo $((${{up%.*}} + {seconds})) >{end}.new && \
            mv {end}.new {end}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_without_agent_writes_the_file_that_the_dead_man_script_reads() {
        let directory = tempfile::tempdir().unwrap();
        let lease = Lease {
            client: "x".into(),
            length: Duration::from_secs(300),
            idle_limit: Duration::ZERO,
        };
        let command = lease.renewal().replace(RUN_DIRECTORY, directory.path().to_str().unwrap());
        let uptime = || {
            let text = std::fs::read_to_string("/proc/uptime").unwrap();
            text.split('.').next().unwrap().parse::<u64>().unwrap()
        };
        let before = uptime();
        let status = std::process::Command::new("sh").args(["-c", &command]).status().unwrap();
        assert!(status.success());
        let end = std::fs::read_to_string(directory.path().join("lease")).unwrap();
        let end: u64 = end.trim().parse().unwrap();
        assert!((before + 300..=uptime() + 300).contains(&end), "{end}");
    }
}
