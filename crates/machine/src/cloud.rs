//! Machines as servers of a Hetzner Cloud project: observe, plan, apply, until one answers.

mod access;
mod addresses;
mod attempt;
mod boot_timing;
mod connect;
mod create;
mod creation;
mod destroy;
mod diagnosis;
mod fresh_volume;
mod give_up;
mod handover;
mod host_key_rotation;
mod login_key_rotation;
mod login_keys;
mod logins;
mod new_server;
mod observe;
mod observers;
mod orphans;
mod poll_backoff;
mod prerequisites;
mod price_list;
mod probe;
mod project;
mod reconcile;
mod resize;
mod ssh;
mod standing;

use std::time::Duration;

use futures::future::BoxFuture;
use tunnel::Tunnel;

pub use access::Access;
use attempt::Purpose;
use observers::Joining;
pub use orphans::{Orphan, OrphanKind};
pub use prerequisites::only_ssh;
pub use probe::PortCheck;
pub use project::{ApiAccess, Cloud, CloudOptions, NextMachine, SelfDestruct};
pub use resize::{FileSystem, Resized};
pub use standing::standing;

use crate::error::MachineError;
use crate::price::with_prices;
use crate::provider::{Consent, Destroyed, Joined, Observer, Provider, Ready};
use api::Summary;

impl Provider for Cloud {
    fn find(&self) -> BoxFuture<'_, Result<Option<Summary>, MachineError>> {
        Box::pin(async {
            let observed = self.servers_and_volumes().await?;
            Ok(observed.servers.first().map(|server| self.summary(server, &observed, None)))
        })
    }

    fn ensure<'a>(
        &'a self,
        observer: &'a dyn Observer,
    ) -> BoxFuture<'a, Result<Ready, MachineError>> {
        Box::pin(async {
            let cloud = self.changed();
            match Box::pin(cloud.reconcile(Purpose::Serve, observer)).await? {
                Some(ready) => Ok(ready),
                None => Err(MachineError::TimedOut {
                    waited: Duration::ZERO,
                    last: "there was no machine".to_owned(),
                }),
            }
        })
    }

    fn join(&self, limit: Duration) -> BoxFuture<'_, Result<Joined, MachineError>> {
        Box::pin(async move {
            let cloud = self.changed();
            Ok(match Box::pin(cloud.reconcile(Purpose::Join { limit }, &Joining)).await? {
                Some(ready) => Joined::Ready(Box::new(ready)),
                None => Joined::Absent,
            })
        })
    }

    fn priced<'a>(&'a self, machine: &'a Summary) -> BoxFuture<'a, Option<Summary>> {
        Box::pin(async {
            let pricing = self.prices.get(&self.client).await?;
            Some(with_prices(machine, &pricing))
        })
    }

    fn clock_offset(&self) -> Option<i64> {
        self.client.clock_offset()
    }

    fn api_use(&self) -> Option<hetzner::ApiUse> {
        Some(self.client.api_use())
    }

    fn settle<'a>(&'a self, ready: &'a Ready) -> BoxFuture<'a, Result<(), MachineError>> {
        Box::pin(async {
            self.replace_host_key(ready).await?;
            match ready.summary.id {
                Some(server) => self.label_addresses(server).await,
                None => Ok(()),
            }
        })
    }

    fn attend<'a>(&'a self, ready: &'a Ready) -> BoxFuture<'a, ()> {
        Box::pin(self.admit_others(ready))
    }

    fn destroy<'a>(
        &'a self,
        tunnel: Option<&'a Tunnel>,
        consent: Consent,
    ) -> BoxFuture<'a, Result<Destroyed, MachineError>> {
        Box::pin(self.take_down(tunnel, consent))
    }
}
