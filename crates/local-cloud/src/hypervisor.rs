//! Runs the servers of the local cloud. The API above knows ids, states and locks; this trait
//! stands behind it, with two implementations: `nspawn` (real machines) and `none` (only the API).

use std::net::Ipv4Addr;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::options::ContainerEngine;

/// A server to create. Its disk is a fresh copy of the image.
#[derive(Debug, Clone)]
pub struct NewServer {
    /// The API's id.
    pub id: u64,
    /// Host name.
    pub name: String,
    /// Image of the disk.
    pub image: ImageSource,
    /// Passed to cloud-init unchanged.
    pub user_data: Option<String>,
    /// Public keys for root.
    pub ssh_keys: Vec<String>,
    /// As the metadata service reports it, such as `fsn1-dc14`.
    pub availability_zone: String,
    /// Network zone, such as `eu-central`.
    pub region: String,
    /// Size of its disk in GB.
    pub disk: u64,
    /// As the API calls it: `x86` or `arm`.
    pub architecture: String,
}

/// The rescue system that boots next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescue {
    /// Public keys for its root.
    pub ssh_keys: Vec<String>,
    /// After this moment the disk boots as usual.
    pub until: Timestamp,
}

/// Source of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// The cached base system of this host with the current engine, regardless of the image's
    /// name.
    Base,
    /// A snapshot made by [`Hypervisor::snapshot`], by image id.
    Snapshot(u64),
}

/// File system of a new volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `ext4`, initialized lazily.
    Ext4,
    /// `xfs`.
    Xfs,
}

/// An inbound rule. Packets that no rule admits are dropped. Without a list (`None` in
/// [`Hypervisor::set_firewall`]) all packets are admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundRule {
    /// `tcp`, `udp`, `icmp`, `esp` or `gre`.
    pub protocol: String,
    /// First and last port, for tcp and udp.
    pub ports: Option<(u16, u16)>,
    /// Sources in CIDR form, IPv4 and IPv6.
    pub sources: Vec<String>,
}

/// A machine's own change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It powered off, crashed or was killed.
    Stopped(u64),
    /// It rebooted into the rescue system, which boots only once.
    Rescued(u64),
}

/// Resources used since boot. Each figure only grows while the machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// CPU time of all its processes on all cores.
    pub cpu: Duration,
    /// Bytes read from its disks.
    pub disk_read: u64,
    /// Bytes written to its disks.
    pub disk_written: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Packets received.
    pub packets_received: u64,
    /// Packets sent.
    pub packets_sent: u64,
}

/// An effect that failed, for the log and for the action's error.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct Failure {
    /// What was attempted.
    pub what: String,
    /// Why it failed.
    pub cause: String,
}

/// The result of an effect.
pub type Effect<'a, T = ()> = BoxFuture<'a, Result<T, Failure>>;

/// Carries out the API's promises. Every effect may be requested twice. Calls for one server or
/// volume never overlap (the API's locks ensure that); calls for different ones do.
pub trait Hypervisor: Send + Sync + 'static {
    /// Address of the server, fixed at creation because the API reports it at once. Addresses are
    /// reused after deletion.
    fn reserve_address(&self, server: u64) -> Result<Ipv4Addr, Failure>;
    /// The container engine of servers created from now on; a server from a snapshot has the
    /// snapshot's engine.
    fn set_engine(&self, engine: ContainerEngine) -> Effect<'_>;
    /// Creates the server's disk and data; the server is off.
    fn create(&self, server: NewServer) -> Effect<'_>;
    /// Boots it; done when it runs (its sshd may not answer yet).
    fn start(&self, server: u64) -> Effect<'_>;
    /// Boots the rescue system next, once, with the server's disk as `/dev/sda`; `None` cancels
    /// that.
    fn set_rescue(&self, server: u64, rescue: Option<Rescue>) -> Effect<'_>;
    /// Presses the power button; returns at once. [`Event::Stopped`] follows if the system obeys.
    fn shutdown(&self, server: u64) -> Effect<'_>;
    /// Cuts the power; done when it is off. No [`Event::Stopped`] follows.
    fn power_off(&self, server: u64) -> Effect<'_>;
    /// Cuts the power and removes disk, data and address.
    fn delete(&self, server: u64) -> Effect<'_>;
    /// Replaces the inbound rules; `None` removes the firewall.
    fn set_firewall(&self, server: u64, rules: Option<Vec<InboundRule>>) -> Effect<'_>;
    /// Creates a volume of `size` GiB.
    fn create_volume(&self, volume: u64, size: u64, format: Option<Format>) -> Effect<'_>;
    /// Grows a volume; an attached machine sees the new size at once.
    fn resize_volume(&self, volume: u64, size: u64) -> Effect<'_>;
    /// Deletes a volume and its data.
    fn delete_volume(&self, volume: u64) -> Effect<'_>;
    /// Attaches a volume to a server; if the server is off, the device appears at the next start.
    fn attach(&self, volume: u64, server: u64) -> Effect<'_>;
    /// Mounts an attached volume at `/mnt/HC_Volume_<id>` in the machine, now and at each boot,
    /// like a package in Hetzner's images. Does nothing if the server is off or the volume has no
    /// file system.
    fn mount(&self, volume: u64, server: u64) -> Effect<'_>;
    /// A fault: in a running machine, the volume's name points to another, blank disk until
    /// [`Hypervisor::attach`] corrects it.
    fn show_wrong_disk(&self, volume: u64, server: u64) -> Effect<'_>;
    /// Detaches it; the machine's device disappears even if it was mounted.
    fn detach(&self, volume: u64) -> Effect<'_>;
    /// Copies the disk of a server to an image; returns its size in bytes.
    fn snapshot(&self, server: u64, image: u64) -> Effect<'_, u64>;
    /// Deletes such a copy.
    fn delete_snapshot(&self, image: u64) -> Effect<'_>;
    /// What a server has used since it booted; `None` if that is unknown, for example while it is
    /// off. Reads kernel files, which takes milliseconds.
    fn usage(&self, _server: u64) -> Option<Usage> {
        None
    }
    /// Events of machines. The API takes the receiver once.
    fn events(&self) -> Option<mpsc::UnboundedReceiver<Event>>;
    /// Stops all machines and releases everything on the host; disks and volumes stay in the state
    /// directory.
    fn close(&self) -> Effect<'_>;
}
