//! The part of a server that changes with its power: the running machine, and the devices of its
//! volumes.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::machine::Machine;
use super::tool::failure;
use super::volume::{Loop, Volume};
use super::{cgroup, device, network};
use crate::hypervisor::Failure;

/// A killed machine that still exists after this time hangs in the kernel; measured: 0.1 s.
const DEATH_LIMIT: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
pub(super) struct Power {
    pub(super) running: Option<Running>,
    pub(super) volumes: BTreeMap<u64, Attached>,
    pub(super) wrong_disk: Option<Loop>,
    pub(super) boots: u64,
}

#[derive(Debug)]
pub(super) struct Running {
    /// `None` if its disk has no bootable system: it is on, but does nothing.
    pub(super) machine: Option<Machine>,
    pub(super) boot: u64,
    pub(super) gone: watch::Receiver<bool>,
    pub(super) name: String,
    /// The host's end of its network link.
    pub(super) link: Option<network::Link>,
    /// The server's own disk if it is a block device: as the rescue system sees it, or the source
    /// of the root's mount.
    pub(super) disk: Option<Loop>,
}

impl Running {
    pub(super) fn init(&self) -> Option<i32> {
        self.machine.as_ref().map(|machine| machine.init)
    }
}

#[derive(Debug)]
pub(super) struct Attached {
    pub(super) node: char,
    /// Set while the machine runs.
    pub(super) device: Option<Loop>,
}

impl Power {
    pub(super) async fn off(&mut self) -> Result<(), Failure> {
        if let Some(running) = &self.running
            && let Some(machine) = &running.machine
        {
            machine.cut_power()?;
            let mut gone = running.gone.clone();
            timeout(DEATH_LIMIT, gone.wait_for(|gone| *gone))
                .await
                .map_err(|_| {
                    failure(
                        "cut the power",
                        format!("the machine still runs after {DEATH_LIMIT:?}"),
                    )
                })?
                .ok();
        }
        self.forget_machine().await;
        Ok(())
    }

    pub(super) async fn forget_machine(&mut self) {
        if let Some(running) = self.running.take() {
            if let Some(link) = running.link {
                network::unlink(&link.name).await;
            }
            if let Err(failure) = cgroup::remove(&running.name).await {
                tracing::warn!(%failure, "parts of a machine are left");
            }
        }
        self.wrong_disk = None;
        for volume in self.volumes.values_mut() {
            volume.device = None;
        }
    }
}

impl Attached {
    pub(super) async fn plug(&mut self, init: i32, volume: &Volume) -> Result<(), Failure> {
        let device = volume.open().await?;
        device::plug(init, self.node, &device, volume.id).await?;
        self.device = Some(device);
        Ok(())
    }
}
