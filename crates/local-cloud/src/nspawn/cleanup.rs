//! Removes what local clouds left on this host that ended without saying good-bye. Touches nothing
//! of those that live: their places are locked.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::claim::{self, Claim, Place};
use super::tool::{check_host, failure, run};
use super::{cgroup, firewall, network};
use crate::hypervisor::Failure;

/// A killed process that is not gone by then hangs in the kernel.
const DEATH_LIMIT: Duration = Duration::from_secs(10);

/// What was removed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CleanReport {
    /// Machines, by name.
    pub machines: Vec<String>,
    /// Loop devices.
    pub loop_devices: Vec<String>,
    /// Control groups of machines.
    pub control_groups: Vec<String>,
    /// Network links.
    pub links: Vec<String>,
    /// Firewall tables.
    pub tables: Vec<String>,
}

impl CleanReport {
    /// There was nothing to remove.
    pub fn is_empty(&self) -> bool {
        *self == CleanReport::default()
    }
}

impl fmt::Display for CleanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing was left");
        }
        let groups = [
            ("machines", &self.machines),
            ("loop devices", &self.loop_devices),
            ("control groups", &self.control_groups),
            ("links", &self.links),
            ("tables", &self.tables),
        ];
        let told = groups
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(kind, names)| format!("{kind}: {}", names.join(", ")));
        f.write_str(&told.collect::<Vec<_>>().join("; "))
    }
}

/// Removes what dead local clouds left.
pub async fn clean() -> Result<CleanReport, Failure> {
    check_host()?;
    let mut places: BTreeSet<Place> = claim::known().into_iter().collect();
    places.extend(network::places());
    places.extend(firewall::places().await);
    let mut report = CleanReport::default();
    for place in places {
        if let Some(claim) = Claim::try_take(place)? {
            sweep(&claim, &mut report).await?;
        }
    }
    Ok(report)
}

/// Empties a place that is ours.
pub(super) async fn sweep(claim: &Claim, report: &mut CleanReport) -> Result<(), Failure> {
    let place = claim.place;
    kill_machines(place, report).await?;
    if let Some(record) = place.record() {
        detach_loops(&record.state, report).await?;
    }
    for group in cgroup::named(&place.machine_prefix()) {
        cgroup::remove(&group).await?;
        report.control_groups.push(group);
    }
    if network::exists(place) {
        report.links.push(place.bridge());
    }
    network::remove(place).await?;
    if firewall::places().await.contains(&place) {
        firewall::remove(place).await?;
        report.tables.push(place.table());
    }
    claim.forget();
    Ok(())
}

/// nspawn is the first process of the machine's process namespace: with it everything in there
/// dies, and its mounts go with the last of them.
async fn kill_machines(place: Place, report: &mut CleanReport) -> Result<(), Failure> {
    let mark = format!("--machine={}", place.machine_prefix());
    // In a machine on this host another local cloud may run, whose places have the same numbers.
    // Its processes are seen from here, but stand on that machine's network, where its bridge is.
    let network = std::fs::read_link("/proc/self/ns/net").ok();
    let mut dying = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) =
            entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw)
        else {
            continue;
        };
        let Ok(arguments) = std::fs::read(entry.path().join("cmdline")) else { continue };
        let mut arguments = arguments.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let program = arguments.next().unwrap_or_default();
        let ours = ["systemd-nspawn", "unshare", "setpriv", "sh"]
            .contains(&program.rsplit('/').next().unwrap_or_default());
        let Some(name) = arguments
            .find_map(|argument| Some(argument.strip_prefix(&mark)?.to_owned()))
            .filter(|_| ours)
        else {
            continue;
        };
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        if std::fs::read_link(entry.path().join("ns/net")).ok() != network {
            continue;
        }
        if pidfd_send_signal(&process, Signal::KILL).is_ok() {
            dying.push(process);
        }
        let name = format!("{}{name}", place.machine_prefix());
        if !report.machines.contains(&name) {
            report.machines.push(name);
        }
    }
    let gone = tokio::task::spawn_blocking(move || {
        let limit = Timespec::try_from(DEATH_LIMIT).ok();
        dying.iter().all(|process| {
            poll(&mut [PollFd::new(process, PollFlags::IN)], limit.as_ref())
                .is_ok_and(|ready| ready == 1)
        })
    });
    match gone.await {
        Ok(true) => Ok(()),
        _ => Err(failure(
            "end the machines of a dead local \
            cloud",
            "a killed process does not go away",
        )),
    }
}

/// They go by themselves with the last user; this is for one that was just being made.
async fn detach_loops(state: &Path, report: &mut CleanReport) -> Result<(), Failure> {
    let said = run(
        "look for loop \
        devices",
        "losetup",
        &["--list", "--noheadings", "--raw", "--output", "NAME,BACK-FILE"],
    )
    .await?;
    for line in said.lines() {
        let Some((device, file)) = line.split_once(' ') else { continue };
        if Path::new(file.trim()).starts_with(state) {
            // Gone in the meantime is as good.
            if run("detach a loop device", "losetup", &["--detach", device]).await.is_ok() {
                report.loop_devices.push(device.to_owned());
            }
        }
    }
    Ok(())
}
