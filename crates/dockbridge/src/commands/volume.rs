//! `dockbridge volume`: the disk that survives.

use std::io::{BufRead as _, IsTerminal as _};

use crate::failure::{Failure, Outcome};
use crate::output::say;
use crate::resolved::{GlobalArgs, Resolved};

/// What can be done with volumes.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the volumes of this profile
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a volume with all images, containers and volumes on it, for good
    Delete {
        /// Its name or id
        volume: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Runs it.
pub async fn run(command: Command, global: &GlobalArgs) -> Outcome {
    let cloud = Resolved::load(global)?.cloud()?;
    let volumes = cloud.volumes().await?;
    match command {
        Command::List { json: true } => {
            let text = serde_json::to_string_pretty(&volumes).map_err(|error| Failure::new(error.to_string()))?;
            say(&text);
        }
        Command::List { json: false } => {
            if volumes.is_empty() {
                say("There is no volume.");
            }
            for volume in volumes {
                let attached = volume.server.map_or("not attached".to_owned(), |server| format!("attached to server {server}"));
                let price = volume.price_monthly.map(|price| format!(", {price:.2} EUR net a month")).unwrap_or_default();
                say(&format!("{} ({}, {} GB in {}), {attached}{price}", volume.name, volume.id, volume.size, volume.location));
            }
        }
        Command::Delete { volume: wanted, yes } => {
            let Some(volume) = volumes.iter().find(|volume| volume.name == wanted || volume.id.to_string() == wanted) else {
                let known = volumes.iter().map(|volume| volume.name.as_str()).collect::<Vec<_>>().join(", ");
                let hint = if known.is_empty() { "this profile has none".to_owned() } else { format!("this profile has {known}") };
                return Err(Failure::new(format!("there is no volume {wanted:?}")).hint(hint));
            };
            if let Some(server) = volume.server {
                return Err(Failure::new(format!("volume {} is attached to server {server}", volume.name))
                    .hint("`dockbridge server destroy` first"));
            }
            if !yes {
                confirm(&volume.name)?;
            }
            cloud.delete_volume(volume.id).await?;
            say(&format!("Volume {} is gone.", volume.name));
        }
    }
    Ok(())
}

fn confirm(name: &str) -> Outcome {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new("nobody is there to confirm").hint("add --yes to delete without being asked"));
    }
    say(&format!("Everything on it is lost. Type its name, {name}, to delete it:"));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.trim() == name { Ok(()) } else { Err(Failure::new("not deleted: that was not its name")) }
}
