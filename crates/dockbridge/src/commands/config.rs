//! `dockbridge config`: the settings, and whether they are valid.

use api::Code;

use crate::failure::Outcome;
use crate::output::{complain, say};
use crate::resolved::{GlobalArgs, Resolved, unusable};
use crate::settings::{Key, SETTINGS, Setting, Severity};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print all settings with their values, as YAML; secrets are left out
    Show,
    /// Check the file and the environment
    Validate,
    /// Print where the settings file is
    Path,
}

pub fn run(command: Command, global: &GlobalArgs) -> Outcome {
    if let Command::Path = command {
        let path = match &global.config {
            Some(path) => path.clone(),
            None => crate::paths::Paths::find()
                .map_err(|error| {
                    crate::failure::Failure::of_code(Code::HomeUnknown, error.to_string())
                })?
                .settings(),
        };
        say(&path.display().to_string());
        return Ok(());
    }
    let (resolved, problems) = Resolved::read(global)?;
    let (refused, warned): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|problem| problem.severity == Severity::Refused);
    warned.iter().for_each(|problem| complain(&format!("Warning: {problem}")));
    if let Command::Show = command {
        say(show(&resolved).trim_end());
    }
    if !refused.is_empty() {
        return Err(unusable(&refused));
    }
    if let Command::Validate = command {
        let state = match resolved.settings_file.exists() {
            true => "is valid",
            false => "does not exist: dockbridge uses its defaults",
        };
        say(&format!("{} {state}.", resolved.settings_file.display()));
    }
    Ok(())
}

/// All settings as YAML, without tokens. Those that are not set stand in comments.
pub fn show(resolved: &Resolved) -> String {
    let mut yaml = String::new();
    let mut last = "";
    for Setting { key: (section, key), .. } in SETTINGS {
        if *section != last {
            yaml.push_str(&format!("{section}:\n"));
            last = section;
        }
        let shown = in_effect(resolved, (section, key)).unwrap_or_else(|| {
            let value = resolved.settings.show((section, key));
            value.map_or(Shown::NotSet("not set"), Shown::Set)
        });
        match shown {
            Shown::Set(value) => yaml.push_str(&format!("  {key}: {value}\n")),
            Shown::NotSet(why) => yaml.push_str(&format!("  # {key}: {why}\n")),
        }
    }
    yaml
}

enum Shown {
    Set(String),
    NotSet(&'static str),
}

/// What holds for settings that depend on more than the settings, if this is one.
fn in_effect(resolved: &Resolved, key: Key) -> Option<Shown> {
    let settings = &resolved.settings;
    let value = match key {
        ("hetzner", "api_token") => {
            let is_used = settings.hetzner.token_command.is_none();
            return Some(Shown::NotSet(
                match (&settings.hetzner.api_token, resolved.kept_token_file()) {
                    (Some(_), _) => "set, not shown",
                    (None, Some(_)) if is_used => "saved by init, not shown",
                    (None, _) => "not set",
                },
            ));
        }
        ("hetzner", "endpoint") => resolved.endpoint(),
        ("docker", "socket_path") => resolved.socket.display().to_string(),
        ("ssh", "private_key_path") => {
            let own = || resolved.paths.private_key();
            settings.ssh.private_key_path.clone().unwrap_or_else(own).display().to_string()
        }
        ("ssh", "port_check") => match resolved.port_check().hosts {
            hosts if hosts.is_empty() => "none".to_owned(),
            hosts => format!("[{}]", hosts.join(", ")),
        },
        _ => return None,
    };
    Some(Shown::Set(value))
}
