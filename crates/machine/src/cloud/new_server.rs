//! Requests one server from the cloud, and distinguishes how the request ends.

use hetzner::{CreatedServer, NewServer};

use super::project::Cloud;
use crate::bootstrap::Bootstrap;
use crate::error::MachineError;
use crate::host_key::HostKey;
use crate::identity::{HOST_KEY, login_label};
use crate::image_choice::{ImageChoice, ImageKind};
use crate::ladder::Rung;
use crate::operation::Operation;

/// A server to request.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServerOrder<'a> {
    pub(super) rung: &'a Rung,
    pub(super) choice: &'a ImageChoice,
    /// Ids of the login key, the firewall and the volume.
    pub(super) key: u64,
    pub(super) firewall: u64,
    pub(super) volume: u64,
}

/// The result of a request for a server.
pub(super) enum Requested {
    Created(Box<CreatedServer>),
    /// Another client of this identity has created one.
    AnotherClientWasFaster,
    /// This server type is out of stock in this location.
    OutOfStock,
    /// The cloud does not create a server from this image.
    ImageRefused(MachineError),
}

impl Cloud {
    pub(super) async fn request_server(
        &self,
        order: ServerOrder<'_>,
    ) -> Result<Requested, MachineError> {
        let new = self.new_server(order)?;
        // From here on a server may use the volume, even if the reply is lost or this future is
        // dropped.
        self.fresh_volume.requested(order.volume);
        let error = match self.client.servers().create(&new).await {
            Ok(created) => return Ok(Requested::Created(Box::new(created))),
            Err(error) => error,
        };
        if error.api().is_some() && !error.is_lost_reply() {
            self.fresh_volume.refused(order.volume);
        }
        if error.is_stock_out() {
            let Rung { server_type, location, .. } = order.rung;
            tracing::info!(server_type, location, "out of stock");
            return Ok(Requested::OutOfStock);
        }
        // If another client was faster, the name or the volume is in use, and its server exists.
        // The server of a stranger with that name is not listed, and the error is reported.
        let observed = self.observe().await?;
        self.fresh_volume.observe(&observed);
        if !observed.servers.is_empty() {
            return Ok(Requested::AnotherClientWasFaster);
        }
        let has_plain = order.rung.images.iter().any(|image| image.kind == ImageKind::Plain);
        let is_own = order.choice.image.kind == ImageKind::Own && has_plain;
        let refused = MachineError::cloud(Operation::CreateServer)(error);
        // A snapshot may have been deleted since it was listed.
        match &refused {
            MachineError::Cloud { source, .. } if is_own && source.is_invalid() => {
                Ok(Requested::ImageRefused(refused))
            }
            _ => Err(refused),
        }
    }

    fn new_server(&self, order: ServerOrder<'_>) -> Result<NewServer, MachineError> {
        let ServerOrder { rung, choice, key, firewall, volume } = order;
        let identity = &self.options.identity;
        let host_key = HostKey::generate().map_err(MachineError::Key)?;
        let mut labels = identity.labels("machine");
        labels.insert(HOST_KEY.to_owned(), host_key.fingerprint().to_label());
        // Each computer of this owner may log in with a key of its own.
        let others = self.logins.known();
        labels.extend([login_label(&self.own_login())]);
        labels.extend(others.iter().map(|login| login_label(&login.fingerprint())));
        let bootstrap = Bootstrap {
            volume,
            host_key: &host_key,
            boot_lease_seconds: self.options.spec.boot_lease_seconds,
            port_window: self.options.port_windows.claim(identity),
        };
        Ok(NewServer {
            name: identity.name(),
            server_type: rung.server_type.clone(),
            image: choice.image.id.to_string(),
            location: Some(rung.location.clone()),
            ssh_keys: std::iter::once(key).chain(others.iter().map(|login| login.id)).collect(),
            volumes: vec![volume],
            firewalls: vec![firewall],
            user_data: Some(bootstrap.user_data()?),
            labels,
            ..NewServer::default()
        })
    }
}
