//! `dockbridge service`: the daemon as a service of the user. systemd listens at the sockets, and
//! the first client starts the daemon. For macOS and Windows the same command writes files that
//! start it at login.

pub mod installed;
mod launchd;
mod logon_task;
pub mod manager;
mod recipe;
pub mod start;
mod units;

use std::fs;
use std::path::PathBuf;

use api::Code;
use platform::local_socket;

use self::installed::Units;
use self::manager::Unit;
use self::recipe::{Recipe, unseen_variables};
use crate::failure::{Failure, Outcome};
use crate::json::say_json;
use crate::output::{complain, say};
use crate::paths::{unremovable, unwritable, write_private};
use crate::resolved::{GlobalArgs, Resolved};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Install the service: the first docker command starts the daemon, also after a reboot
    Install,
    /// Stop the daemon and remove the service; the machine runs on until its lease ends
    Remove,
    /// Show the service, its sockets and its process
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// What starts the daemon on this system.
enum System {
    Systemd,
    Launchd,
    TaskScheduler,
}

impl System {
    fn here() -> Self {
        if cfg!(target_os = "macos") {
            Self::Launchd
        } else if cfg!(windows) {
            Self::TaskScheduler
        } else {
            Self::Systemd
        }
    }
}

pub async fn run(command: Command, global: &GlobalArgs) -> Outcome {
    match (command, System::here()) {
        (Command::Install, System::Systemd) => install(global).await,
        (Command::Install, system) => write_login_file(global, &system),
        (Command::Remove, System::Systemd) => remove(&Resolved::load_valid(global)?).await,
        (Command::Remove, system) => remove_login_file(&Resolved::load_valid(global)?, &system),
        (Command::Status { json }, System::Systemd) => status(global, json).await,
        (Command::Status { json }, system) => {
            let resolved = Resolved::load_valid(global)?;
            let file = login_file(&resolved, &system)?;
            let files: Vec<PathBuf> = file.exists().then_some(file).into_iter().collect();
            print(&ServiceStatus::of_files(&resolved, files), json)
        }
    }
}

async fn install(global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load(global)?;
    manager::is_reachable().await?;
    if resolved.own_host().is_none()
        && resolved.overrides_kept().is_none()
        && resolved.kept_source().is_none()
    {
        // A daemon without a token does not start, and this error says what to do.
        resolved.token()?;
    }
    if resolved.own_host().is_none() && resolved.overrides_kept().is_none() {
        resolved.check_token_of_service(manager::lingers().await == Some(true))?;
    }
    let recipe = Recipe::of(&resolved, global)?;
    let files = units::files(&recipe);
    let units = Units::of(&recipe.profile)?;
    let unit = &units.names.service;
    let is_listening = units.is_listening().await?;
    if is_listening && units.are(&files) {
        say(&format!("The service {unit} is installed already."));
        return Ok(());
    }
    if is_listening {
        units.stop_listening().await?;
    } else {
        is_free(&resolved).await?;
    }
    if manager::show(unit).await?.is_active() {
        units.end().await?;
    }
    // A port that the settings do not have any more has no unit any more.
    units.remove()?;
    units.write(&files)?;
    if let Err(failure) = units.enable().await {
        // Nothing half installed stays.
        let _ = units.stop_listening().await;
        units.remove()?;
        let _ = manager::run(&["daemon-reload"]).await;
        return Err(failure);
    }
    say(&format!(
        "Installed the service {unit}: the first docker command starts the daemon, also after a \
         reboot."
    ));
    say(&format!("Docker socket: unix://{}", resolved.socket.display()));
    say(&format!("Log: journalctl --user --unit {unit}"));
    if manager::lingers().await != Some(true) {
        say("It runs while you are logged in. For a computer without logins, such as a server: \
             loginctl enable-linger");
    }
    warn_of_unseen(&resolved);
    Ok(())
}

/// Refuses a socket that another program serves: systemd would take its path.
async fn is_free(resolved: &Resolved) -> Outcome {
    if let Ok(status) = resolved.daemon().status().await {
        return Err(Failure::bare(
            Code::DaemonRunning,
            format!(
                "dockbridge (process {}) serves {} already",
                status.process,
                resolved.socket.display()
            ),
        )
        .hint("run `dockbridge stop` first: the service then takes the machine over"));
    }
    let socket = &resolved.socket;
    match socket.exists() && !local_socket::is_abandoned(socket) {
        true => Err(Failure::bare(
            Code::SocketServed,
            format!("another program listens at {}", socket.display()),
        )
        .hint("choose another place with `--socket PATH`")),
        false => Ok(()),
    }
}

fn warn_of_unseen(resolved: &Resolved) {
    let unseen = unseen_variables();
    if !unseen.is_empty() {
        complain(&format!(
            "Warning: the service does not see variables of this shell: {}. Write them into {}; \
             `dockbridge init` saves a token.",
            unseen.join(", "),
            resolved.settings_file.display()
        ));
    }
}

/// Removes a profile's service, if one is installed.
pub async fn remove_installed(resolved: &Resolved) -> Outcome {
    let system = System::here();
    let is_installed = match system {
        System::Systemd => !Units::of(&resolved.profile.to_string())?.files().is_empty(),
        System::Launchd | System::TaskScheduler => login_file(resolved, &system)?.exists(),
    };
    match (is_installed, system) {
        (false, _) => Ok(()),
        (true, System::Systemd) => remove(resolved).await,
        (true, system) => remove_login_file(resolved, &system),
    }
}

async fn remove(resolved: &Resolved) -> Outcome {
    let units = Units::of(&resolved.profile.to_string())?;
    let unit = units.names.service.clone();
    if units.files().is_empty() {
        say(&format!("The service {unit} is not installed."));
        return Ok(());
    }
    match manager::is_reachable().await {
        Ok(()) => {
            // The profile's settings may name another socket by now.
            let is_own = Units::serving(resolved).is_some();
            units.stop_listening().await?;
            if is_own && let Ok(status) = resolved.daemon().status().await {
                super::stop::end_daemon(resolved, &status, false).await?;
            }
            units.end().await?;
            units.remove()?;
            manager::run(&["daemon-reload"]).await?;
        }
        Err(failure) => {
            units.remove()?;
            complain(&format!(
                "Warning: {}; what runs goes on until the last logout.",
                failure.message()
            ));
        }
    }
    say(&format!("Removed the service {unit}."));
    Ok(())
}

/// The service as `--json` prints it.
#[derive(Debug, serde::Serialize)]
struct ServiceStatus {
    profile: String,
    installed: bool,
    /// The files of the service.
    files: Vec<PathBuf>,
    /// The service and its sockets, where systemd has them.
    units: Vec<UnitStatus>,
    /// Whether it runs without a login; `None` where the system does not say.
    lingers: Option<bool>,
}

/// A unit as `--json` prints it.
#[derive(Debug, serde::Serialize)]
struct UnitStatus {
    name: String,
    /// systemd's words, such as `active` and `running`.
    state: String,
    detail: String,
    /// Whether it begins with a login.
    enabled: bool,
    process: Option<u32>,
    /// The line that the daemon last reported.
    status: Option<String>,
    restarts: u32,
}

impl ServiceStatus {
    fn of_files(resolved: &Resolved, files: Vec<PathBuf>) -> Self {
        Self {
            profile: resolved.profile.to_string(),
            installed: !files.is_empty(),
            files,
            units: Vec::new(),
            lingers: None,
        }
    }
}

impl UnitStatus {
    fn of(name: &str, unit: Unit) -> Self {
        let Unit { state, detail, is_enabled, process, status, restarts } = unit;
        Self {
            name: name.to_owned(),
            state,
            detail,
            enabled: is_enabled,
            process,
            status,
            restarts,
        }
    }

    fn line(&self) -> String {
        let enabled = if self.enabled { ", begins with a login" } else { "" };
        let process =
            self.process.map(|process| format!(", process {process}")).unwrap_or_default();
        let restarts = match self.restarts {
            0 => String::new(),
            count => format!(", restarted {count} times"),
        };
        let status = self.status.as_ref().map(|line| format!(": {line}")).unwrap_or_default();
        format!(
            "{}, {} ({}){enabled}{process}{restarts}{status}",
            self.name, self.state, self.detail
        )
    }
}

async fn status(global: &GlobalArgs, json: bool) -> Outcome {
    let resolved = Resolved::load_valid(global)?;
    let units = Units::of(&resolved.profile.to_string())?;
    let mut found = ServiceStatus::of_files(&resolved, units.files());
    if found.installed {
        manager::is_reachable().await?;
        for name in [&*units.names.service].into_iter().chain(units.sockets()) {
            found.units.push(UnitStatus::of(name, manager::show(name).await?));
        }
        found.lingers = manager::lingers().await;
    }
    print(&found, json)
}

fn print(status: &ServiceStatus, json: bool) -> Outcome {
    if json {
        return say_json(status);
    }
    lines(status).iter().for_each(|line| say(line));
    Ok(())
}

fn lines(status: &ServiceStatus) -> Vec<String> {
    if !status.installed {
        return vec![format!(
            "No service of the profile {} is installed: `dockbridge service install` does that.",
            status.profile
        )];
    }
    let files = status.files.iter().map(|file| format!("File      {}", file.display()));
    let units = status.units.iter().enumerate().map(|(index, unit)| {
        let title = if index == 0 { "Service" } else { "Socket" };
        format!("{title:<10}{}", unit.line())
    });
    let linger = status.lingers.map(|lingers| match lingers {
        true => "Runs      from boot on, without a login (linger)".to_owned(),
        false => "Runs      while you are logged in (loginctl enable-linger: always)".to_owned(),
    });
    let log = status
        .units
        .first()
        .map(|unit| format!("Log       journalctl --user --unit {}", unit.name));
    units.chain(linger).chain(log).chain(files).collect()
}

/// The file that starts the daemon at login, on systems without units.
fn login_file(resolved: &Resolved, system: &System) -> Outcome<PathBuf> {
    let profile = resolved.profile.to_string();
    Ok(match system {
        System::Launchd => {
            let home = etcetera::home_dir().map_err(|error| {
                Failure::bare(Code::HomeUnknown, error.to_string()).hint("set HOME")
            })?;
            let name = format!("{}.plist", launchd::label(&profile));
            home.join("Library/LaunchAgents").join(name)
        }
        System::Systemd | System::TaskScheduler => {
            let name = format!("{}.xml", logon_task::name(&profile));
            resolved.paths.profile_state(&resolved.profile).join(name)
        }
    })
}

fn write_login_file(global: &GlobalArgs, system: &System) -> Outcome {
    let resolved = Resolved::load(global)?;
    let recipe = Recipe::of(&resolved, global)?;
    let path = login_file(&resolved, system)?;
    let (content, next) = match system {
        System::Launchd => {
            (launchd::plist(&recipe).into_bytes(), "The next login starts the daemon.".to_owned())
        }
        System::Systemd | System::TaskScheduler => (
            logon_task::encoded(&logon_task::xml(&recipe)),
            format!(
                "To start the daemon at each logon: schtasks /create /tn {} /xml \"{}\"",
                logon_task::name(&recipe.profile),
                path.display()
            ),
        ),
    };
    write_private(&path, &content).map_err(|error| unwritable(&path, &error))?;
    say(&format!("Wrote {}. {next}", path.display()));
    say("This is not tested on this system.");
    warn_of_unseen(&resolved);
    Ok(())
}

fn remove_login_file(resolved: &Resolved, system: &System) -> Outcome {
    let path = login_file(resolved, system)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(unremovable(&path, &error));
        }
        _ => {}
    }
    say(&format!("Removed {}. A daemon that runs goes on: `dockbridge stop`.", path.display()));
    if let System::TaskScheduler = system {
        let name = logon_task::name(&resolved.profile.to_string());
        say(&format!("To remove the task: schtasks /delete /tn {name}"));
    }
    Ok(())
}

#[cfg(test)]
#[path = "../../tests/service/login_files.rs"]
mod tests;
