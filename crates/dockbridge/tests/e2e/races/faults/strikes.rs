//! Carries out what was drawn. A strike whose target does not exist at its moment misses.

use std::time::Duration;

use hetzner::Query;
use rustix::process::{Pid, Signal};
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::super::cuts::{processes, signal_all};
use super::super::recovery::is_resident;
use super::draw::{Fault, Strike};
use crate::rig::{Daemon, Stage, run};

/// A service manager does not restart a service at once (systemd.service(5): `RestartSec=` is 100
/// ms; users set more).
const RESTART_AFTER: Duration = Duration::from_millis(500);
/// A manual action is not repeated for longer.
const BY_HAND: Duration = Duration::from_secs(4);

/// The daemon, with the settings for its restarts.
pub struct Service<'a> {
    pub stage: &'a Stage,
    pub settings: &'a [(&'a str, &'a str)],
    pub daemon: Mutex<Option<Daemon>>,
}

impl<'a> Service<'a> {
    pub async fn start(stage: &'a Stage, settings: &'a [(&'a str, &'a str)]) -> Self {
        Self { stage, settings, daemon: Mutex::new(Some(stage.start(settings).await)) }
    }

    async fn crash(&self) -> bool {
        let mut daemon = self.daemon.lock().await;
        if let Some(daemon) = daemon.take() {
            daemon.kill().await;
        }
        sleep(RESTART_AFTER).await;
        *daemon = Some(self.stage.start(self.settings).await);
        true
    }

    pub async fn stop(self) {
        if let Some(daemon) = self.daemon.into_inner() {
            daemon.stop().await;
        }
    }
}

/// Injects the cloud's faults, and strikes in time. Returns how many hit something.
pub async fn carry_out(faults: &[Fault], service: &Service<'_>) -> u32 {
    let begun = Instant::now();
    let mut strikes = Vec::new();
    for fault in faults {
        match fault {
            Fault::Order(order) => {
                service.stage.control().post("faults", &order.to_string()).await;
            }
            Fault::Strike(after, what) => strikes.push((*after, *what)),
        }
    }
    strikes.sort_by_key(|(after, _)| *after);
    let mut hit = 0;
    for (after, what) in strikes {
        sleep_until(begun + after).await;
        let has_hit = strike(what, service).await;
        eprintln!(
            "    {:5.1} s: {what:?}{}",
            begun.elapsed().as_secs_f64(),
            if has_hit { "" } else { " is not there" }
        );
        hit += u32::from(has_hit);
    }
    hit
}

async fn strike(what: Strike, service: &Service<'_>) -> bool {
    let stage = service.stage;
    let server = stage.look().await["server_ids"][0].as_u64();
    match (what, server) {
        (Strike::Daemon, _) => service.crash().await,
        (Strike::LoginKey, _) => {
            let keys = timeout(BY_HAND, stage.api.ssh_keys().list(&Query::default())).await;
            let Ok(Ok(keys)) = keys else { return false };
            let Some(key) = keys.first() else { return false };
            matches!(timeout(BY_HAND, stage.api.ssh_keys().delete(key.id)).await, Ok(Ok(())))
        }
        (_, None) => false,
        (Strike::Agent, Some(server)) => killed(&processes(server, "agent-")),
        (Strike::Resident, Some(server)) => {
            let residents: Vec<Pid> =
                processes(server, "agent-").into_iter().filter(|pid| is_resident(*pid)).collect();
            killed(&residents)
        }
        (Strike::Dockerd, Some(server)) => killed(&processes(server, "dockerd")),
        (Strike::Containerd, Some(server)) => {
            let daemons: Vec<Pid> =
                processes(server, "containerd").into_iter().filter(|pid| !is_shim(*pid)).collect();
            killed(&daemons)
        }
        (Strike::Sshd, Some(server)) => killed(&processes(server, "sshd")),
        (Strike::Machine, Some(server)) => killed(&hypervisors(server)),
        (Strike::Power, Some(server)) => power_cut(stage, server).await,
        (Strike::Server, Some(server)) => {
            matches!(timeout(BY_HAND, stage.api.servers().delete(server)).await, Ok(Ok(_)))
        }
        (Strike::Network(time), Some(_)) => {
            let Some(link) = link(stage) else { return false };
            let set = async |to: &str| {
                let mut command = Command::new("ip");
                command.args(["link", "set", &link, to]);
                // The machine may go while it is cut off.
                run(command, "").await.status.success()
            };
            let cut = set("down").await;
            sleep(time).await;
            set("up").await;
            cut
        }
    }
}

fn killed(processes: &[Pid]) -> bool {
    signal_all(processes, Signal::KILL);
    !processes.is_empty()
}

/// It may not exist any more.
async fn power_cut(stage: &Stage, server: u64) -> bool {
    let endpoint = stage.cloud.endpoint();
    let mut command = Command::new("curl");
    command.args(["-sS", "--fail-with-body", "-X", "POST"]);
    command.arg(format!(
        "{}/_local/servers/{server}/power_cut",
        endpoint.strip_suffix("/v1").unwrap()
    ));
    run(command, "").await.status.success()
}

/// The machine's process on this host.
fn hypervisors(server: u64) -> Vec<Pid> {
    let name = format!("-{server}");
    let is_it = |process: &i32| {
        let line = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        words.next().is_some_and(|program| program.ends_with(b"systemd-nspawn"))
            && words.any(|word| word.starts_with(b"--machine=") && word.ends_with(name.as_bytes()))
    };
    let processes = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    processes.filter(is_it).filter_map(Pid::from_raw).collect()
}

/// A container's own process outlives containerd.
fn is_shim(process: Pid) -> bool {
    let name = std::fs::read_to_string(format!("/proc/{}/comm", process.as_raw_nonzero()))
        .unwrap_or_default();
    name.starts_with("containerd-shim")
}

/// The host's end of a machine's network link, if there is one.
fn link(stage: &Stage) -> Option<String> {
    let endpoint = stage.cloud.machine_endpoint()?;
    let place = endpoint.trim_start_matches("http://").split('.').nth(2)?.to_owned();
    let found =
        std::fs::read_dir(format!("/sys/class/net/dbcloud{place}/brif")).ok()?.next()?.ok()?;
    found.file_name().into_string().ok()
}
