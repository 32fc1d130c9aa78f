//! One order to the hypervisor, as data, and the rule that only one effect works on a server or
//! volume at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::hypervisor::{Failure, Format, Hypervisor, InboundRule, NewServer, Rescue};
use crate::state::{Id, Resource};

#[derive(Debug, Clone)]
pub(crate) enum Effect {
    Create(Box<NewServer>),
    Start(Id),
    SetRescue(Id, Option<Rescue>),
    Shutdown(Id),
    /// Waits until the server is off by itself, or for the maximum time.
    AwaitOff(Id),
    PowerOff(Id),
    Delete(Id),
    SetFirewall(Id, Option<Vec<InboundRule>>),
    CreateVolume {
        volume: Id,
        size: u64,
        format: Option<Format>,
    },
    ResizeVolume {
        volume: Id,
        size: u64,
    },
    DeleteVolume(Id),
    Attach {
        volume: Id,
        server: Id,
    },
    /// After [`Effect::Attach`].
    Mount {
        volume: Id,
        server: Id,
    },
    /// Another disk under the name of the volume.
    ShowWrongDisk {
        volume: Id,
        server: Id,
    },
    Detach {
        volume: Id,
        server: Id,
    },
    Snapshot {
        server: Id,
        image: Id,
    },
    DeleteSnapshot(Id),
}

impl Effect {
    /// Carries it out. A snapshot returns its size in bytes.
    pub(crate) async fn perform(self, hypervisor: &dyn Hypervisor) -> Result<Option<u64>, Failure> {
        match self {
            Effect::Create(server) => hypervisor.create(*server).await?,
            Effect::Start(server) => hypervisor.start(server).await?,
            Effect::SetRescue(server, rescue) => hypervisor.set_rescue(server, rescue).await?,
            Effect::Shutdown(server) => hypervisor.shutdown(server).await?,
            Effect::AwaitOff(_) => {}
            Effect::PowerOff(server) => hypervisor.power_off(server).await?,
            Effect::Delete(server) => hypervisor.delete(server).await?,
            Effect::SetFirewall(server, rules) => hypervisor.set_firewall(server, rules).await?,
            Effect::CreateVolume { volume, size, format } => {
                hypervisor.create_volume(volume, size, format).await?
            }
            Effect::ResizeVolume { volume, size } => hypervisor.resize_volume(volume, size).await?,
            Effect::DeleteVolume(volume) => hypervisor.delete_volume(volume).await?,
            Effect::Attach { volume, server } => hypervisor.attach(volume, server).await?,
            Effect::Mount { volume, server } => {
                // A failed mount does not fail the action, which has done its part.
                if let Err(failure) = hypervisor.mount(volume, server).await {
                    tracing::warn!(
                        volume,
                        server,
                        what = failure.what,
                        cause = failure.cause,
                        "cannot mount a volume"
                    );
                }
            }
            Effect::ShowWrongDisk { volume, server } => {
                hypervisor.show_wrong_disk(volume, server).await?
            }
            Effect::Detach { volume, .. } => hypervisor.detach(volume).await?,
            Effect::Snapshot { server, image } => {
                return hypervisor.snapshot(server, image).await.map(Some);
            }
            Effect::DeleteSnapshot(image) => hypervisor.delete_snapshot(image).await?,
        }
        Ok(None)
    }

    /// The resources that it needs exclusively, in ascending order.
    fn subjects(&self) -> Vec<Resource> {
        match *self {
            Effect::Create(ref server) => vec![Resource::Server(server.id)],
            Effect::Start(id)
            | Effect::SetRescue(id, _)
            | Effect::Shutdown(id)
            | Effect::PowerOff(id)
            | Effect::Delete(id)
            | Effect::SetFirewall(id, _) => vec![Resource::Server(id)],
            Effect::AwaitOff(_) => Vec::new(),
            Effect::CreateVolume { volume, .. }
            | Effect::ResizeVolume { volume, .. }
            | Effect::DeleteVolume(volume) => {
                vec![Resource::Volume(volume)]
            }
            Effect::Attach { volume, server }
            | Effect::Mount { volume, server }
            | Effect::ShowWrongDisk { volume, server }
            | Effect::Detach { volume, server } => {
                vec![Resource::Server(server), Resource::Volume(volume)]
            }
            Effect::Snapshot { server, image } => {
                vec![Resource::Server(server), Resource::Image(image)]
            }
            Effect::DeleteSnapshot(image) => vec![Resource::Image(image)],
        }
    }
}

/// Locks of resources. The API's locks keep actions apart; these also keep effects apart that
/// belong to no action, such as a late device.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<BTreeMap<Resource, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits for all resources of the effect. All callers lock in the same order, so two can never
    /// wait for each other.
    pub(crate) async fn take(&self, effect: &Effect) -> Vec<OwnedMutexGuard<()>> {
        let mut held = Vec::new();
        for subject in effect.subjects() {
            let turn = {
                let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                turns.retain(|_, turn| Arc::strong_count(turn) > 1);
                turns.entry(subject).or_default().clone()
            };
            held.push(turn.lock_owned().await);
        }
        held
    }
}
