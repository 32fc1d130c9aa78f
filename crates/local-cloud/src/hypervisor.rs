//! Where the servers of the local cloud really run. The API above knows ids, states and locks; what
//! stands behind them is this trait, with two implementations: `nspawn` (real machines) and `none`
//! (the API alone).

use std::net::Ipv4Addr;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::options::ContainerEngine;

/// A server to be made. Its disk is a fresh copy of the image.
#[derive(Debug, Clone)]
pub struct NewServer {
    /// The API's id.
    pub id: u64,
    /// Host name.
    pub name: String,
    /// Where the disk comes from.
    pub image: ImageSource,
    /// Given to cloud-init as it came.
    pub user_data: Option<String>,
    /// Public keys for root.
    pub ssh_keys: Vec<String>,
    /// As the metadata service tells it, such as `fsn1-dc14` and `eu-central`.
    pub availability_zone: String,
    /// The network zone.
    pub region: String,
    /// Size of its disk, in GB.
    pub disk: u64,
}

/// The rescue system, as it is to boot next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescue {
    /// Public keys for its root.
    pub ssh_keys: Vec<String>,
    /// After this moment the disk boots as usual.
    pub until: Timestamp,
}

/// Where a disk comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// The cached base system of this host with the engine of the moment, whatever the image is
    /// called.
    Base,
    /// A snapshot made by [`Hypervisor::snapshot`], by image id.
    Snapshot(u64),
}

/// A file system that a volume is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// ext4.
    Ext4,
    /// xfs.
    Xfs,
}

/// An inbound rule; what no rule admits is dropped. Without any list (`None` in
/// [`Hypervisor::set_firewall`]) all is admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundRule {
    /// `tcp`, `udp`, `icmp`, `esp` or `gre`.
    pub protocol: String,
    /// First and last port, for tcp and udp.
    pub ports: Option<(u16, u16)>,
    /// Sources in CIDR form, IPv4 and IPv6.
    pub sources: Vec<String>,
}

/// What a machine did by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It powered off, crashed or was killed: it is off now.
    Stopped(u64),
    /// It rebooted into the rescue system, which is used up by that.
    Rescued(u64),
}

/// What a running machine has used since it booted. Each figure grows while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Time of all its processes on all cores.
    pub cpu: Duration,
    /// Bytes that came from its disks.
    pub disk_read: u64,
    /// Bytes that went to its disks.
    pub disk_written: u64,
    /// Bytes that it received.
    pub received: u64,
    /// Bytes that it sent.
    pub sent: u64,
    /// Packets that it received.
    pub packets_received: u64,
    /// Packets that it sent.
    pub packets_sent: u64,
}

/// A real effect that failed, in words for the log and for the action's error.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct Failure {
    /// What was tried.
    pub what: String,
    /// What came of it.
    pub cause: String,
}

/// The result of an effect.
pub type Effect<'a, T = ()> = BoxFuture<'a, Result<T, Failure>>;

/// Carries out what the API promised. Every effect may be asked for twice. Calls for one server or
/// volume never overlap (the API's locks see to it), calls for different ones do.
pub trait Hypervisor: Send + Sync + 'static {
    /// The address that the server will have, fixed at creation so that the API can tell it at
    /// once. Addresses are reused after deletion.
    fn reserve_address(&self, server: u64) -> Result<Ipv4Addr, Failure>;
    /// What runs containers on servers that are made from now on; those from snapshots have what
    /// the snapshot has.
    fn set_engine(&self, engine: ContainerEngine) -> Effect<'_>;
    /// Makes the disk and the data of the server; it is off.
    fn create(&self, server: NewServer) -> Effect<'_>;
    /// Boots it; done when it runs (its sshd need not answer yet).
    fn start(&self, server: u64) -> Effect<'_>;
    /// Lets the rescue system boot next, once, with the server's disk as `/dev/sda`; `None` takes
    /// that back.
    fn set_rescue(&self, server: u64, rescue: Option<Rescue>) -> Effect<'_>;
    /// Presses the power button; returns at once, [`Event::Stopped`] follows if the system obeys.
    fn shutdown(&self, server: u64) -> Effect<'_>;
    /// Pulls the plug; done when it is off. No [`Event::Stopped`] follows.
    fn power_off(&self, server: u64) -> Effect<'_>;
    /// Pulls the plug and removes disk, data and address.
    fn delete(&self, server: u64) -> Effect<'_>;
    /// Replaces the inbound rules; `None` removes the firewall.
    fn set_firewall(&self, server: u64, rules: Option<Vec<InboundRule>>) -> Effect<'_>;
    /// Makes a volume of `size` GiB.
    fn create_volume(&self, volume: u64, size: u64, format: Option<Format>) -> Effect<'_>;
    /// Grows a volume; an attached machine sees the new size at once.
    fn resize_volume(&self, volume: u64, size: u64) -> Effect<'_>;
    /// Removes a volume and its bytes.
    fn delete_volume(&self, volume: u64) -> Effect<'_>;
    /// Gives a volume to a server; if that is off, the device is there at the next start.
    fn attach(&self, volume: u64, server: u64) -> Effect<'_>;
    /// Lets the machine mount an attached volume at `/mnt/HC_Volume_<id>`, now and at each boot, as
    /// a package in the original's images does. Nothing where the server is off or the volume has
    /// no file system.
    fn mount(&self, volume: u64, server: u64) -> Effect<'_>;
    /// A fault: the name of the volume leads to another, blank disk in a running machine until
    /// [`Hypervisor::attach`] puts it right.
    fn show_stranger(&self, volume: u64, server: u64) -> Effect<'_>;
    /// Takes it away; the machine's device is gone even if it was mounted.
    fn detach(&self, volume: u64) -> Effect<'_>;
    /// Copies the disk of a server to an image; returns its size in bytes.
    fn snapshot(&self, server: u64, image: u64) -> Effect<'_, u64>;
    /// Removes such a copy.
    fn delete_snapshot(&self, image: u64) -> Effect<'_>;
    /// What a server has used since it booted; `None` where that is unknown, as for one that is
    /// off. Reads files of the kernel, for milliseconds.
    fn usage(&self, _server: u64) -> Option<Usage> {
        None
    }
    /// What machines do by themselves. Taken once, by the API.
    fn events(&self) -> Option<mpsc::UnboundedReceiver<Event>>;
    /// Ends all machines and gives everything back to the host; disks and volumes stay in the state
    /// folder.
    fn close(&self) -> Effect<'_>;
}
