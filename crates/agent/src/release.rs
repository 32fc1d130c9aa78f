//! Gives the volume up: containers, docker, then the mounts. Every step may be done again; what is done already costs nothing.

use std::io;
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;

use crate::report::Machine;

/// How long containers may take to stop by themselves. Their own patience is usually 10 s; whoever asked for more is killed with dockerd.
const CONTAINERS: Duration = Duration::from_secs(30);
/// How long dockerd and containerd may take to stop.
const UNITS: Duration = Duration::from_secs(60);
/// How long writing back may take: 4 GB of dirty pages on a slow volume.
const SYNC: Duration = Duration::from_secs(120);
/// A mount may be busy for a moment after its last process ended.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(250);

/// What dockerd consists of, in the order in which it must not come back.
const DOCKER_UNITS: &[&str] = &["docker.socket", "docker.service", "containerd.service"];

/// Stops everything that uses the volume and unmounts it. An error says what failed; the volume may still be mounted then.
pub async fn release(machine: &Machine) -> Result<(), String> {
    let mut failures = Vec::new();
    if let Err(message) = stop_containers(machine).await {
        // Not a failure of the release: stopping dockerd ends them the hard way.
        failures.push(message);
    }
    stop_units(machine).await?;
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

/// Whether something is mounted at `path`, by the kernel's list (proc(5): the fifth field, with spaces written as `\040`).
pub fn is_mounted(mount_info: &str, path: &Path) -> bool {
    let wanted = path.to_string_lossy().replace(' ', "\\040");
    mount_info.lines().filter_map(|line| line.split(' ').nth(4)).any(|mounted| mounted == wanted)
}

async fn stop_containers(machine: &Machine) -> Result<(), String> {
    let docker = &machine.docker;
    let Ok(running) = docker.running().await else { return Ok(()) };
    let stopping = join_all(running.iter().map(|id| docker.stop(id)));
    match tokio::time::timeout(CONTAINERS, stopping).await {
        Ok(stopped) => match stopped.into_iter().find_map(Result::err) {
            Some(error) => Err(format!("a container did not stop: {error}")),
            None => Ok(()),
        },
        Err(_) => Err(format!("containers did not stop within {} s", CONTAINERS.as_secs())),
    }
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
        let mounted = tokio::fs::read_to_string(&machine.paths.mount_info).await.map_err(|error| format!("the list of mounts: {error}"))?;
        if !is_mounted(&mounted, path) {
            return Ok(());
        }
        if !said.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
        // Recursively: containers leave their shared memory mounted when they are killed.
        said = match machine.commands.run("umount", &["--recursive", &path.to_string_lossy()], b"", UNITS).await {
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
