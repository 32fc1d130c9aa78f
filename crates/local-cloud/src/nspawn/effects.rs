//! Carries out the API's orders on real machines.

use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::machines::{Nspawn, locked};
use super::server::Server;
use super::tool::failure;
use super::volume::Volume;
use super::{base, disk, emulation, firewall, network};
use crate::hypervisor::{
    Effect, Event, Failure, Format, Hypervisor, InboundRule, NewServer, Rescue, Usage,
};
use crate::options::ContainerEngine;

impl Hypervisor for Nspawn {
    fn reserve_address(&self, server: u64) -> Result<Ipv4Addr, Failure> {
        self.reserve_host(server).map(|host| self.claim.slot.address(host))
    }

    fn set_engine(&self, engine: ContainerEngine) -> Effect<'_> {
        Box::pin(async move {
            let base =
                base::ensure_of(&base::cache(), engine, &|step| tracing::info!("{step}")).await?;
            *locked(&self.base) = base;
            Ok(())
        })
    }

    fn create(&self, server: NewServer) -> Effect<'_> {
        Box::pin(async move {
            let exists = locked(&self.servers).contains_key(&server.id);
            if exists { Ok(()) } else { self.make_server(server).await }
        })
    }

    fn start(&self, server: u64) -> Effect<'_> {
        Box::pin(async move { self.server(server)?.start().await })
    }

    fn set_rescue(&self, server: u64, rescue: Option<Rescue>) -> Effect<'_> {
        Box::pin(async move {
            self.server(server)?.set_rescue(rescue);
            Ok(())
        })
    }

    fn shutdown(&self, server: u64) -> Effect<'_> {
        Box::pin(async move { self.server(server)?.shutdown().await })
    }

    fn power_off(&self, server: u64) -> Effect<'_> {
        Box::pin(async move { self.server(server)?.power_off().await })
    }

    fn delete(&self, server: u64) -> Effect<'_> {
        Box::pin(self.remove_server(server))
    }

    fn set_firewall(&self, server: u64, rules: Option<Vec<InboundRule>>) -> Effect<'_> {
        Box::pin(async move {
            self.server(server)?;
            let rules = rules.map(|rules| rules.into_iter().map(disk::Rule::from).collect());
            self.apply_firewalls(Some((server, rules))).await
        })
    }

    fn create_volume(&self, volume: u64, size: u64, format: Option<Format>) -> Effect<'_> {
        Box::pin(async move {
            Volume::of(&self.site.state, volume).make(size, format).await?;
            locked(&self.volumes).entry(volume).or_default();
            Ok(())
        })
    }

    fn resize_volume(&self, volume: u64, size: u64) -> Effect<'_> {
        Box::pin(async move {
            self.volume(volume)?.grow(size)?;
            match self.attached_to(volume) {
                Some(server) => server.refresh(volume).await,
                None => Ok(()),
            }
        })
    }

    fn delete_volume(&self, volume: u64) -> Effect<'_> {
        Box::pin(async move {
            self.detach(volume).await?;
            Volume::of(&self.site.state, volume).remove()?;
            locked(&self.volumes).remove(&volume);
            Ok(())
        })
    }

    fn attach(&self, volume: u64, server: u64) -> Effect<'_> {
        Box::pin(async move {
            let bytes = self.volume(volume)?;
            let target = self.server(server)?;
            if let Some(other) = self.attached_to(volume)
                && other.record().id != server
            {
                return Err(failure(
                    "attach the volume",
                    format!("it is attached to server {}", other.record().id),
                ));
            }
            target.attach(&bytes).await?;
            self.note_attachment(volume, Some(server))
        })
    }

    fn mount(&self, volume: u64, server: u64) -> Effect<'_> {
        Box::pin(async move { self.server(server)?.mount(volume).await })
    }

    fn show_wrong_disk(&self, volume: u64, server: u64) -> Effect<'_> {
        Box::pin(async move { self.server(server)?.show_wrong_disk(volume).await })
    }

    fn detach(&self, volume: u64) -> Effect<'_> {
        Box::pin(async move {
            let Some(server) = self.attached_to(volume) else { return Ok(()) };
            server.detach(volume).await?;
            self.note_attachment(volume, None)
        })
    }

    fn snapshot(&self, server: u64, image: u64) -> Effect<'_, u64> {
        Box::pin(async move {
            let base = self.server(server)?.record().base;
            disk::snapshot(&self.site.state, server, &base, image).await
        })
    }

    fn delete_snapshot(&self, image: u64) -> Effect<'_> {
        Box::pin(async move { disk::delete_snapshot(&self.site.state, image).await })
    }

    fn usage(&self, server: u64) -> Option<Usage> {
        self.server(server).ok()?.usage()
    }

    fn events(&self) -> Option<mpsc::UnboundedReceiver<Event>> {
        locked(&self.events).take()
    }

    fn close(&self) -> Effect<'_> {
        Box::pin(async move {
            let servers: Vec<Arc<Server>> = locked(&self.servers).values().cloned().collect();
            let ended = futures::future::join_all(servers.iter().map(|server| server.end())).await;
            self.services.abort();
            firewall::remove(self.claim.slot).await?;
            network::remove(self.claim.slot).await?;
            emulation::remove(self.claim.slot)?;
            self.claim.forget();
            ended.into_iter().collect()
        })
    }
}
