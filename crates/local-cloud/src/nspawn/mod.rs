//! Real machines on this host: Debian with systemd, cloud-init, sshd and dockerd in systemd-nspawn,
//! volumes as loop devices, firewalls in nftables.
//!
//! Everything disappears by itself when this process dies, even by `kill -9`: machines are bound to it
//! and take their mounts and links with them, loop devices go with their last user. What stays is
//! a bridge, an nft table and empty control groups; [`clean`] removes those, and so does the next
//! local cloud that claims the same slot.
//!
//! A server's disk is a directory below an overlay. A rescue system sees an empty block device
//! instead. From then on the server's disk is what the rescue system wrote to it, for snapshots
//! and for the next boot: a Linux file system is mounted and booted, anything else runs without
//! answering, as without a boot loader.
//!
//! As at Hetzner, and unlike a usual container: nothing below `/run` may execute, `ssh.socket`
//! starts sshd, the address is leased by DHCP, the metadata service answers over IPv4 and IPv6,
//! and entries of `/etc/fstab` are mounted when their volume appears.
//!
//! Unlike at Hetzner: a machine shares this host's kernel (no modules of its own, `/proc/meminfo`
//! and the processors are the host's), its memory and processors are not limited, it is no
//! security boundary (its root can do much to this host), and it reaches the internet only if this
//! host forwards packets. It has no udevd; the link by id of a volume is made from outside. A udev
//! rule would fail: the kernel reports each loop device of this host to every machine, under its
//! own name `loopN`, so the rule would link all volumes in all machines, most of them to missing
//! nodes.

pub mod base;
mod cgroup;
mod claim;
mod cleanup;
mod derived;
mod device;
mod dhcp;
mod disk;
mod firewall;
mod state_directory;
mod greeter;
mod initramfs;
mod machine;
mod metadata;
mod network;
pub mod programs;
mod raw_disk;
mod rescue;
mod seed;
mod server;
mod sshd;
mod tool;
mod usage;
mod volume;

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use self::claim::{Claim, Slot, Record};
use self::server::{Server, Site};
use self::tool::{During, failure};
use self::volume::Volume;
use crate::hypervisor::{
    Effect, Event, Failure, Format, Hypervisor, ImageSource, InboundRule, NewServer, Rescue, Usage,
};
use crate::options::{ContainerEngine, Sshd};

pub use self::cleanup::{CleanReport, clean};
pub use self::tool::check_host;

/// Last octets of servers' addresses.
const HOSTS: std::ops::RangeInclusive<u8> = 10..=250;

/// Servers as real machines.
#[derive(Debug)]
pub struct Nspawn {
    claim: Claim,
    site: Arc<Site>,
    /// Base of new servers' disks.
    base: Mutex<std::path::PathBuf>,
    sshd: Sshd,
    servers: Arc<Mutex<BTreeMap<u64, Arc<Server>>>>,
    /// Last octets in use, including servers that are not created yet.
    hosts: Mutex<BTreeMap<u64, u8>>,
    /// Where each volume is attached.
    volumes: Mutex<BTreeMap<u64, Option<u64>>>,
    /// Held while the table is built from the records of all servers.
    firewall: tokio::sync::Mutex<()>,
    events: Mutex<Option<mpsc::UnboundedReceiver<Event>>>,
    /// The metadata service, the DHCP server and the greeter.
    services: tokio::task::JoinHandle<((), (), ())>,
    _state_lock: File,
}

impl Nspawn {
    /// Claims a slot on this host for a local cloud whose disks are in `state`. Builds the base
    /// system first if this host has none.
    pub async fn start(state: &Path, api_port: u16, sshd: Sshd) -> Result<Nspawn, Failure> {
        tool::check_host()?;
        std::fs::create_dir_all(state).during(format!("make {}", state.display()))?;
        let state = std::fs::canonicalize(state).during(format!("find {}", state.display()))?;
        state_directory::check(&state)?;
        let state_lock = state_directory::lock(&state)?;
        let base = base::ensure(&base::cache(), &|step| tracing::info!("{step}")).await?;

        let starter = machine::Starter::new()?;
        let claim = state_directory::claim_slot(&state)?;
        cleanup::sweep(&claim, &mut CleanReport::default()).await?;
        claim.write(&Record { state: state.clone(), process: std::process::id(), api_port })?;
        let furnished = async {
            network::make(claim.slot).await?;
            firewall::apply(claim.slot, &[]).await?;
            Ok((
                metadata::listen(claim.slot)?,
                dhcp::listen(claim.slot)?,
                greeter::listen(claim.slot).await,
            ))
        };
        let (listeners, dhcp, greeter) = match furnished.await {
            Ok(sockets) => sockets,
            Err(failure) => {
                cleanup::sweep(&claim, &mut CleanReport::default()).await?;
                return Err(failure);
            }
        };

        // Unbounded: one small event per death of a machine.
        let (events, received) = mpsc::unbounded_channel();
        let site = Arc::new(Site { slot: claim.slot, state: state.clone(), starter, events });
        let (servers, hosts, volumes) = state_directory::found(&site);
        let servers = Arc::new(Mutex::new(servers));
        let metadata = metadata::serve(listeners, lookup(claim.slot, servers.clone()));
        let dhcp =
            dhcp::serve(dhcp, claim.slot.gateway(), addresses(claim.slot, servers.clone()));
        let services =
            tokio::spawn(async { tokio::join!(metadata, dhcp, greeter::serve(greeter)) });
        let nspawn = Nspawn {
            claim,
            site,
            base: Mutex::new(base),
            sshd,
            servers,
            hosts: Mutex::new(hosts),
            volumes: Mutex::new(volumes),
            firewall: tokio::sync::Mutex::default(),
            events: Mutex::new(Some(received)),
            services,
            _state_lock: state_lock,
        };
        nspawn.apply_firewalls(None).await?;
        Ok(nspawn)
    }

    /// This host's address on the machines' network.
    pub fn gateway(&self) -> Ipv4Addr {
        self.claim.slot.gateway()
    }

    fn server(&self, id: u64) -> Result<Arc<Server>, Failure> {
        locked(&self.servers)
            .get(&id)
            .cloned()
            .ok_or_else(|| failure(format!("find server {id}"), "it does not exist"))
    }

    fn volume(&self, id: u64) -> Result<Volume, Failure> {
        match locked(&self.volumes).get(&id) {
            Some(_) => Ok(Volume::of(&self.site.state, id)),
            None => Err(failure(format!("find volume {id}"), "it does not exist")),
        }
    }

    /// Where a volume is attached, if it is.
    fn attached_to(&self, volume: u64) -> Option<Arc<Server>> {
        let server = (*locked(&self.volumes).get(&volume)?)?;
        locked(&self.servers).get(&server).cloned()
    }

    fn note_attachment(&self, volume: u64, server: Option<u64>) -> Result<(), Failure> {
        Volume::of(&self.site.state, volume).write(&volume::Record { server })?;
        locked(&self.volumes).insert(volume, server);
        Ok(())
    }

    /// Rebuilds the table, optionally with other rules for one server; those are saved only if
    /// they can be applied.
    async fn apply_firewalls(
        &self,
        change: Option<(u64, Option<Vec<disk::Rule>>)>,
    ) -> Result<(), Failure> {
        let _guard = self.firewall.lock().await;
        let servers: Vec<Arc<Server>> = locked(&self.servers).values().cloned().collect();
        let mut guarded = Vec::new();
        for server in &servers {
            let mut record = server.record();
            if let Some((id, rules)) = &change
                && *id == record.id
            {
                record.firewall = rules.clone();
            }
            if let Some(rules) = record.firewall {
                guarded.push((self.claim.slot.address(record.host), rules));
            }
        }
        firewall::apply(self.claim.slot, &guarded).await?;
        match change {
            Some((id, rules)) => self.server(id)?.remember(|record| record.firewall = rules),
            None => Ok(()),
        }
    }

    async fn make_server(&self, new: NewServer) -> Result<(), Failure> {
        let host = self.reserve_host(new.id)?;
        let disk = disk::Disk::of(&self.site.state, new.id);
        let base = locked(&self.base).clone();
        let base = disk.make(&self.site.state, &base, &new.image).await?;
        if new.image == ImageSource::Base && self.sshd == Sshd::Service {
            sshd::start_at_boot(&disk.upper())?;
        }
        let record = disk::Record {
            id: new.id,
            name: new.name,
            user_data: new.user_data,
            ssh_keys: new.ssh_keys,
            availability_zone: new.availability_zone,
            region: new.region,
            host,
            disk: new.disk,
            base,
            firewall: None,
        };
        disk.write(&record)?;
        locked(&self.servers).insert(new.id, Arc::new(Server::new(self.site.clone(), record, &[])));
        Ok(())
    }

    fn reserve_host(&self, server: u64) -> Result<u8, Failure> {
        let mut hosts = locked(&self.hosts);
        if let Some(host) = hosts.get(&server) {
            return Ok(*host);
        }
        let taken: Vec<u8> = hosts.values().copied().collect();
        let free = HOSTS.into_iter().find(|host| !taken.contains(host));
        let host = free.ok_or_else(|| {
            failure("find an address for the server", "all addresses of this local cloud are in use")
        })?;
        hosts.insert(server, host);
        Ok(host)
    }

    async fn remove_server(&self, id: u64) -> Result<(), Failure> {
        let server = locked(&self.servers).get(&id).cloned();
        if let Some(server) = server {
            server.power_off().await?;
            let volumes: Vec<u64> = locked(&self.volumes)
                .iter()
                .filter(|(_, at)| **at == Some(id))
                .map(|(volume, _)| *volume)
                .collect();
            for volume in volumes {
                self.note_attachment(volume, None)?;
            }
            locked(&self.servers).remove(&id);
            self.apply_firewalls(None).await?;
        }
        disk::Disk::of(&self.site.state, id).remove().await?;
        locked(&self.hosts).remove(&id);
        Ok(())
    }
}

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
            self.claim.forget();
            ended.into_iter().collect()
        })
    }
}

impl Drop for Nspawn {
    fn drop(&mut self) {
        self.services.abort();
    }
}

/// A lock that is never held across an await; its data is consistent even if a holder panicked.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lookup(slot: Slot, servers: Arc<Mutex<BTreeMap<u64, Arc<Server>>>>) -> metadata::Lookup {
    Arc::new(move |peer| {
        let servers = locked(&servers);
        let asks = |server: &Server| match peer {
            IpAddr::V4(peer) => slot.address(server.record().host) == peer,
            IpAddr::V6(peer) => server.mac().is_some_and(|mac| network::link_local(mac) == peer),
        };
        let record = servers.values().find(|server| asks(server))?.record();
        Some(metadata::Facts {
            id: record.id,
            name: record.name,
            address: slot.address(record.host),
            availability_zone: record.availability_zone,
            region: record.region,
            public_keys: record.ssh_keys,
            user_data: record.user_data,
        })
    })
}

fn addresses(slot: Slot, servers: Arc<Mutex<BTreeMap<u64, Arc<Server>>>>) -> dhcp::Lookup {
    Arc::new(move |mac| {
        let servers = locked(&servers);
        let asks = servers.values().find(|server| server.mac() == Some(mac))?;
        Some(slot.address(asks.record().host))
    })
}
