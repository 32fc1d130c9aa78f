//! `dockbridge uninstall`: removes dockbridge from this computer, for all profiles of this home.
//! What others still use goes first: daemons, docker contexts and sockets, then state, settings and
//! the program. It deletes nothing in the cloud; before it begins, it lists what costs money there.

mod files;
mod program;

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use api::Code;
use api::client::ClientError;
use machine::Profile;

use self::files::Removal;
use self::program::Program;
use super::{bills, context, plugin, service, stop};
use crate::failure::{Failure, Outcome};
use crate::output::{complain, say};
use crate::resolved::{GlobalArgs, Resolved};

/// Arguments of `uninstall`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Also remove settings, API tokens, owner id and login key: dockbridge then no longer finds
    /// what it created in the cloud
    #[arg(long)]
    purge: bool,
    /// Do not ask for confirmation
    #[arg(long, short = 'y', alias = "force", short_alias = 'f')]
    yes: bool,
}

pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load_valid(global)?;
    let profiles = all_profiles(&resolved, global)?;
    let program = Program::find();
    announce(&resolved, &profiles, &program, arguments.purge);
    let costs = Costs::look(&profiles).await;
    costs.report();
    if !arguments.yes {
        confirm()?;
    }
    for profile in &profiles {
        // Before the daemon: its sockets would start another one.
        service::remove_installed(profile).await?;
        stop_daemon(profile, global).await?;
    }
    for name in context::remove_own(&resolved) {
        say(&format!("Removed the docker context {name:?}."));
    }
    if let Some(link) = plugin::remove_own() {
        say(&format!("Removed the docker plugin {}.", link.display()));
    }
    let paths = &resolved.paths;
    let mut removal = Removal::default();
    let sockets: Vec<PathBuf> = profiles.iter().map(|profile| profile.socket.clone()).collect();
    removal.sockets(paths, &sockets);
    removal.state(paths);
    if arguments.purge {
        profiles.iter().for_each(Resolved::remove_from_keyring);
        removal.settings(paths);
    }
    if let Program::Installed { prefix, files } = &program {
        removal.program(prefix, files);
    }
    Removal::shared(paths);
    finish(&removal, &resolved, &program, arguments.purge)?;
    if costs.is_something() {
        say(if arguments.purge {
            "What is listed above still costs money: delete it in the cloud console."
        } else {
            "What is listed above still costs money."
        });
    }
    Ok(())
}

/// Each profile with files on this computer, and the chosen one.
pub(super) fn all_profiles(resolved: &Resolved, global: &GlobalArgs) -> Outcome<Vec<Resolved>> {
    let mut names = files::profiles(&resolved.paths);
    names.extend([Profile::default().to_string(), resolved.profile.to_string()]);
    names.sort();
    names.dedup();
    let of = |name: String| {
        if name == resolved.profile.to_string() {
            return Ok(resolved.clone());
        }
        // Invalid settings were reported for the chosen profile.
        let arguments = GlobalArgs { profile: name, socket: None, ..global.clone() };
        Resolved::read(&arguments).map(|(resolved, _)| resolved)
    };
    names.into_iter().map(of).collect()
}

fn announce(resolved: &Resolved, profiles: &[Resolved], program: &Program, purge: bool) {
    let paths = &resolved.paths;
    let names: Vec<String> = profiles.iter().map(|it| it.profile.to_string()).collect();
    say(&format!("This removes dockbridge from this computer (profiles: {}):", names.join(", ")));
    say("  daemons, docker contexts, docker plugin and sockets");
    say(&format!(
        "  {}: logs, audit log, books, what the last machine was",
        paths.state().display()
    ));
    let config = paths.config().display();
    if purge {
        say(&format!("  {config}: settings, API tokens, owner id and login key"));
    }
    if let Program::Installed { prefix, files } = program {
        say(&format!("  the program and {} other files in {}", files.len() - 1, prefix.display()));
    }
    if !purge {
        say(&format!(
            "Settings, API tokens, owner id and login key stay in {config}; --purge removes them."
        ));
    }
}

/// What costs money in the cloud projects of these profiles.
#[derive(Default)]
struct Costs {
    lines: Vec<String>,
    endings: Vec<String>,
    /// A profile that has created something, and has no token to look with.
    is_unknown: bool,
}

impl Costs {
    async fn look(profiles: &[Resolved]) -> Self {
        let mut costs = Self::default();
        for profile in profiles {
            if profile.own_host().is_some() {
                continue;
            }
            let Some(bills) = bills::look(profile, true).await else {
                costs.is_unknown |= profile.paths.owner().exists();
                continue;
            };
            // Profiles of one cloud project list the same.
            for line in bills::lines(&bills, "").into_iter().filter(|line| line != "nothing") {
                push_new(&mut costs.lines, line);
            }
            bills::endings_of(&bills)
                .into_iter()
                .for_each(|line| push_new(&mut costs.endings, line));
        }
        costs
    }

    fn is_something(&self) -> bool {
        !self.lines.is_empty()
    }

    fn report(&self) {
        if self.is_unknown {
            say("There is no token to look for what costs money: the cloud console shows it.");
        }
        if self.lines.is_empty() {
            if !self.is_unknown {
                say("Nothing of dockbridge's costs money in the cloud.");
            }
            return;
        }
        say("This stays in the cloud and costs money (net):");
        self.lines.iter().for_each(|line| say(&format!("  {line}")));
        if !self.endings.is_empty() {
            say("To end the costs, run before you uninstall:");
            self.endings.iter().for_each(|line| say(&format!("  {line}")));
        }
    }
}

fn push_new(list: &mut Vec<String>, line: String) {
    if !list.contains(&line) {
        list.push(line);
    }
}

fn confirm() -> Outcome {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::bare(Code::NotConfirmed, "no terminal to ask for confirmation on")
            .hint("add --yes to uninstall without confirmation"));
    }
    say("To go on, type yes:");
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    match line.trim() {
        "yes" => Ok(()),
        _ => Err(Failure::bare(Code::NotConfirmed, "not uninstalled")),
    }
}

async fn stop_daemon(profile: &Resolved, global: &GlobalArgs) -> Outcome {
    if matches!(profile.daemon().status().await, Err(ClientError::NotRunning { .. })) {
        return Ok(());
    }
    say(&format!("Stopping the daemon of profile {}.", profile.profile));
    let arguments = GlobalArgs {
        profile: profile.profile.to_string(),
        socket: Some(profile.socket.clone()),
        ..global.clone()
    };
    stop::run(stop::Args { destroy: false }, &arguments).await
}

fn finish(removal: &Removal, resolved: &Resolved, program: &Program, purge: bool) -> Outcome {
    removal.failed.iter().for_each(|failed| complain(&format!("Not removed: {failed}")));
    if !removal.failed.is_empty() {
        let count = removal.failed.len();
        return Err(Failure::bare(
            Code::FileNotWritten,
            format!("{count} files could not be removed"),
        ));
    }
    let config = resolved.paths.config();
    say(match (purge, config.exists()) {
        (false, true) => "Removed. `dockbridge uninstall --purge` removes the settings, too.",
        _ => "Removed.",
    });
    for path in &removal.foreign {
        let why = match path.ends_with("local-cloud") {
            true => "the project of `dockbridge local-cloud`",
            false => "dockbridge did not make it",
        };
        say(&format!("{} stays: {why}.", path.display()));
    }
    if let Program::Elsewhere(path) = program {
        say(&format!(
            "The program stays at {}: remove it, or its package, as it was installed.",
            path.display()
        ));
    }
    Ok(())
}
