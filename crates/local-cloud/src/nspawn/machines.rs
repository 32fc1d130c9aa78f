//! The machines of one local cloud: starts their services, and keeps servers, addresses and
//! attachments. `effects` carries out what the API orders.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use super::claim::{Claim, Record, Slot};
use super::cleanup::{self, CleanReport};
use super::server::{Server, Site};
use super::tool::{During, failure};
use super::volume::{self, Volume};
use super::{
    base, dhcp, disk, emulation, firewall, greeter, machine, metadata, network, programs, sshd,
    state_directory,
};
use crate::hypervisor::{Event, Failure, ImageSource, NewServer};
use crate::options::Sshd;

/// Last octets of servers' addresses.
const HOSTS: std::ops::RangeInclusive<u8> = 10..=250;

/// Servers as real machines.
#[derive(Debug)]
pub struct Nspawn {
    pub(super) claim: Claim,
    pub(super) site: Arc<Site>,
    /// Base of new servers' disks.
    pub(super) base: Mutex<PathBuf>,
    sshd: Sshd,
    /// Whether new machines of arm types are emulated.
    emulates_arm64: AtomicBool,
    pub(super) servers: Arc<Mutex<BTreeMap<u64, Arc<Server>>>>,
    /// Last octets in use, including servers that are not created yet.
    hosts: Mutex<BTreeMap<u64, u8>>,
    /// Where each volume is attached.
    pub(super) volumes: Mutex<BTreeMap<u64, Option<u64>>>,
    /// Held while the table is built from the records of all servers.
    firewall: tokio::sync::Mutex<()>,
    pub(super) events: Mutex<Option<mpsc::UnboundedReceiver<Event>>>,
    /// The metadata service, the DHCP server and the greeter.
    pub(super) services: tokio::task::JoinHandle<((), (), ())>,
    _state_lock: File,
}

impl Nspawn {
    /// Claims a slot on this host for a local cloud whose disks are in `state`. Builds the base
    /// system first if this host has none.
    pub async fn start(state: &Path, sshd: Sshd) -> Result<Nspawn, Failure> {
        programs::check_host()?;
        std::fs::create_dir_all(state).during(format!("make {}", state.display()))?;
        let state = std::fs::canonicalize(state).during(format!("find {}", state.display()))?;
        state_directory::check(&state)?;
        let state_lock = state_directory::lock(&state)?;
        let base = base::ensure(&base::cache(), &|step| tracing::info!("{step}")).await?;

        let starter = machine::Starter::new()?;
        let claim = state_directory::claim_slot(&state)?;
        cleanup::sweep(&claim, &mut CleanReport::default()).await?;
        claim.write(&Record { state: state.clone(), process: std::process::id() })?;
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
        let dhcp = dhcp::serve(dhcp, claim.slot.gateway(), addresses(claim.slot, servers.clone()));
        let services =
            tokio::spawn(async { tokio::join!(metadata, dhcp, greeter::serve(greeter)) });
        let nspawn = Nspawn {
            claim,
            site,
            base: Mutex::new(base),
            sshd,
            emulates_arm64: AtomicBool::new(false),
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

    /// From now on new machines of arm types run arm64 programs.
    pub async fn emulate_arm64(&self) -> Result<(), Failure> {
        emulation::register(self.claim.slot).await?;
        self.emulates_arm64.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// This host's address on the machines' network.
    pub fn gateway(&self) -> Ipv4Addr {
        self.claim.slot.gateway()
    }

    pub(super) fn server(&self, id: u64) -> Result<Arc<Server>, Failure> {
        locked(&self.servers)
            .get(&id)
            .cloned()
            .ok_or_else(|| failure(format!("find server {id}"), "it does not exist"))
    }

    pub(super) fn volume(&self, id: u64) -> Result<Volume, Failure> {
        match locked(&self.volumes).get(&id) {
            Some(_) => Ok(Volume::of(&self.site.state, id)),
            None => Err(failure(format!("find volume {id}"), "it does not exist")),
        }
    }

    /// Where a volume is attached, if it is.
    pub(super) fn attached_to(&self, volume: u64) -> Option<Arc<Server>> {
        let server = (*locked(&self.volumes).get(&volume)?)?;
        locked(&self.servers).get(&server).cloned()
    }

    pub(super) fn note_attachment(&self, volume: u64, server: Option<u64>) -> Result<(), Failure> {
        Volume::of(&self.site.state, volume).write(&volume::Record { server })?;
        locked(&self.volumes).insert(volume, server);
        Ok(())
    }

    /// Rebuilds the table, optionally with other rules for one server; those are saved only if
    /// they can be applied.
    pub(super) async fn apply_firewalls(
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

    pub(super) async fn make_server(&self, new: NewServer) -> Result<(), Failure> {
        let host = self.reserve_host(new.id)?;
        let disk = disk::Disk::of(&self.site.state, new.id);
        let base = locked(&self.base).clone();
        let base = disk.make(&self.site.state, &base, &new.image).await?;
        if new.image == ImageSource::Base && self.sshd == Sshd::Service {
            sshd::start_at_boot(&disk.upper())?;
        }
        let emulated = new.architecture == "arm" && self.emulates_arm64.load(Ordering::Relaxed);
        if emulated {
            emulation::pretend(&disk.upper())?;
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
            emulated,
            base,
            firewall: None,
        };
        disk.write(&record)?;
        locked(&self.servers).insert(new.id, Arc::new(Server::new(self.site.clone(), record, &[])));
        Ok(())
    }

    pub(super) fn reserve_host(&self, server: u64) -> Result<u8, Failure> {
        let mut hosts = locked(&self.hosts);
        if let Some(host) = hosts.get(&server) {
            return Ok(*host);
        }
        let taken: Vec<u8> = hosts.values().copied().collect();
        let free = HOSTS.into_iter().find(|host| !taken.contains(host));
        let host = free.ok_or_else(|| {
            failure(
                "find an address for the server",
                "all addresses of this local cloud are in use",
            )
        })?;
        hosts.insert(server, host);
        Ok(host)
    }

    pub(super) async fn remove_server(&self, id: u64) -> Result<(), Failure> {
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

impl Drop for Nspawn {
    fn drop(&mut self) {
        self.services.abort();
    }
}

/// A lock that is never held across an await; its data is consistent even if a holder panicked.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
