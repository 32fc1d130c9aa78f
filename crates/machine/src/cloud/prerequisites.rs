//! What a server needs before it is created: a login key, a firewall, a volume.

use hetzner::{Direction, FirewallRule, NewFirewall, NewVolume, Protocol};

use super::fresh_volume::{Fate, fate};
use super::project::Cloud;
use crate::causes::with_causes;
use crate::convert;
use crate::error::MachineError;
use crate::observed::{Observed, Volume};
use crate::operation::Operation;

/// The result of creating a volume.
pub(super) enum NewVolumeIn {
    Made(Volume),
    /// The location takes none now.
    Full,
    /// Another client was faster.
    MadeByAnother,
}

/// The rules of dockbridge's firewalls: they admit TCP 22 only.
pub fn only_ssh() -> Vec<FirewallRule> {
    vec![FirewallRule {
        direction: Direction::In,
        protocol: Protocol::Tcp,
        port: Some("22".to_owned()),
        source_ips: vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()],
        destination_ips: Vec::new(),
        description: Some("SSH".to_owned()),
    }]
}

fn is_uniqueness(error: &MachineError) -> bool {
    matches!(error, MachineError::Cloud { source, .. } if source.is_uniqueness())
}

impl Cloud {
    /// The id of this computer's login key, which all its profiles share: a project holds each key
    /// once.
    pub(super) async fn login_key(&self, observed: &Observed) -> Result<u64, MachineError> {
        if let Some(id) = observed.key {
            return Ok(id);
        }
        match self.new_login_key().await {
            Ok(id) => Ok(id),
            // Another process of this computer was faster; its key is the same.
            Err(error) if is_uniqueness(&error) => self.observe().await?.key.ok_or(error),
            Err(error) => Err(error),
        }
    }

    /// The id of this profile's firewall.
    pub(super) async fn firewall(&self, observed: &Observed) -> Result<u64, MachineError> {
        if let Some(id) = observed.firewall {
            return Ok(id);
        }
        let identity = &self.options.identity;
        let new = NewFirewall {
            name: identity.name(),
            rules: only_ssh(),
            labels: identity.labels("firewall"),
            apply_to: Vec::new(),
        };
        match self.client.firewalls().create(&new).await {
            Ok(created) => Ok(created.firewall.id),
            Err(error) => {
                let found =
                    if error.is_uniqueness() { self.observe().await?.firewall } else { None };
                found.ok_or_else(|| MachineError::cloud(Operation::CreateFirewall)(error))
            }
        }
    }

    /// Creates this profile's volume.
    pub(super) async fn new_volume(&self, location: &str) -> Result<NewVolumeIn, MachineError> {
        let identity = &self.options.identity;
        let size = self.options.spec.volume_size;
        let new = NewVolume {
            name: identity.name(),
            size: u32::try_from(size).unwrap_or(u32::MAX),
            location: location.to_owned(),
            format: None,
            labels: identity.labels("data"),
        };
        match self.client.volumes().create(&new).await {
            Ok(created) => {
                let made = Volume {
                    location: location.to_owned(),
                    size,
                    ..convert::volume(created.volume.clone())
                };
                self.fresh_volume.created(made.clone());
                let pricing = self.prices.soon(&self.client).await;
                self.options.books.volume(&created.volume, pricing.as_deref());
                self.settled(Operation::CreateVolume, Ok(created.actions())).await?;
                Ok(NewVolumeIn::Made(made))
            }
            Err(error) if error.is_location_full() => {
                let error = with_causes(&error);
                tracing::info!(location, error, "the location takes no volume now");
                Ok(NewVolumeIn::Full)
            }
            Err(error) if error.is_uniqueness() && self.observe().await?.volumes.len() == 1 => {
                Ok(NewVolumeIn::MadeByAnother)
            }
            Err(error) => Err(MachineError::cloud(Operation::CreateVolume)(error)),
        }
    }

    /// Deletes the volume that this attempt has created, unless a server may use it or has used it.
    pub(super) async fn delete_fresh_volume(&self) -> Result<(), MachineError> {
        let Some(Volume { id, .. }) = self.fresh_volume.take_unused() else { return Ok(()) };
        let volumes = self.client.volumes();
        let read = volumes.get(id).await.map_err(MachineError::cloud(Operation::ReadVolume))?;
        let Some(volume) = read else { return Ok(()) };
        let actions =
            volumes.actions(id).await.map_err(MachineError::cloud(Operation::ListVolumeActions))?;
        match fate(&self.options.identity, &volume, &actions) {
            Fate::Delete => {
                volumes
                    .delete(id)
                    .await
                    .map_err(MachineError::cloud(Operation::DeleteFreshVolume))?;
                self.options.books.volume_gone(id, &volume.labels);
                tracing::info!(volume = id, "the new volume is deleted: no server came to use it");
            }
            Fate::Keep(reason) => tracing::info!(volume = id, reason, "the new volume is kept"),
        }
        Ok(())
    }

    /// Deletes an unused new volume after an attempt that failed for another reason. If that fails,
    /// the volume stays and is billed; `status` shows it.
    pub(super) async fn try_delete_fresh_volume(&self) {
        if let Err(error) = self.delete_fresh_volume().await {
            tracing::warn!(
                error = with_causes(&error),
                "an unused new volume stays, and is billed"
            );
        }
    }
}
