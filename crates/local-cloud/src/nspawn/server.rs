//! One server over its life: powered on and off, rebooting by itself, with volumes attached and
//! detached. All changes of its power or its volumes take one lock here, because a machine also
//! acts by itself while the API's locks are open.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures::future::BoxFuture;
use tokio::process::Child;
use tokio::sync::{mpsc, watch};

use super::claim::Slot;
use super::disk::{self, Disk};
use super::machine::{self, Boot, Booted, Root, Starter};
use super::power::{Attached, Power, Running};
use super::tool::failure;
use super::volume::{Loop, Volume};
use super::{device, emulation, initramfs, network, rescue, seed, usage};
use crate::hypervisor::{Event, Failure, Rescue, Usage};

/// At Hetzner `/dev/sda` is the disk itself, and a server takes 16 volumes.
const NODES: std::ops::RangeInclusive<char> = 'b'..='q';

/// Node and serial of the disk that is shown in place of a volume; the serial belongs to no
/// volume.
const WRONG_DISK: (char, u64) = ('z', 1);

/// What all servers of a local cloud share.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) slot: Slot,
    pub(super) state: PathBuf,
    pub(super) starter: Starter,
    pub(super) events: mpsc::UnboundedSender<Event>,
}

#[derive(Debug)]
pub(super) struct Server {
    record: Mutex<disk::Record>,
    pub(super) disk: Disk,
    site: Arc<Site>,
    /// The rescue system that boots next instead of the disk.
    rescue: Mutex<Option<Rescue>>,
    /// Hardware address of its network interface, since its first start.
    mac: Mutex<Option<[u8; 6]>>,
    power: tokio::sync::Mutex<Power>,
}

impl Server {
    /// A server that is off, with its volumes.
    pub(super) fn new(site: Arc<Site>, record: disk::Record, volumes: &[u64]) -> Server {
        let disk = Disk::of(&site.state, record.id);
        let volumes = volumes
            .iter()
            .zip(NODES)
            .map(|(volume, node)| (*volume, Attached { node, device: None }))
            .collect();
        let power = tokio::sync::Mutex::new(Power { volumes, ..Power::default() });
        Server {
            record: Mutex::new(record),
            disk,
            site,
            rescue: Mutex::default(),
            mac: Mutex::default(),
            power,
        }
    }

    /// Its saved record.
    pub(super) fn record(&self) -> disk::Record {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes its saved record.
    pub(super) fn remember(&self, change: impl FnOnce(&mut disk::Record)) -> Result<(), Failure> {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut record);
        self.disk.write(&record)
    }

    /// Hardware address of its network interface, once it has been started.
    pub(super) fn mac(&self) -> Option<[u8; 6]> {
        *self.mac.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rescue system to boot next instead of the disk, once.
    pub(super) fn set_rescue(&self, rescue: Option<Rescue>) {
        *self.rescue.lock().unwrap_or_else(PoisonError::into_inner) = rescue;
    }

    /// Boots it unless it runs.
    pub(super) async fn start(self: &Arc<Self>) -> Result<(), Failure> {
        let mut power = self.power.lock().await;
        if power.running.is_some() {
            return Ok(());
        }
        self.boot(&mut power).await
    }

    /// What it has used; `None` while it is off or changing power.
    pub(super) fn usage(&self) -> Option<Usage> {
        let power = self.power.try_lock().ok()?;
        let running = power.running.as_ref().filter(|running| running.machine.is_some())?;
        Some(usage::of(&running.name, running.link.as_ref().map(|link| link.name.as_str())))
    }

    /// Asks its system to power off.
    pub(super) async fn shutdown(&self) -> Result<(), Failure> {
        match &self.power.lock().await.running {
            Some(Running { machine: Some(machine), .. }) => machine.press_power_button(),
            _ => Ok(()),
        }
    }

    /// Cuts the power: data that it had not written to its volumes is lost.
    pub(super) async fn power_off(&self) -> Result<(), Failure> {
        let mut power = self.power.lock().await;
        let loops: Vec<u32> = power
            .volumes
            .values()
            .filter_map(|volume| volume.device.as_ref())
            .map(|device| device.number)
            .collect();
        let mounts = power
            .running
            .as_ref()
            .and_then(Running::init)
            .map(|init| device::hold_mounts(init, &loops))
            .unwrap_or_default();
        let off = power.off().await;
        device::cut_off(mounts).await;
        off
    }

    /// Stops it at once without losing data: for the end of the local cloud, which is no power
    /// cut.
    pub(super) async fn end(&self) -> Result<(), Failure> {
        self.power.lock().await.off().await
    }

    /// Attaches a volume.
    pub(super) async fn attach(&self, volume: &Volume) -> Result<(), Failure> {
        let mut power = self.power.lock().await;
        let taken: Vec<char> = power.volumes.values().map(|volume| volume.node).collect();
        let init = power.running.as_ref().and_then(Running::init);
        let free = NODES.into_iter().find(|node| !taken.contains(node));
        let attached = match (power.volumes.entry(volume.id), free) {
            (std::collections::btree_map::Entry::Occupied(entry), _) => entry.into_mut(),
            (std::collections::btree_map::Entry::Vacant(entry), Some(node)) => {
                entry.insert(Attached { node, device: None })
            }
            _ => {
                return Err(failure(
                    "attach the volume",
                    "the server has the maximum number of volumes",
                ));
            }
        };
        let plugged = match init {
            Some(init) if attached.device.is_none() => attached.plug(init, volume).await,
            _ => Ok(()),
        };
        if plugged.is_err() {
            power.volumes.remove(&volume.id);
        }
        plugged
    }

    /// Mounts a volume in it, if it is on.
    pub(super) async fn mount(&self, volume: u64) -> Result<(), Failure> {
        match self.power.lock().await.running.as_ref().and_then(Running::init) {
            Some(init) => device::automount(init, volume).await,
            None => Ok(()),
        }
    }

    /// Shows a blank disk under the name of a volume.
    pub(super) async fn show_wrong_disk(&self, volume: u64) -> Result<(), Failure> {
        let mut power = self.power.lock().await;
        let Some(init) = power.running.as_ref().and_then(Running::init) else { return Ok(()) };
        let (node, serial) = WRONG_DISK;
        let bytes = Volume::of(&self.site.state.join("strangers"), self.record().id);
        bytes.make(1, None).await?;
        let device = bytes.open().await?;
        device::plug_as(init, node, &device, serial, volume).await?;
        power.wrong_disk = Some(device);
        Ok(())
    }

    /// Detaches a volume.
    pub(super) async fn detach(&self, volume: u64) -> Result<(), Failure> {
        let mut power = self.power.lock().await;
        let init = power.running.as_ref().and_then(Running::init);
        let Some(attached) = power.volumes.remove(&volume) else { return Ok(()) };
        match (init, &attached.device) {
            (Some(init), Some(device)) => device::unplug(init, attached.node, device, volume).await,
            _ => Ok(()),
        }
    }

    /// Shows the new size of a volume.
    pub(super) async fn refresh(&self, volume: u64) -> Result<(), Failure> {
        match self
            .power
            .lock()
            .await
            .volumes
            .get(&volume)
            .and_then(|attached| attached.device.as_ref())
        {
            Some(device) => device.refresh().await,
            None => Ok(()),
        }
    }

    async fn boot(self: &Arc<Self>, power: &mut Power) -> Result<(), Failure> {
        let (record, slot) = (self.record(), self.site.slot);
        seed::write(&self.disk, &record)?;
        let (root, disk) = self.root(&record).await?;
        power.boots += 1;
        let (number, (ended, gone)) = (power.boots, watch::channel(false));
        let name = format!("{}{}", slot.machine_prefix(), record.id);
        let mut running =
            Running { machine: None, boot: number, gone, name: name.clone(), link: None, disk };
        let Some(root) = root else {
            power.running = Some(running);
            return Ok(());
        };
        let shows_disk = matches!(root, Root::Rescue { .. });
        let boot = Boot {
            name,
            root,
            disk: self.disk.clone(),
            bridge: slot.bridge(),
            resolver: network::host_routes(),
        };
        let (machine, child) = match self.site.starter.boot(&boot).await? {
            Booted::Runs(machine, child) => (machine, child),
            Booted::Nothing => {
                running.disk = None;
                power.running = Some(running);
                return Ok(());
            }
        };
        let init = machine.init;
        running.machine = Some(machine);
        power.running = Some(running);
        tokio::spawn(watched(Arc::downgrade(self), child, number, ended));
        let furnished = self.furnish(power, init, shows_disk).await;
        if furnished.is_err() {
            power.off().await?;
        }
        furnished
    }

    /// Connects the network and the disks as soon as the machine's init runs.
    async fn furnish(&self, power: &mut Power, init: i32, shows_disk: bool) -> Result<(), Failure> {
        let link = network::isolate(init).await?;
        // Before it asks for an address.
        *self.mac.lock().unwrap_or_else(PoisonError::into_inner) = Some(link.mac);
        initramfs::restrict_run(init).await?;
        if let Some(running) = &mut power.running {
            running.link = Some(link);
            match &running.disk {
                Some(disk) if shows_disk => device::plug_disk(init, disk).await?,
                // The mount keeps the device from here.
                _ => running.disk = None,
            }
        }
        for (id, attached) in &mut power.volumes {
            attached.plug(init, &Volume::of(&self.site.state, *id)).await?;
        }
        Ok(())
    }

    /// What boots next, with the device that it needs; `None` if the disk has no bootable system.
    async fn root(&self, record: &disk::Record) -> Result<(Option<Root>, Option<Loop>), Failure> {
        let rescue = self.rescue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (raw, base) = (self.disk.raw(), record.base.clone());
        if let Some(rescue) = rescue.filter(|rescue| jiff::Timestamp::now() < rescue.until) {
            let layers = rescue::make(&self.disk.rescue(), &rescue.ssh_keys)?;
            if record.emulated {
                emulation::pretend(&layers.upper)?;
            }
            raw.provide(record.disk)?;
            return Ok((Some(Root::Rescue { base, layers }), Some(raw.open().await?)));
        }
        if !raw.is_written() {
            return Ok((Some(Root::Disk { base }), None));
        }
        raw.provide(record.disk)?;
        let device = raw.open_root().await?;
        Ok((device.as_ref().map(|device| Root::Device(device.path.clone())), device))
    }

    /// Handles the end of a machine that was not powered off: it starts again if its system asked
    /// for a reboot.
    fn ended(self: Arc<Self>, boot: u64, code: Option<i32>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut power = self.power.lock().await;
            if power.running.as_ref().is_none_or(|running| running.boot != boot) {
                return;
            }
            power.forget_machine().await;
            let id = self.record().id;
            if code == Some(machine::REBOOT) {
                let rescued = self.rescue.lock().unwrap_or_else(PoisonError::into_inner).is_some();
                match self.boot(&mut power).await {
                    Ok(()) => {
                        if rescued {
                            let _ = self.site.events.send(Event::Rescued(id));
                        }
                        return;
                    }
                    Err(failure) => {
                        tracing::warn!(server = id, %failure, "the server does not reboot")
                    }
                }
            }
            // The receiver is gone when the local cloud closes.
            let _ = self.site.events.send(Event::Stopped(id));
        })
    }
}

async fn watched(server: Weak<Server>, mut child: Child, boot: u64, ended: watch::Sender<bool>) {
    let code = child.wait().await.ok().and_then(|status| status.code());
    ended.send_replace(true);
    if let Some(server) = server.upgrade() {
        server.ended(boot, code).await;
    }
}
