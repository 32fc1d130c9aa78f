//! Concurrent commands, and ends at the wrong moment: of the daemon, of the machine, of the
//! network between them.

#[path = "../../../platform/tests/session/rig.rs"]
#[allow(dead_code, reason = "shared with other tests, which use more of it")]
mod bus;
pub(crate) mod cuts;
mod faults;
mod idleness;
mod kills;
mod leases;
#[path = "../../../platform/tests/session/listener.rs"]
mod listener;
mod locks;
mod outages;
mod reasons;
mod recovery;
mod sleeps;
mod sockets;
mod together;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use hetzner::Query;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::rig::{Daemon, Ran, Stage, run};

/// Ids of everything in the cloud project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Holdings {
    servers: BTreeSet<u64>,
    volumes: BTreeSet<u64>,
    keys: BTreeSet<u64>,
    firewalls: BTreeSet<u64>,
}

impl Holdings {
    async fn of(stage: &Stage) -> Self {
        let (api, all) = (&stage.api, Query::default());
        Self {
            servers: api
                .servers()
                .list(&all)
                .await
                .unwrap()
                .into_iter()
                .map(|server| server.id)
                .collect(),
            volumes: api
                .volumes()
                .list(&all)
                .await
                .unwrap()
                .into_iter()
                .map(|volume| volume.id)
                .collect(),
            keys: api.ssh_keys().list(&all).await.unwrap().into_iter().map(|key| key.id).collect(),
            firewalls: api
                .firewalls()
                .list(&all)
                .await
                .unwrap()
                .into_iter()
                .map(|firewall| firewall.id)
                .collect(),
        }
    }

    fn add(&mut self, other: Self) {
        self.servers.extend(other.servers);
        self.volumes.extend(other.volumes);
        self.keys.extend(other.keys);
        self.firewalls.extend(other.firewalls);
    }

    /// The only server and the only volume; panics unless there is exactly one of each kind.
    fn only(&self) -> (u64, u64) {
        let counts = [&self.servers, &self.volumes, &self.keys, &self.firewalls].map(BTreeSet::len);
        assert_eq!(counts, [1; 4], "one server, one volume, one key and one firewall: {self:?}");
        (self.servers.first().copied().unwrap(), self.volumes.first().copied().unwrap())
    }
}

/// Runs all at once while polling the cloud; returns their output, and everything that existed at
/// any moment.
async fn at_once(stage: &Stage, commands: Vec<Command>) -> (Vec<Ran>, Holdings) {
    let mut running: JoinSet<Ran> = commands.into_iter().map(|command| run(command, "")).collect();
    let mut ended = Vec::new();
    let mut seen = Holdings::default();
    while !running.is_empty() {
        tokio::select! {
            ran = running.join_next() => ended.extend(ran.map(Result::unwrap)),
            () = tokio::time::sleep(Duration::from_millis(100)) => {
                seen.add(Holdings::of(stage).await);
            }
        }
    }
    seen.add(Holdings::of(stage).await);
    (ended, seen)
}

/// A docker command that has not been started yet.
fn docker(stage: &Stage, socket: &Path, arguments: &[&str]) -> Command {
    let mut command = stage.command("docker");
    command.env("DOCKER_HOST", format!("unix://{}", socket.display())).args(arguments);
    command
}

/// The daemon's state.
async fn state(daemon: &Daemon) -> String {
    daemon
        .client()
        .status()
        .await
        .map_or_else(|error| error.to_string(), |status| status.state.to_string())
}
