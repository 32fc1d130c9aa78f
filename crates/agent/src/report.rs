//! What the machine looks like now: docker, containers, the volume's fill.

use std::time::Duration;

use agent_proto::{DiskUsage, DockerState, MachineReport, PROTOCOL};

use crate::commands::Commands;
use crate::docker::Docker;
use crate::paths::Paths;
use crate::release::RELEASED;
use platform::clock::since_boot as uptime;

/// While dockerd starts: between two attempts on a socket that does not exist or refuses.
const RETRY: Duration = Duration::from_millis(50);
/// While dockerd starts: between two looks at whether it ever will.
const LOOK: Duration = Duration::from_secs(1);

/// The machine as one can see it without having been there before.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Where things lie.
    pub paths: Paths,
    /// dockerd.
    pub docker: Docker,
    /// The machine's programs.
    pub commands: Commands,
}

impl Machine {
    /// With everything at its usual place.
    pub fn new(paths: Paths) -> Self {
        Self {
            docker: Docker::at(paths.docker_socket.clone()),
            commands: Commands::under(&paths.root),
            paths,
        }
    }

    /// The report, without what only the resident knows.
    pub async fn report(&self) -> MachineReport {
        let docker = match self.docker.is_ready().await {
            true => DockerState::Ready,
            false => self.end().await.unwrap_or(DockerState::Starting),
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
            uptime_seconds: uptime().as_secs(),
        }
    }

    /// Returns when dockerd answers, will never, or `limit` has passed.
    pub async fn await_docker(&self, limit: Duration) {
        let answering = async {
            // A socket that accepts and does not answer is one that systemd holds for a dockerd on
            // its way: the answer itself is waited for.
            while self.docker.ping().await.is_err() {
                tokio::time::sleep(RETRY).await;
            }
        };
        let failing = async {
            while self.end().await.is_none() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = answering => {}
            () = failing => {}
            () = tokio::time::sleep(limit) => {}
        }
    }

    /// Why dockerd will not come up, if that is so.
    async fn end(&self) -> Option<DockerState> {
        let state = tokio::fs::read_to_string(&self.paths.volume_state).await.unwrap_or_default();
        if state.trim() == RELEASED {
            return Some(DockerState::Released);
        }
        let failed = match state.trim().strip_prefix("refused:") {
            Some(reason) => Some(reason.trim().to_owned()),
            None => self.failure().await,
        };
        failed.map(|reason| DockerState::Failed { reason })
    }

    async fn failure(&self) -> Option<String> {
        if !self.paths.systemd.exists() {
            return None;
        }
        for unit in ["dockbridge-volume.service", "containerd.service", "docker.service"] {
            let asked = self
                .commands
                .run("systemctl", &["is-failed", "--quiet", unit], b"", LOOK * 5)
                .await;
            if asked.is_ok_and(|ended| ended.success()) {
                return Some(format!(
                    "{unit} failed; `journalctl -u {unit}` on the machine says \
                    why"
                ));
            }
        }
        None
    }

    fn disk(&self) -> Option<DiskUsage> {
        let mounted = std::fs::read_to_string(&self.paths.mount_info).ok()?;
        if !crate::release::is_mounted(&mounted, &self.paths.volume) {
            return None;
        }
        let stat = rustix::fs::statvfs(&self.paths.volume).ok()?;
        let total = stat.f_blocks * stat.f_frsize;
        Some(DiskUsage { used: total - stat.f_bfree * stat.f_frsize, total })
    }
}
