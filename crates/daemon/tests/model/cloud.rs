//! The cloud and what runs in it: a server with an agent and a dead man's switch, and a volume with
//! data. It keeps the truth that the ledgers are compared with.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use machine::{
    Actor, Candidate, Catalogue, ImageKind, ImageSetting, Observed, Offer, Problem, Server,
    ServerStatus, ServerType, Spec, Step, Summary, Volume, plan,
};
use tunnel::Fingerprint;

use crate::lease::Lease;

/// A client has to connect within this time.
pub const BOOT_LEASE: Duration = Duration::from_secs(600);
/// The dead man's switch acts this long after the agent should have.
pub const DEAD_MAN: Duration = Duration::from_secs(60);
/// The price of a started hour.
pub const HOURLY: f64 = 0.0088;

/// What runs on the server.
#[derive(Debug, Default)]
pub struct OnServer {
    pub booted: Duration,
    pub lease: Lease,
    /// The end of the lease as the dead man's switch reads it.
    pub written: Duration,
    pub agent_runs: bool,
    /// A client has used it, as its labels say.
    pub settled: bool,
}

/// A server from its creation to its end.
#[derive(Debug, Clone, Copy)]
pub struct Lifetime {
    pub created: Duration,
    pub ended: Option<Duration>,
    /// The computer that deleted it and lived on to report that, with the actor; `None` where
    /// neither did.
    pub deleted_by: Option<(usize, Actor)>,
}

impl Lifetime {
    /// The cloud's bill: started hours.
    pub fn billed_hours(&self, now: Duration) -> u64 {
        let lived = self.ended.unwrap_or(now) - self.created;
        lived.as_secs().max(1).div_ceil(3_600)
    }
}

#[derive(Debug)]
pub struct Cloud {
    pub observed: Observed,
    pub on_server: OnServer,
    /// Each server that ever existed.
    pub lifetimes: BTreeMap<u64, Lifetime>,
    /// How often data was written to the volume, as the volume has it.
    pub data: u64,
    /// How often it was written in truth.
    pub written: u64,
    next: u64,
    spec: Spec,
    catalogue: Catalogue,
    host_key: Fingerprint,
    /// The cloud refuses the machine's own token for now.
    pub refuses_the_machine: bool,
}

impl Cloud {
    pub fn new() -> Self {
        let offers = BTreeMap::from([("fsn1".to_owned(), Offer { available: true, hourly: None })]);
        let image =
            Candidate { id: 1, name: "docker-ce".to_owned(), kind: ImageKind::Plain, disk: 5 };
        Self {
            observed: Observed::default(),
            on_server: OnServer::default(),
            lifetimes: BTreeMap::new(),
            data: 0,
            written: 0,
            next: 0,
            spec: Spec {
                server_types: vec!["cx23".to_owned()],
                locations: vec!["fsn1".to_owned()],
                image: ImageSetting::default(),
                volume_size: 20,
                boot_lease_seconds: BOOT_LEASE.as_secs(),
            },
            catalogue: Catalogue {
                server_types: vec![ServerType {
                    name: "cx23".to_owned(),
                    architecture: "x86".to_owned(),
                    disk: 40,
                    offers,
                }],
                locations: vec!["fsn1".to_owned()],
                images: BTreeMap::from([("x86".to_owned(), vec![image])]),
            },
            host_key: machine_key(),
            refuses_the_machine: false,
        }
    }

    pub fn server(&self) -> Option<&Server> {
        self.observed.servers.first()
    }

    /// The server with its price.
    pub fn summary(&self) -> Option<Summary> {
        self.server().map(|server| Summary {
            id: Some(server.id),
            name: server.name.clone(),
            address: server.address,
            status: server.status,
            busy: server.busy,
            server_type: Some(server.server_type.clone()),
            location: Some(server.location.clone()),
            created: Some(server.created),
            price_hourly: Some(HOURLY),
            price_monthly: Some(5.49),
            currency: Some("EUR".to_owned()),
            billed_unit_seconds: Some(3_600),
            volume: None,
            image: None,
        })
    }

    pub fn runs(&self) -> bool {
        self.server().is_some_and(|server| server.status == ServerStatus::Running)
    }

    /// When the server ends itself, if no client renews its lease.
    pub fn ends(&self) -> Duration {
        self.on_server.lease.ends().unwrap_or(self.on_server.booted + BOOT_LEASE)
    }

    /// The next step for a computer that has looked at `seen`, which may be out of date by now.
    pub fn planned(&self, seen: &Observed) -> Result<Step, Problem> {
        plan(&self.spec, seen, &self.catalogue)
    }

    /// Carries out a step that deletes nothing. `false` where the cloud refused it.
    pub fn carries_out(&mut self, step: &Step, now: Duration) -> bool {
        match step {
            Step::Create { volume, .. } => {
                self.creates(volume.as_ref().map(|volume| volume.id), now)
            }
            Step::Attach { volume, server } => {
                let id = *server;
                // A late list may name a server that is gone.
                if !self.observed.servers.iter().any(|found| found.id == id) {
                    return false;
                }
                let Some(volume) = self
                    .observed
                    .volumes
                    .iter_mut()
                    .find(|found| found.id == *volume && found.server.is_none())
                else {
                    return false;
                };
                volume.server = Some(id);
                true
            }
            Step::PowerOn { server } => self.powers_on(*server, now),
            Step::Delete { .. } | Step::Await { .. } | Step::Connect(_) => true,
        }
    }

    fn creates(&mut self, volume: Option<u64>, now: Duration) -> bool {
        // Names are unique: of two computers that race, one loses.
        if !self.observed.servers.is_empty()
            || (volume.is_none() && !self.observed.volumes.is_empty())
        {
            return false;
        }
        let volume = volume.unwrap_or_else(|| {
            self.next += 1;
            let made = Volume {
                id: self.next,
                name: "v".to_owned(),
                location: "fsn1".to_owned(),
                size: 20,
                server: None,
            };
            self.observed.volumes.push(made);
            // A new one is formatted once.
            (self.data, self.written) = (0, 0);
            self.next
        });
        self.next += 1;
        let id = self.next;
        self.observed
            .volumes
            .iter_mut()
            .filter(|found| found.id == volume)
            .for_each(|found| found.server = Some(id));
        self.observed.servers.push(Server {
            id,
            name: "m".to_owned(),
            // Sometimes the cloud does not start a server that it has created.
            status: if id.is_multiple_of(3) { ServerStatus::Off } else { ServerStatus::Running },
            busy: false,
            address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            location: "fsn1".to_owned(),
            server_type: "cx23".to_owned(),
            image: None,
            volumes: vec![volume],
            host_keys: vec![self.host_key],
            labels: BTreeMap::new(),
            created: seconds(now),
            price_hourly: None,
            price_monthly: None,
        });
        self.lifetimes.insert(id, Lifetime { created: now, ended: None, deleted_by: None });
        self.boots(now);
        true
    }

    fn boots(&mut self, now: Duration) {
        self.on_server = OnServer {
            booted: now,
            lease: Lease::default(),
            written: now + BOOT_LEASE,
            agent_runs: true,
            settled: false,
        };
    }

    fn powers_on(&mut self, server: u64, now: Duration) -> bool {
        let is_off = |found: &&mut Server| found.id == server && found.status == ServerStatus::Off;
        let Some(server) = self.observed.servers.iter_mut().find(is_off) else { return false };
        server.status = ServerStatus::Running;
        self.boots(now);
        true
    }

    /// Deletes a server, for a computer that reports it or for nobody. `false` if it is gone.
    pub fn deletes(&mut self, server: u64, by: Option<(usize, Actor)>, now: Duration) -> bool {
        let before = self.observed.servers.len();
        self.observed.servers.retain(|found| found.id != server);
        self.observed
            .volumes
            .iter_mut()
            .filter(|volume| volume.server == Some(server))
            .for_each(|volume| volume.server = None);
        let is_deleted = before != self.observed.servers.len();
        if is_deleted && let Some(lifetime) = self.lifetimes.get_mut(&server) {
            (lifetime.ended, lifetime.deleted_by) = (Some(now), by);
        }
        is_deleted
    }

    /// What happens on the server by itself.
    pub fn passes(&mut self, now: Duration) {
        let Some(id) = self
            .server()
            .filter(|server| server.status == ServerStatus::Running)
            .map(|server| server.id)
        else {
            return;
        };
        let agent_ends = self.on_server.agent_runs
            && self.on_server.lease.ends().is_some_and(|ends| now >= ends);
        let dead_man_ends = now >= self.on_server.written + DEAD_MAN;
        if agent_ends && !self.refuses_the_machine {
            self.deletes(id, None, now);
        } else if agent_ends || dead_man_ends {
            self.observed.servers.iter_mut().for_each(|server| server.status = ServerStatus::Off);
        }
    }
}

pub fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).expect("no model runs for so long")
}

fn machine_key() -> Fingerprint {
    let key = ::machine::generate_key("model").expect("a key can be made");
    Fingerprint::of(key.public_key())
}
