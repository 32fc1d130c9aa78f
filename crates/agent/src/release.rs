//! Releases the volume: stops containers and docker, then unmounts. Every step can be repeated;
//! what is done already costs nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use thiserror::Error;

use crate::commands::CommandError;
use crate::failures::Failures;
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

/// A step of a release that failed.
#[derive(Debug, Error)]
pub enum StepError {
    #[error("the volume's state could not be saved")]
    StateNotSaved(#[source] io::Error),
    #[error("{unit} did not stop")]
    UnitFailed { unit: &'static str, source: CommandError },
    #[error("{unit} did not stop within {} s", UNITS.as_secs())]
    UnitTimedOut { unit: &'static str },
    /// The program could not be run to its end.
    #[error("{program}")]
    NotRun { program: &'static str, source: io::Error },
    #[error("the list of mounts could not be read")]
    NoMounts(#[source] io::Error),
    #[error("{} could not be unmounted", path.display())]
    StillMounted { path: PathBuf, source: CommandError },
}

/// Stops everything that uses the volume and unmounts it. After an error the volume may still be
/// mounted.
pub async fn release(machine: &Machine) -> Result<(), Failures<StepError>> {
    release_within(machine, CONTAINERS).await
}

async fn release_within(
    machine: &Machine,
    containers: Duration,
) -> Result<(), Failures<StepError>> {
    let mut failures = Vec::new();
    let running = open_containers(machine).await;
    if let Err(error) = tokio::fs::write(&machine.paths.volume_state, RELEASED).await {
        failures.push(StepError::StateNotSaved(error));
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
        stopped = stop_units(machine) => stopped.map_err(|error| Failures(vec![error]))?,
        () = kill_late => {}
    }
    let synced = machine.commands.run("sync", &[], b"", SYNC).await;
    if let Err(source) = synced {
        failures.push(StepError::NotRun { program: "sync", source });
    }
    for mount in &machine.paths.mounts {
        if let Err(error) = unmount(machine, mount).await {
            failures.push(error);
            return Err(Failures(failures));
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

async fn stop_units(machine: &Machine) -> Result<(), StepError> {
    if !machine.paths.systemd.exists() {
        return Ok(());
    }
    for unit in DOCKER_UNITS {
        match machine.commands.run("systemctl", &["stop", unit], b"", UNITS).await {
            // 5: there is no such unit (systemctl(1), "Exit status").
            Ok(ended) if ended.success() || ended.status == Some(5) => {}
            Ok(ended) => {
                let source = CommandError::Failed(ended.output);
                return Err(StepError::UnitFailed { unit, source });
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(StepError::UnitTimedOut { unit });
            }
            Err(source) => return Err(StepError::NotRun { program: "systemctl", source }),
        }
    }
    Ok(())
}

async fn unmount(machine: &Machine, path: &Path) -> Result<(), StepError> {
    let mut failure = None;
    for _ in 0..ATTEMPTS {
        let mounted = tokio::fs::read_to_string(&machine.paths.mount_info)
            .await
            .map_err(StepError::NoMounts)?;
        if !is_mounted(&mounted, path) {
            return Ok(());
        }
        if failure.is_some() {
            tokio::time::sleep(PAUSE).await;
        }
        // Recursively: containers leave their shared memory mounted when they are killed.
        let target = path.to_string_lossy();
        let arguments: [&str; 2] = ["--recursive", &target];
        failure = Some(match machine.commands.run("umount", &arguments, b"", UNITS).await {
            Ok(ended) if ended.output.is_empty() => still_mounted(),
            Ok(ended) => CommandError::Failed(ended.output),
            Err(error) => CommandError::NotRun(error),
        });
    }
    let source = failure.unwrap_or_else(still_mounted);
    Err(StepError::StillMounted { path: path.to_owned(), source })
}

fn still_mounted() -> CommandError {
    CommandError::Failed("still mounted".to_owned())
}

#[cfg(test)]
mod tests;
