//! `dockbridge config`: the settings, where they come from, and changes of the file.

pub mod change;
mod edit;
pub mod effect;
pub mod shown;

use api::Code;

use crate::failure::{Failure, Outcome};
use crate::output::{complain, say};
use crate::resolved::{GlobalArgs, Resolved, unusable};
use crate::settings::{Key, Severity, key_named};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print all settings with their values, as YAML; secrets are left out
    Show {
        /// Add where each value comes from: default, line of the file, environment variable
        #[arg(long)]
        origin: bool,
    },
    /// Print the value of one setting
    Get {
        /// Such as activity.idle_timeout
        #[arg(value_name = "SETTING")]
        key: String,
    },
    /// Write a setting into the file, for this profile; comments and order stay
    Set {
        /// Such as activity.idle_timeout
        #[arg(value_name = "SETTING")]
        key: String,
        /// Such as 10m; commas separate the items of a list
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Remove a setting from the file, for this profile
    Unset {
        /// Such as activity.idle_timeout
        #[arg(value_name = "SETTING")]
        key: String,
    },
    /// Edit the file with $VISUAL or $EDITOR; a text with invalid settings does not replace it
    Edit,
    /// Check the file and the environment
    Validate,
    /// Print where the settings file is
    Path,
}

pub async fn run(command: Command, global: &GlobalArgs) -> Outcome {
    match command {
        Command::Show { origin } => show(global, origin),
        Command::Get { key } => get(global, named(&key)?),
        Command::Set { key, value } => change::set(global, named(&key)?, &value).await,
        Command::Unset { key } => change::unset(global, named(&key)?).await,
        Command::Edit => edit::run(global).await,
        Command::Validate => validate(global),
        Command::Path => path(global),
    }
}

/// The setting that the user named.
fn named(given: &str) -> Outcome<Key> {
    key_named(given).map_err(|unknown| {
        let failure = Failure::bare(Code::SettingsInvalid, unknown.to_string());
        // A key of the file that is no name of a setting.
        let of_profile = given.strip_prefix("profiles.").and_then(|rest| rest.split_once('.'));
        match of_profile {
            Some((profile, key)) => {
                failure.hint(format!("write `--profile {profile}` and `{key}` in place of it"))
            }
            None => failure.hint("`dockbridge config show` prints all settings with their values"),
        }
    })
}

fn path(global: &GlobalArgs) -> Outcome {
    let path = match &global.config {
        Some(path) => path.clone(),
        None => crate::paths::Paths::find()
            .map_err(|error| Failure::of_code(Code::HomeUnknown, error.to_string()))?
            .settings(),
    };
    say(&path.display().to_string());
    Ok(())
}

fn show(global: &GlobalArgs, origin: bool) -> Outcome {
    let (resolved, refused) = read(global)?;
    let text = match origin {
        true => shown::with_origins(&resolved, global),
        false => shown::all(&resolved),
    };
    say(text.trim_end());
    match refused.is_empty() {
        true => Ok(()),
        false => Err(unusable(&refused)),
    }
}

fn validate(global: &GlobalArgs) -> Outcome {
    let (resolved, refused) = read(global)?;
    if !refused.is_empty() {
        return Err(unusable(&refused));
    }
    let state = match resolved.settings_file.exists() {
        true => "is valid",
        false => "does not exist: dockbridge uses its defaults",
    };
    say(&format!("{} {state}.", resolved.settings_file.display()));
    Ok(())
}

/// The settings and what is refused of them. Prints what is only probably wrong.
fn read(global: &GlobalArgs) -> Outcome<(Resolved, Vec<crate::settings::Problem>)> {
    let (resolved, problems) = Resolved::read(global)?;
    let (refused, warned): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|problem| problem.severity == Severity::Refused);
    warned.iter().for_each(|problem| complain(&format!("Warning: {problem}")));
    Ok((resolved, refused))
}

/// Prints a value alone, for scripts; of a setting without a value, a note for the user.
fn get(global: &GlobalArgs, key: Key) -> Outcome {
    let resolved = Resolved::load_valid(global)?;
    match shown::value(&resolved, key) {
        shown::Shown::Set(value) => say(&shown::without_quotes(&value)),
        shown::Shown::NotSet(why) => {
            complain(&format!("Note: `{}.{}` is {why}.", key.0, key.1));
        }
    }
    Ok(())
}
