//! The daemon of the profile: its socket, its service, and what it knows of the machine's volume.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use api::{CONTROL_SUFFIX, MachineState, Status, WarningCode, control_socket};
use platform::local_socket;

use crate::commands::doctor::fix::Fix;
use crate::commands::doctor::found::Found;
use crate::commands::doctor::surroundings::{Daemon, Surroundings};
use crate::commands::service::installed::Units;
use crate::commands::service::manager::{self, Unit};

/// What is at the path of the Docker socket.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Missing,
    /// Its length in bytes.
    TooLong(usize),
    NoSocket,
    /// These sockets exist, and no process listens at them.
    Abandoned(Vec<PathBuf>),
    /// The connection is refused for another reason.
    Unreachable(String),
    Served {
        process: u32,
        profile: String,
        state: MachineState,
    },
    /// It has the control socket of a daemon, and does not answer as one does.
    Silent(String),
    Foreign,
}

pub async fn socket(around: &Surroundings) -> Found {
    let socket = &around.resolved.socket;
    let seen = see(socket, around).await;
    let is_activated = Units::serving(&around.resolved).is_some();
    judge_socket(&seen, socket, &around.resolved.profile.to_string(), is_activated)
}

async fn see(socket: &Path, around: &Surroundings) -> Seen {
    let longest = local_socket::MAX_PATH - CONTROL_SUFFIX.len();
    if socket.as_os_str().len() > longest {
        return Seen::TooLong(socket.as_os_str().len());
    }
    let is_socket =
        |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let control = control_socket(socket);
    let stale = [socket, &control].into_iter().filter(|path| is_socket(path));
    let stale: Vec<PathBuf> =
        stale.filter(|path| local_socket::is_abandoned(path)).map(Path::to_owned).collect();
    let is_there = match fs::symlink_metadata(socket) {
        Ok(found) if !found.file_type().is_socket() => return Seen::NoSocket,
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Seen::Unreachable(error.to_string()),
    };
    if !stale.is_empty() {
        return Seen::Abandoned(stale);
    }
    if !is_there {
        return Seen::Missing;
    }
    if let Err(error) = local_socket::Stream::connect(socket).await {
        return Seen::Unreachable(error.to_string());
    }
    match around.daemon().await {
        Daemon::Answers(status) => Seen::Served {
            process: status.process,
            profile: status.profile.clone(),
            state: status.state,
        },
        Daemon::Silent(why) => Seen::Silent(why.clone()),
        Daemon::NotRunning => Seen::Foreign,
    }
}

/// `is_activated`: the service manager listens at the socket.
fn judge_socket(seen: &Seen, socket: &Path, own: &str, is_activated: bool) -> Found {
    let path = socket.display();
    match seen {
        Seen::Served { process, profile, state } if profile == own => {
            Found::ok(format!("process {process} serves it; the machine is {state}"))
        }
        Seen::Served { process, profile, .. } => Found::broken(format!(
            "process {process} serves {path} for profile {profile}, not {own}"
        ))
        .cause("Two profiles have the same socket.")
        .cure("give each its own `docker.socket_path`"),
        Seen::Missing if is_activated => Found::broken(format!("{path} does not exist"))
            .cause("Something removed the socket that the service manager listens at.")
            .cure("`dockbridge service install` again"),
        Seen::Missing => Found::hint("no daemon runs, so docker commands fail")
            .cause("The daemon was not started since this computer was.")
            .cure("`dockbridge start --detach`, or `dockbridge service install` for each login"),
        Seen::Abandoned(stale) => {
            let found = Found::broken(format!("no process listens at {path}"))
                .cause("The daemon was killed, and could not remove its socket.")
                .cure("`dockbridge start` replaces it; `dockbridge doctor --fix` removes it");
            stale.iter().cloned().map(Fix::Socket).fold(found, Found::fix)
        }
        Seen::Foreign => Found::broken(format!("another program listens at {path}"))
            .cause("It is not dockbridge: there is no control socket beside it.")
            .cure("choose another `docker.socket_path`, or end that program"),
        Seen::Silent(why) => Found::broken(format!("the daemon does not answer: {why}"))
            .cause("It hangs, or it is of another version.")
            .cure("end its process, then `dockbridge start`"),
        Seen::NoSocket => Found::broken(format!("{path} exists and is no socket"))
            .cause("Another file has the place of the socket.")
            .cure("move the file, or choose another `docker.socket_path`"),
        Seen::TooLong(length) => Found::broken(format!(
            "the path of the socket has {length} bytes, and {} are the most",
            local_socket::MAX_PATH - CONTROL_SUFFIX.len()
        ))
        .cause("The system limits the address of a socket.")
        .cure("choose a shorter `docker.socket_path` or DOCKBRIDGE_HOME"),
        Seen::Unreachable(why) => Found::broken(format!("cannot connect to {path}: {why}"))
            .cause("The socket, or a directory above it, belongs to another user.")
            .cure("run this as the user of the daemon, or choose another `docker.socket_path`"),
    }
}

/// The service of the profile.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Service {
    /// systemd's manager does not answer, for this reason.
    NoManager {
        why: String,
        is_installed: bool,
    },
    NotInstalled,
    /// The service, then its sockets.
    Installed(Vec<(String, Unit)>),
}

pub async fn service(around: &Surroundings) -> Found {
    if !cfg!(target_os = "linux") {
        return Found::not_run("`dockbridge service status` shows it on this system");
    }
    match see_service(&around.resolved.profile.to_string()).await {
        Ok(service) => judge_service(&service),
        Err(failure) => Found::of_error(failure.error()),
    }
}

async fn see_service(profile: &str) -> crate::failure::Outcome<Service> {
    let units = Units::of(profile)?;
    let is_installed = !units.files().is_empty();
    if let Err(failure) = manager::is_reachable().await {
        return Ok(Service::NoManager { why: failure.message().to_owned(), is_installed });
    }
    if !is_installed {
        return Ok(Service::NotInstalled);
    }
    let mut found = Vec::new();
    for name in [&*units.names.service].into_iter().chain(units.sockets()) {
        found.push((name.to_owned(), manager::show(name).await?));
    }
    Ok(Service::Installed(found))
}

fn judge_service(service: &Service) -> Found {
    let units = match service {
        Service::NoManager { is_installed: false, .. } => {
            return Found::not_run("no systemd manager of this user answers");
        }
        Service::NoManager { why, .. } => {
            return Found::hint(format!("installed, but {why}"))
                .cause("This is not a login of its own: `su` and `sudo` start no user manager.")
                .cure("log in as this user by console, desktop or ssh");
        }
        Service::NotInstalled => {
            return Found::hint("not installed: after a reboot no docker command works")
                .cause("A daemon that a user starts ends with the computer.");
        }
        Service::Installed(units) => units,
    };
    let failed = units.iter().find(|(_, unit)| unit.state == "failed");
    if let Some((name, unit)) = failed {
        return Found::broken(format!("{name} has failed ({})", unit.detail))
            .cause("The daemon ended with an error, or too many starts failed in a row.")
            .cure(format!("`journalctl --user --unit {name}` shows why"))
            .cure("`dockbridge service install` starts it again");
    }
    let silent = units.iter().skip(1).find(|(_, unit)| !unit.is_active());
    if let Some((name, unit)) = silent {
        return Found::broken(format!("{name} is {}, so no client starts the daemon", unit.state))
            .cause("`dockbridge stop`, or an update of systemd, ended it.")
            .cure("`dockbridge start`, or `dockbridge service install` again");
    }
    let name = units.first().map(|(name, _)| name.as_str()).unwrap_or_default();
    let is_running = units.first().is_some_and(|(_, unit)| unit.is_active());
    Found::ok(match is_running {
        true => format!("{name} runs"),
        false => format!("{name} starts with the first docker command"),
    })
}

pub async fn volume_fill(around: &Surroundings) -> Found {
    judge_fill(around.status().await)
}

/// The daemon's own warnings decide, so that `status` and `doctor` agree.
fn judge_fill(status: Option<&Status>) -> Found {
    let Some(status) = status else { return Found::not_run("no daemon runs") };
    let warning = |code| status.why.warnings.iter().find(|warning| warning.code == code);
    let (found, warning) =
        match (warning(WarningCode::VolumeFull), warning(WarningCode::VolumeNearlyFull)) {
            (Some(full), _) => (Found::broken(&full.message), full),
            (None, Some(nearly)) => (Found::hint(&nearly.message), nearly),
            (None, None) => return fill_of(status),
        };
    warning.hints.iter().cloned().fold(found, Found::cure)
}

fn fill_of(status: &Status) -> Found {
    let disk = status.report.as_ref().and_then(|report| report.disk);
    match disk.filter(|disk| disk.total > 0) {
        Some(disk) => {
            let percent = u128::from(disk.used) * 100 / u128::from(disk.total);
            Found::ok(format!("{percent} % full"))
        }
        None => Found::not_run("no machine runs"),
    }
}

#[cfg(test)]
#[path = "daemon_tests.rs"]
pub(super) mod tests;
