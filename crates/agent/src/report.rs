//! The machine's report: docker, containers, disk usage.

use std::time::Duration;

use agent_proto::{DiskUsage, DockerState, MachineReport, PROTOCOL};

use crate::machine::{Machine, RELEASED, is_mounted};
use platform::clock::since_boot;

/// While dockerd starts: between two attempts on a socket that is missing or refuses.
const RETRY: Duration = Duration::from_millis(50);
/// While dockerd starts: between two checks for a failed start.
const CHECK: Duration = Duration::from_secs(1);

impl Machine {
    /// The report without the lease, which only the resident knows.
    pub async fn report(&self) -> MachineReport {
        let docker = match self.docker.is_ready().await {
            true => DockerState::Ready,
            false => self.final_state().await.unwrap_or(DockerState::Starting),
        };
        let containers =
            if docker == DockerState::Ready { self.docker.counts().await } else { None };
        MachineReport {
            protocol: PROTOCOL,
            docker,
            containers,
            disk: self.disk(),
            lease_seconds: None,
            others: Vec::new(),
            uptime_seconds: since_boot().as_secs(),
        }
    }

    /// Returns when dockerd answers, when it failed to start, or after `limit`.
    pub async fn await_docker(&self, limit: Duration) {
        let answering = async {
            // A socket that accepts but does not answer belongs to a dockerd that systemd is
            // starting.
            while self.docker.ping().await.is_err() {
                tokio::time::sleep(RETRY).await;
            }
        };
        let failing = async {
            while self.final_state().await.is_none() {
                tokio::time::sleep(CHECK).await;
            }
        };
        tokio::select! {
            () = answering => {}
            () = failing => {}
            () = tokio::time::sleep(limit) => {}
        }
    }

    /// Why dockerd will not answer, if that is known.
    async fn final_state(&self) -> Option<DockerState> {
        let state = tokio::fs::read_to_string(&self.paths.volume_state).await.unwrap_or_default();
        if state.trim() == RELEASED {
            return Some(DockerState::Released);
        }
        let failed = match state.trim().strip_prefix("refused:") {
            Some(reason) => Some(reason.trim().to_owned()),
            None => self.failed_unit().await,
        };
        failed.map(|reason| DockerState::Failed { reason })
    }

    async fn failed_unit(&self) -> Option<String> {
        if !self.paths.systemd.exists() {
            return None;
        }
        for unit in ["dockbridge-volume.service", "containerd.service", "docker.service"] {
            let checked = self
                .commands
                .run("systemctl", &["is-failed", "--quiet", unit], b"", CHECK * 5)
                .await;
            if checked.is_ok_and(|ended| ended.success()) {
                return Some(format!(
                    "{unit} failed; `journalctl -u {unit}` on the machine says why"
                ));
            }
        }
        None
    }

    fn disk(&self) -> Option<DiskUsage> {
        let mounted = std::fs::read_to_string(&self.paths.mount_info).ok()?;
        if !is_mounted(&mounted, &self.paths.volume) {
            return None;
        }
        let stat = rustix::fs::statvfs(&self.paths.volume).ok()?;
        let total = stat.f_blocks * stat.f_frsize;
        Some(DiskUsage { used: total - stat.f_bfree * stat.f_frsize, total })
    }
}
