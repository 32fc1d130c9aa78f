//! Where machines come from. Two kinds: servers of a cloud project that we make and delete, and a
//! host of the person's own that we only connect to.

use std::net::IpAddr;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tunnel::Tunnel;

use crate::bootstrap::RUN_DIRECTORY;
use crate::error::MachineError;
use crate::observed::{ServerStatus, is_young};

/// A stage on the way to a machine, for progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Asking the cloud what there is.
    LookUp,
    /// Waiting for something to pass.
    Wait,
    /// Removing what cannot be used.
    CleanUp,
    /// Making key, firewall, volume and server.
    Create,
    /// The server exists and does not answer yet.
    Boot,
    /// Logging in and starting the agent.
    Connect,
    /// The engine comes up.
    Docker,
    /// It answers; what ran before is started.
    Resume,
}

impl Phase {
    /// For a person.
    pub fn words(&self) -> &'static str {
        match self {
            Phase::LookUp => "looking up what there is",
            Phase::Wait => "waiting for the cloud",
            Phase::CleanUp => "removing a machine that cannot be used",
            Phase::Create => "creating the server",
            Phase::Boot => "booting",
            Phase::Connect => "connecting",
            Phase::Docker => "starting docker",
            Phase::Resume => "starting what ran before",
        }
    }
}

/// What a provider reports on the way to a machine, as it happens: the way may be cut off at any
/// moment, and what was created until then is billed all the same.
pub trait Observer: Send + Sync {
    /// A stage begins, or goes on with another detail such as `cx23 in fsn1`.
    fn stage(&self, phase: Phase, detail: Option<String>);
    /// Why no further server may be created, in words for a user. Asked before each.
    fn refusal(&self) -> Option<String> {
        None
    }
    /// A server was created: it is billed from here on, whatever becomes of it.
    fn created(&self, _server: &Summary) {}
    /// The wake has deleted a server; the reason is in words for a user.
    fn deleted(&self, _id: u64, _because: &str) {}
    /// Whether an order of the user ends the wake. Asked before each step that costs money.
    fn is_called_off(&self) -> bool {
        false
    }
    /// Resolves when an order of the user ends the wake; never without one.
    fn called_off(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// A machine, as a person wants to see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The cloud's id; `None` for a host of the person's own.
    pub id: Option<u64>,
    /// Its name.
    pub name: String,
    /// Where it answers.
    pub address: Option<IpAddr>,
    /// What it does.
    pub status: ServerStatus,
    /// The cloud works on it: its status may be passing.
    #[serde(default)]
    pub busy: bool,
    /// Type such as `cx23`.
    pub server_type: Option<String>,
    /// Location such as `fsn1`.
    pub location: Option<String>,
    /// Seconds since 1970 when it was made.
    pub created: Option<i64>,
    /// Net price of a started hour, all parts of the machine together.
    pub price_hourly: Option<f64>,
    /// The most that all parts cost in a calendar month, net.
    #[serde(default)]
    pub price_monthly: Option<f64>,
    /// Of the prices, as an ISO 4217 code. `None` where the price list could not be read: the
    /// prices are those of the server alone then, without its address.
    #[serde(default)]
    pub currency: Option<String>,
    /// Time is billed in units of so many seconds, counted from creation, each one whole once it
    /// has begun; `None` where time costs nothing.
    #[serde(default)]
    pub billed_unit_seconds: Option<u64>,
    /// The volume with its data.
    pub volume: Option<VolumeSummary>,
    /// What it was made from.
    #[serde(default)]
    pub image: Option<UsedImage>,
}

/// The image of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedImage {
    /// The cloud's id.
    pub id: u64,
    /// Such as `docker-ce` or `snapshot 4711`.
    pub name: String,
    /// Why this one, where it was chosen.
    pub because: Option<String>,
}

/// A volume, as a person wants to see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VolumeSummary {
    /// The cloud's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Size in GB.
    pub size: u64,
    /// Its location.
    pub location: String,
    /// The server that it is attached to.
    pub server: Option<u64>,
    /// Net price of a month.
    pub price_monthly: Option<f64>,
    /// Seconds since 1970 when it was made, where the answer of the cloud says so.
    #[serde(default)]
    pub created: Option<i64>,
}

/// A machine that answers.
#[derive(Debug, Clone)]
pub struct Ready {
    /// The way to it.
    pub tunnel: Tunnel,
    /// What it is.
    pub summary: Summary,
}

/// What came of an attempt to reach a machine that exists.
#[derive(Debug)]
pub enum Joined {
    /// It answers.
    Ready(Box<Ready>),
    /// There is none.
    Absent,
}

/// When a machine may be taken down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Not while another client works on it.
    UnlessUsed,
    /// The person said so.
    Given,
}

/// What became of a request to destroy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destroyed {
    /// The server is gone; these steps failed on the way.
    Gone {
        /// In words for a person.
        troubles: Vec<String>,
    },
    /// There was none.
    Absent,
    /// Another client works on it.
    InUse {
        /// In words for a person.
        reason: String,
    },
    /// A host of the person's own: we only let go of it.
    NotOurs,
}

/// What this client says of itself in each sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Random for each run of a daemon.
    pub client: String,
    /// How long the machine lives without a sign of life.
    pub length: Duration,
    /// How long this client may be idle before it gives the machine up.
    pub idle_limit: Duration,
}

impl Lease {
    /// A sign of life.
    pub fn heartbeat(&self, idle: Duration) -> agent_proto::Heartbeat {
        let seconds = |duration: Duration| u32::try_from(duration.as_secs()).unwrap_or(u32::MAX);
        agent_proto::Heartbeat {
            client: self.client.clone(),
            lease_seconds: seconds(self.length),
            idle_seconds: seconds(idle),
            idle_limit_seconds: seconds(self.idle_limit),
        }
    }
}

impl Summary {
    /// Off for good, as far as the cloud tells: a server on its first way up is off for a moment,
    /// too.
    pub fn is_off_for_good(&self, now: i64) -> bool {
        let is_new = self.created.is_some_and(|created| is_young(created, now));
        self.status == ServerStatus::Off && !self.busy && !is_new
    }
}

impl Lease {
    /// Renews the lease where no agent does: a shell command that writes its end down for the
    /// machine's dead-man.
    pub fn renewal(&self) -> String {
        let end = format!("{RUN_DIRECTORY}/lease");
        let seconds = self.length.as_secs();
        format!(
            "read -r up rest </proc/uptime && echo $((${{up%.*}} + {seconds})) >{end}.new && \
                mv {end}.new {end}"
        )
    }
}

/// Where machines come from.
pub trait Provider: Send + Sync + 'static {
    /// Whether a machine exists now; nothing is made.
    fn find(&self) -> BoxFuture<'_, Result<Option<Summary>, MachineError>>;
    /// The way to a machine whose engine answers, made if need be.
    fn ensure<'a>(
        &'a self,
        observer: &'a dyn Observer,
    ) -> BoxFuture<'a, Result<Ready, MachineError>>;
    /// The way to a machine that exists, for when nobody waits for one: none is made, and none is
    /// given up because it is silent to us. One attempt, which takes about `patience` if nothing
    /// answers.
    fn join(&self, patience: Duration) -> BoxFuture<'_, Result<Joined, MachineError>>;
    /// The machine with its prices, where those could not be read as it came up; `None` while they
    /// still cannot.
    fn priced<'a>(&'a self, machine: &'a Summary) -> BoxFuture<'a, Option<Summary>>;
    /// Seconds by which this computer's clock is ahead of the cloud's; negative where it is behind,
    /// `None` where it is not known.
    fn clock_offset(&self) -> Option<i64> {
        None
    }
    /// What may follow once it is in use: nobody waits for it.
    fn settle<'a>(&'a self, ready: &'a Ready) -> BoxFuture<'a, Result<(), MachineError>>;
    /// What goes on for as long as it is used from here, such as letting in other computers of its
    /// owner. Ends when it is dropped.
    fn attend<'a>(&'a self, _ready: &'a Ready) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }
    /// Takes the machine down in order; its volume stays.
    fn destroy<'a>(
        &'a self,
        tunnel: Option<&'a Tunnel>,
        consent: Consent,
    ) -> BoxFuture<'a, Result<Destroyed, MachineError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_renewal_without_agent_writes_what_the_dead_man_reads() {
        let folder = std::env::temp_dir().join(format!("dockbridge-lease-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let lease = Lease {
            client: "x".into(),
            length: Duration::from_secs(300),
            idle_limit: Duration::ZERO,
        };
        let command = lease.renewal().replace(RUN_DIRECTORY, folder.to_str().unwrap());
        let uptime = || {
            std::fs::read_to_string("/proc/uptime")
                .unwrap()
                .split('.')
                .next()
                .unwrap()
                .parse::<u64>()
                .unwrap()
        };
        let before = uptime();
        assert!(
            std::process::Command::new("sh").args(["-c", &command]).status().unwrap().success()
        );
        let end: u64 =
            std::fs::read_to_string(folder.join("lease")).unwrap().trim().parse().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!((before + 300..=uptime() + 300).contains(&end), "{end}");
    }
}
