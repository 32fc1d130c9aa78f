//! Figures of the daemon and the machine at one moment.

use std::fmt;
use std::fs;

use crate::rig::{Daemon, Ran, Stage};

/// Memory used by the load is released once clients rest, except for pooled connections and pages
/// that are free only in part: a debug build held 12 MiB more after two minutes, and at most 23
/// MiB more during an hour of load.
const KEPT_KIB: u64 = 24 << 10;
/// Connections for big transfers are kept for the next one, each with two processes of sshd.
const KEPT_LOGINS: u64 = 8;
/// Samples under load vary with their moment.
const SLACK_KIB: u64 = 8 << 10;

#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Private memory, without the program's code, in KiB.
    memory: u64,
    threads: usize,
    files: usize,
    /// Open streams, as `status` reports.
    streams: u64,
    /// Activities in progress, as `status` reports.
    going_on: Vec<String>,
    machine: Option<OnMachine>,
}

/// dockbridge's processes on the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct OnMachine {
    agents: u64,
    logins: u64,
    /// Connections to dockerd's socket.
    to_dockerd: u64,
    /// Processes in the container that all commands use.
    in_web: u64,
    /// Containers, volumes and networks.
    made: u64,
    /// Of all agents, in KiB.
    memory: u64,
}

/// Prints one number for each field of [`OnMachine`]. A socket that is connected to a path is
/// listed on its server's side.
const ASK: &str = "pgrep -fc '^[^ ]*dockbridge-agent|/run/dockbridge/agent'; pgrep -c sshd; ss -xH \
 state connected | grep -c '/docker.sock'; docker top web -o pid | wc -l; (docker ps -aq; docker \
 volume ls -q; docker network ls -q) | wc -l; cat $(pgrep -f '^[^ \
 ]*dockbridge-agent|/run/dockbridge/agent' | sed 's|.*|/proc/&/smaps_rollup|') 2>/dev/null | awk \
 '/^Pss_Anon:/ { sum += $2 } END { print sum + 0 }'";

impl Figures {
    /// The daemon's own.
    pub async fn of_daemon(stage: &Stage, daemon: &Daemon) -> Self {
        let process = daemon.id();
        let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
        let memory = rollup
            .lines()
            .find_map(|line| {
                line.strip_prefix("Pss_Anon:")?.trim().strip_suffix(" kB")?.parse().ok()
            })
            .unwrap();
        let entries = |what: &str| fs::read_dir(format!("/proc/{process}/{what}")).unwrap().count();
        let status = daemon
            .client()
            .status()
            .await
            .unwrap_or_else(|error| panic!("{error}:\n{}", stage.daemon_log()));
        Self {
            memory,
            threads: entries("task"),
            files: entries("fd"),
            streams: status.tunnel.map_or(0, |tunnel| tunnel.streams),
            going_on: status
                .why
                .reasons
                .into_iter()
                .filter(|reason| reason.seconds.is_none())
                .map(|reason| reason.what)
                .collect(),
            machine: None,
        }
    }

    /// The daemon's and the machine's; `Err` with the output while no login succeeds.
    pub async fn of(stage: &Stage, daemon: &Daemon) -> Result<Self, Ran> {
        let asked = stage.on_machine(ASK).await;
        let numbers: Vec<u64> =
            asked.stdout.lines().filter_map(|line| line.trim().parse().ok()).collect();
        let [agents, logins, to_dockerd, in_web, made, memory] = numbers[..] else {
            return Err(asked);
        };
        let machine = Some(OnMachine { agents, logins, to_dockerd, in_web, made, memory });
        Ok(Self { machine, ..Self::of_daemon(stage, daemon).await })
    }

    pub fn same_counts(&self, other: &Self) -> bool {
        let counts = |of: &Self| {
            (
                of.files,
                of.streams,
                of.going_on.clone(),
                of.machine.clone().map(|machine| OnMachine { memory: 0, ..machine }),
            )
        };
        counts(self) == counts(other)
    }

    /// Names of figures that have grown.
    pub fn remains(&self, before: &Self) -> Vec<String> {
        let (now, then) = (self.machine.clone().unwrap(), before.machine.clone().unwrap());
        let pairs = [
            ("open files", self.files as u64, before.files as u64),
            ("threads", self.threads as u64, before.threads as u64),
            ("streams", self.streams, before.streams),
            ("KiB of memory", self.memory, before.memory + KEPT_KIB),
            ("agents", now.agents, then.agents),
            ("logins on the machine", now.logins, then.logins + KEPT_LOGINS),
            ("connections to dockerd", now.to_dockerd, then.to_dockerd),
            ("processes in the container", now.in_web, then.in_web),
            ("containers, volumes and networks", now.made, then.made),
            ("KiB of the agents' memory", now.memory, then.memory + SLACK_KIB),
        ];
        let more = pairs
            .iter()
            .filter(|(_, now, then)| now > then)
            .map(|(what, now, then)| format!("{now} {what}, {then} before"));
        more.chain(self.going_on.iter().filter(|what| !before.going_on.contains(what)).cloned())
            .collect()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory, threads, files, streams, going_on, machine } = self;
        write!(
            f,
            "{memory} KiB, {threads} threads, {files} files, {streams} streams, {} going on",
            going_on.len()
        )?;
        let Some(OnMachine { agents, logins, to_dockerd, in_web, made, memory }) = machine else {
            return Ok(());
        };
        write!(
            f,
            "; on the machine {agents} agents with {memory} KiB, {logins} sshd, {to_dockerd} \
             connections to dockerd, {in_web} lines of processes, {made} things made"
        )
    }
}

/// Memory under the same load, sampled each minute, does not grow: the last third of the samples
/// is no higher than the second one. During the first third the allocator's arenas reach their
/// size.
pub fn flat(samples: &[Figures]) {
    let memory: Vec<u64> = samples.iter().map(|sample| sample.memory).collect();
    let third = memory.len() / 3;
    let median = |part: &[u64]| {
        let mut sorted = part.to_vec();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    };
    if third > 0 {
        let (before, after) =
            (median(&memory[third..memory.len() - third]), median(&memory[memory.len() - third..]));
        assert!(
            after <= before + SLACK_KIB,
            "memory grows from {before} KiB to {after} KiB: {memory:?}"
        );
    }
}
