//! Gives the volume up: containers, docker, then the mounts. Every step may be done again; what is
//! done already costs nothing.

use std::io;
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::report::Machine;
use crate::resumption;

/// How long containers may take to stop by themselves. Their own patience is usually 10 s; whoever
/// asked for more is killed then.
const CONTAINERS: Duration = Duration::from_secs(30);
/// How long dockerd and containerd may take to stop.
const UNITS: Duration = Duration::from_secs(60);
/// How long writing back may take: 4 GB of dirty pages on a slow volume.
const SYNC: Duration = Duration::from_secs(120);
/// A mount may be busy for a moment after its last process ended.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// Stands in place of the volume's state once docker is being stopped for good: whoever comes after
/// an agent that was killed has to know.
pub const RELEASED: &str = "released";

/// What dockerd consists of, in the order in which it must not come back.
const DOCKER_UNITS: &[&str] = &["docker.socket", "docker.service", "containerd.service"];

/// Stops everything that uses the volume and unmounts it. An error says what failed; the volume may
/// still be mounted then.
pub async fn release(machine: &Machine) -> Result<(), String> {
    release_within(machine, CONTAINERS).await
}

async fn release_within(machine: &Machine, containers: Duration) -> Result<(), String> {
    let mut failures = Vec::new();
    let running = hold_containers(machine).await;
    if let Err(error) = tokio::fs::write(&machine.paths.volume_state, RELEASED).await {
        failures.push(format!("the volume's state: {error}"));
    }
    // dockerd stops them when it is stopped itself, each with its own signal and patience. A stop
    // by its API would be kept as the person's own wish, and a container with the policy
    // `unless-stopped` would stay down on the next machine.
    let impatience = async {
        tokio::time::sleep(containers).await;
        for process in &running {
            // It has ended meanwhile.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        stopped = stop_units(machine) => stopped?,
        () = impatience => {}
    }
    let synced = machine.commands.run("sync", &[], b"", SYNC).await;
    if let Err(error) = synced {
        failures.push(format!("sync: {error}"));
    }
    for mount in &machine.paths.mounts {
        if let Err(message) = unmount(machine, mount).await {
            failures.push(message);
            return Err(failures.join("; "));
        }
    }
    Ok(())
}

/// Whether something is mounted at `path`, by the kernel's list (proc(5): the fifth field, with
/// spaces written as `\040`).
pub fn is_mounted(mount_info: &str, path: &Path) -> bool {
    let wanted = path.to_string_lossy().replace(' ', "\\040");
    mount_info.lines().filter_map(|line| line.split(' ').nth(4)).any(|mounted| mounted == wanted)
}

/// Remembers what runs, and holds the first process of each: by the time that one is stubborn,
/// dockerd answers no questions any more.
async fn hold_containers(machine: &Machine) -> Vec<OwnedFd> {
    // Without an answer it was stopped already, and what ran then is written down.
    let Ok(running) = machine.docker.running().await else { return Vec::new() };
    if let Err(error) = resumption::remember(machine, &running) {
        crate::complain(&format!("what runs could not be written down: {error}"));
    }
    let inspected = join_all(running.iter().map(|id| machine.docker.inspect(id))).await;
    // The engine lists a container for a moment after it has told its end. One that a person has
    // just stopped is to stay down.
    let ended = |id: &String| {
        inspected.iter().flatten().any(|container| container.id == *id && !container.state.running)
    };
    let still: Vec<String> = running.iter().filter(|id| !ended(id)).cloned().collect();
    if still.len() < running.len()
        && let Err(error) = resumption::remember(machine, &still)
    {
        crate::complain(&format!("what runs could not be written down: {error}"));
    }
    let processes =
        inspected.into_iter().flatten().filter_map(|container| Pid::from_raw(container.state.pid));
    processes.filter_map(|process| pidfd_open(process, PidfdFlags::empty()).ok()).collect()
}

async fn stop_units(machine: &Machine) -> Result<(), String> {
    if !machine.paths.systemd.exists() {
        return Ok(());
    }
    for unit in DOCKER_UNITS {
        match machine.commands.run("systemctl", &["stop", unit], b"", UNITS).await {
            // 5: there is no such unit (systemctl(1), "Exit status").
            Ok(ended) if ended.success() || ended.status == Some(5) => {}
            Ok(ended) => return Err(format!("{unit} did not stop: {}", ended.said)),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(format!("{unit} did not stop within {} s", UNITS.as_secs()));
            }
            Err(error) => return Err(format!("systemctl: {error}")),
        }
    }
    Ok(())
}

async fn unmount(machine: &Machine, path: &Path) -> Result<(), String> {
    let mut said = String::new();
    for _ in 0..ATTEMPTS {
        let mounted = tokio::fs::read_to_string(&machine.paths.mount_info)
            .await
            .map_err(|error| format!("the list of mounts: {error}"))?;
        if !is_mounted(&mounted, path) {
            return Ok(());
        }
        if !said.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
        // Recursively: containers leave their shared memory mounted when they are killed.
        said = match machine
            .commands
            .run("umount", &["--recursive", &path.to_string_lossy()], b"", UNITS)
            .await
        {
            Ok(ended) => ended.said,
            Err(error) => error.to_string(),
        };
        if said.is_empty() {
            said = "still mounted".into();
        }
    }
    Err(format!("{} could not be unmounted: {said}", path.display()))
}

#[cfg(test)]
mod tests;
