//! The server of a build: its key and firewall, the server of an earlier build, or a new one.

use std::time::Duration;

use hetzner::{NewServer, Query, Server, ServerStatus};
use jiff::Timestamp;
use russh::keys::PrivateKey;
use tokio::time::Instant;

use crate::builder::Builder;
use crate::error::{BusyBuild, ImageError};
use crate::event::Phase;
use crate::firewall;
use crate::labels::{self, HOST};
use crate::ladder::{Rung, Wanted, ladder};
use crate::lifetime::{LONGEST_BUILD, age};
use crate::lock;
use crate::operation::Operation;
use crate::prices::prices;

/// How long another action may lock a server before a build takes the server over.
const LONGEST_LOCK: Duration = Duration::from_secs(10 * 60);

/// The disk and the start of a server.
#[derive(Debug)]
pub(crate) struct NewDisk {
    /// The image's id.
    pub(crate) image: u64,
    /// GB that the disk needs at least.
    pub(crate) disk: u64,
    /// With user-data the server starts at once; without, it stays off.
    pub(crate) user_data: Option<String>,
}

/// What a server needs before it is created.
pub(crate) struct Prerequisites {
    /// Id of the key that admits this build.
    pub(crate) key: u64,
    firewall: u64,
}

impl Builder<'_> {
    /// Stores the key and creates the firewall.
    pub(crate) async fn prerequisites(
        &self,
        key: &PrivateKey,
    ) -> Result<Prerequisites, ImageError> {
        self.begin();
        let key = self.store_key(key).await?;
        let owner = &self.order.owner;
        let labels = self.recipe.builder_labels(owner, &lock::host());
        let name = self.recipe.builder_name(owner);
        let firewall = firewall::find_or_create(self.client, owner, &name, &labels).await?;
        Ok(Prerequisites { key, firewall })
    }

    async fn store_key(&self, key: &PrivateKey) -> Result<u64, ImageError> {
        let name = self.recipe.builder_name(&self.order.owner);
        let keys = self.client.ssh_keys();
        // The private half of an earlier build's key is lost.
        let old = keys.by_name(&name).await.map_err(ImageError::cloud(Operation::FindSshKey))?;
        if let Some(old) = old
            && labels::is_own_builder(&self.order.owner, &old.labels)
        {
            let deleted = keys.delete(old.id).await;
            deleted.map_err(ImageError::cloud(Operation::DeleteSshKey))?;
        }
        let public = key.public_key().to_openssh().map_err(ImageError::Key)?;
        let labels = self.recipe.builder_labels(&self.order.owner, &lock::host());
        let created = keys.create(&name, &public, &labels).await;
        Ok(created.map_err(ImageError::cloud(Operation::StoreSshKey))?.id)
    }

    /// The server of an earlier build, whose hour is paid.
    pub(crate) async fn earlier_server(
        &self,
        needed: &Prerequisites,
    ) -> Result<Option<Server>, ImageError> {
        let name = self.recipe.builder_name(&self.order.owner);
        let begun = Instant::now();
        loop {
            let found = self.client.servers().by_name(&name).await;
            let found = found.map_err(ImageError::cloud(Operation::FindServer))?;
            let Some(server) = found else { return Ok(None) };
            if !labels::is_own_builder(&self.order.owner, &server.labels) {
                return Err(ImageError::Busy(BusyBuild::NameInUse(server.id)));
            }
            if server.labels.get(HOST) != Some(&lock::host()) && age(&server) < LONGEST_BUILD {
                return Err(ImageError::Busy(BusyBuild::OnAnotherComputer(server.id)));
            }
            let is_settled = !server.locked
                && !matches!(server.status, ServerStatus::Deleting | ServerStatus::Initializing);
            if is_settled {
                let detail = format!("taking over server {} of an earlier build", server.id);
                self.phase(Phase::Create, Some(detail));
                self.order.books.server(&server, prices(self.client).await.as_ref());
                firewall::ensure_applied(self.client, needed.firewall, &server).await?;
                return Ok(Some(server));
            }
            if begun.elapsed() > LONGEST_LOCK {
                return Err(ImageError::Busy(BusyBuild::Locked(server.id)));
            }
            self.pause().await?;
        }
    }

    /// Creates a server, with the key of this build for root.
    pub(crate) async fn create(
        &self,
        needed: &Prerequisites,
        disk: &NewDisk,
    ) -> Result<Server, ImageError> {
        let rungs = self.rungs(disk.disk).await?;
        for rung in &rungs {
            if self.is_interrupted() {
                return Err(ImageError::Interrupted);
            }
            let Rung { server_type, location, disk: gb } = rung;
            let detail = format!("{server_type} in {location}, disk of {gb} GB");
            self.phase(Phase::Create, Some(detail));
            let new = NewServer {
                name: self.recipe.builder_name(&self.order.owner),
                server_type: server_type.clone(),
                image: disk.image.to_string(),
                location: Some(location.clone()),
                ssh_keys: vec![needed.key],
                firewalls: vec![needed.firewall],
                labels: self.recipe.builder_labels(&self.order.owner, &lock::host()),
                user_data: disk.user_data.clone(),
                start_after_create: disk.user_data.is_some(),
                ..NewServer::default()
            };
            match self.client.servers().create(&new).await {
                Ok(created) => {
                    self.order.books.server(&created.server, prices(self.client).await.as_ref());
                    let actions = created.actions();
                    self.until(async {
                        let waited = self.client.wait(actions).await;
                        waited.map_err(ImageError::cloud(Operation::CreateServer))
                    })
                    .await?;
                    return Ok(created.server);
                }
                Err(error) if error.is_stock_out() => {
                    self.note(format!("{server_type} is out of stock in {location}"))
                }
                Err(error) => return Err(ImageError::cloud(Operation::CreateServer)(error)),
            }
        }
        let tried = |rung: &Rung| format!("{} in {}", rung.server_type, rung.location);
        Err(ImageError::OutOfStock { tried: rungs.iter().map(tried).collect() })
    }

    /// The server types and locations to try; never empty.
    async fn rungs(&self, disk: u64) -> Result<Vec<Rung>, ImageError> {
        let types = self.client.server_types().list(&Query::default()).await;
        let types = types.map_err(ImageError::cloud(Operation::ListServerTypes))?;
        let wanted = Wanted {
            architecture: &self.order.architecture,
            disk,
            locations: &self.order.locations,
            only: &self.order.server_types,
        };
        let rungs = ladder(&wanted, &types, Timestamp::now());
        if rungs.is_empty() {
            let architecture = self.order.architecture.to_string();
            let (only, locations) = (self.order.server_types.clone(), self.order.locations.clone());
            return Err(ImageError::NoServerType { architecture, only, disk, locations });
        }
        Ok(rungs)
    }

    pub(crate) async fn power_off(&self, id: u64) -> Result<(), ImageError> {
        let servers = self.client.servers();
        let read = servers.get(id).await.map_err(ImageError::cloud(Operation::ReadServer))?;
        let server = read.ok_or_else(|| ImageError::ServerGone {
            what: format!("server {id} does not exist any more"),
        })?;
        if server.status == ServerStatus::Off {
            return Ok(());
        }
        self.settled(Operation::PowerOffServer, servers.power_off(id).await).await
    }
}
