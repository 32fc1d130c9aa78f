//! Removes what killed local clouds left on this host. It does not touch running ones: their slots
//! are locked.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::claim::{self, Claim, Slot};
use super::programs::check_host;
use super::tool::{failure, run};
use super::{cgroup, emulation, firewall, network};
use crate::hypervisor::Failure;

/// A killed process that still exists after this time hangs in the kernel.
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
    /// Formats of emulated programs.
    pub formats: Vec<String>,
}

impl CleanReport {
    /// Whether nothing was removed.
    pub fn is_empty(&self) -> bool {
        *self == CleanReport::default()
    }
}

impl fmt::Display for CleanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing to remove");
        }
        let groups = [
            ("machines", &self.machines),
            ("loop devices", &self.loop_devices),
            ("control groups", &self.control_groups),
            ("links", &self.links),
            ("tables", &self.tables),
            ("formats", &self.formats),
        ];
        let parts = groups
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(kind, names)| format!("{kind}: {}", names.join(", ")));
        f.write_str(&parts.collect::<Vec<_>>().join("; "))
    }
}

/// Removes what dead local clouds left.
pub async fn clean() -> Result<CleanReport, Failure> {
    check_host()?;
    let mut slots: BTreeSet<Slot> = claim::known().into_iter().collect();
    slots.extend(network::slots());
    slots.extend(firewall::slots().await);
    slots.extend(emulation::slots());
    let mut report = CleanReport::default();
    for slot in slots {
        if let Some(claim) = Claim::try_take(slot)? {
            sweep(&claim, &mut report).await?;
        }
    }
    Ok(report)
}

/// Empties a claimed slot.
pub(super) async fn sweep(claim: &Claim, report: &mut CleanReport) -> Result<(), Failure> {
    let slot = claim.slot;
    kill_machines(slot, report).await?;
    if let Some(record) = slot.record() {
        detach_loops(&record.state, report).await?;
    }
    for group in cgroup::named(&slot.machine_prefix()) {
        cgroup::remove(&group).await?;
        report.control_groups.push(group);
    }
    if network::exists(slot) {
        report.links.push(slot.bridge());
    }
    network::remove(slot).await?;
    if firewall::slots().await.contains(&slot) {
        firewall::remove(slot).await?;
        report.tables.push(slot.table());
    }
    report.formats.extend(emulation::remove(slot)?);
    claim.forget();
    Ok(())
}

/// nspawn is the first process of the machine's process namespace: when it dies, every process in
/// there dies, and the mounts go with the last of them.
async fn kill_machines(slot: Slot, report: &mut CleanReport) -> Result<(), Failure> {
    let mark = format!("--machine={}", slot.machine_prefix());
    // A machine on this host may itself run a local cloud with the same slot numbers. Its
    // processes are visible here, but they are in that machine's network namespace.
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
        let is_machine = ["systemd-nspawn", "unshare", "setpriv", "sh"]
            .contains(&program.rsplit('/').next().unwrap_or_default());
        let Some(name) = arguments
            .find_map(|argument| Some(argument.strip_prefix(&mark)?.to_owned()))
            .filter(|_| is_machine)
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
        let name = format!("{}{name}", slot.machine_prefix());
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
        _ => {
            Err(failure("stop the machines of a dead local cloud", "a killed process still exists"))
        }
    }
}

/// Loop devices go with their last user; this is for one that was not mounted yet.
async fn detach_loops(state: &Path, report: &mut CleanReport) -> Result<(), Failure> {
    let said = run(
        "look for loop devices",
        "losetup",
        &["--list", "--noheadings", "--raw", "--output", "NAME,BACK-FILE"],
    )
    .await?;
    for line in said.lines() {
        let Some((device, file)) = line.split_once(' ') else { continue };
        if Path::new(file.trim()).starts_with(state) {
            // A device that has gone in the meantime is fine.
            if run("detach a loop device", "losetup", &["--detach", device]).await.is_ok() {
                report.loop_devices.push(device.to_owned());
            }
        }
    }
    Ok(())
}
