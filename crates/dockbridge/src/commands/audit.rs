//! `dockbridge audit`: each call that changed the cloud, with its actor and reason.

use api::{AuditDocument, AuditEntry};
use daemon::AuditLog;

use crate::failure::Outcome;
use crate::json::say_json_line;
use crate::output::say;
use crate::resolved::{GlobalArgs, Resolved};

/// Arguments of `audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON lines, with what was sent
    #[arg(long)]
    pub json: bool,
}

pub fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load(global)?;
    let entries =
        AuditLog::in_directory(&resolved.paths.profile_state(&resolved.profile), "").read();
    if entries.is_empty() && !arguments.json {
        say("No call of this profile has changed the cloud.");
    }
    for entry in &entries {
        match arguments.json {
            true => say_json_line(&AuditDocument::of(entry))?,
            false => say(&format!("{} UTC  {}", at(entry), line(entry))),
        }
    }
    Ok(())
}

fn at(entry: &AuditEntry) -> String {
    entry.at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A call for a user, without its time.
pub fn line(entry: &AuditEntry) -> String {
    let id = entry.id.map(|id| format!(" ({id})")).unwrap_or_default();
    let message = entry.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
    format!(
        "{} {}{id}  {}{message}  by {}: {}",
        entry.method,
        entry.path,
        entry.result,
        entry.actor.words(),
        entry.reason
    )
}
