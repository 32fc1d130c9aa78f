//! Releases the volume: stops containers and docker, then unmounts. Every step can be repeated;
//! what is done already costs nothing.

use std::io;
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::machine::{Machine, RELEASED, is_mounted};
use crate::{log, resumption};

/// How long containers may take to stop. Their own stop timeout is usually 10 s; containers with a
/// longer one are killed.
const CONTAINERS: Duration = Duration::from_secs(30);
/// How long dockerd and containerd may take to stop.
const UNITS: Duration = Duration::from_secs(60);
/// How long `sync` may take: 4 GB of dirty pages on a slow volume.
const SYNC: Duration = Duration::from_secs(120);
/// A mount may be busy for a moment after its last process ended: attempts, and the pause between.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// dockerd's units, in an order in which none starts another again.
const DOCKER_UNITS: &[&str] = &["docker.socket", "docker.service", "containerd.service"];

/// Stops everything that uses the volume and unmounts it. After an error, which says what failed,
/// the volume may still be mounted.
pub async fn release(machine: &Machine) -> Result<(), String> {
    release_within(machine, CONTAINERS).await
}

async fn release_within(machine: &Machine, containers: Duration) -> Result<(), String> {
    let mut failures = Vec::new();
    let running = open_containers(machine).await;
    if let Err(error) = tokio::fs::write(&machine.paths.volume_state, RELEASED).await {
        failures.push(format!("the volume's state could not be saved: {error}"));
    }
    // dockerd stops its containers when it is stopped, each with its own signal and timeout. A stop
    // by API would count as the user's wish, and a container with the policy `unless-stopped` would
    // stay down on the next machine.
    let kill_late = async {
        tokio::time::sleep(containers).await;
        for process in &running {
            // Fails if it has ended meanwhile.
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        stopped = stop_units(machine) => stopped?,
        () = kill_late => {}
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

/// Saves the running containers, and opens the first process of each: once a container refuses to
/// stop, dockerd no longer answers.
async fn open_containers(machine: &Machine) -> Vec<OwnedFd> {
    // If dockerd does not answer it was stopped already, and the list was saved then.
    let Ok(running) = machine.docker.running().await else { return Vec::new() };
    if let Err(error) = resumption::remember(machine, &running) {
        log::error(&format!("the list of running containers could not be saved: {error}"));
    }
    let inspected = join_all(running.iter().map(|id| machine.docker.inspect(id))).await;
    // The engine lists a container for a moment after it has reported its end. A container that the
    // user has just stopped must stay down.
    let ended = |id: &String| {
        inspected.iter().flatten().any(|container| container.id == *id && !container.state.running)
    };
    let still: Vec<String> = running.iter().filter(|id| !ended(id)).cloned().collect();
    if still.len() < running.len()
        && let Err(error) = resumption::remember(machine, &still)
    {
        log::error(&format!("the list of running containers could not be saved: {error}"));
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
            Ok(ended) => return Err(format!("{unit} did not stop: {}", ended.output)),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(format!("{unit} did not stop within {} s", UNITS.as_secs()));
            }
            Err(error) => return Err(format!("systemctl: {error}")),
        }
    }
    Ok(())
}

async fn unmount(machine: &Machine, path: &Path) -> Result<(), String> {
    let mut failure = String::new();
    for _ in 0..ATTEMPTS {
        let mounted = tokio::fs::read_to_string(&machine.paths.mount_info)
            .await
            .map_err(|error| format!("the list of mounts could not be read: {error}"))?;
        if !is_mounted(&mounted, path) {
            return Ok(());
        }
        if !failure.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
        // Recursively: containers leave their shared memory mounted when they are killed.
        failure = match machine
            .commands
            .run("umount", &["--recursive", &path.to_string_lossy()], b"", UNITS)
            .await
        {
            Ok(ended) => ended.output,
            Err(error) => error.to_string(),
        };
        if failure.is_empty() {
            failure = "still mounted".into();
        }
    }
    Err(format!("{} could not be unmounted: {failure}", path.display()))
}

#[cfg(test)]
mod tests;
