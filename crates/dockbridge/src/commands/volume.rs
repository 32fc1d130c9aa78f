//! `dockbridge volume`: the disk that survives.

use std::io::{BufRead as _, IsTerminal as _};

use daemon::client::ClientError;
use machine::{Cloud, FileSystem, Resized};

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
    /// Grow the volume while everything runs; it cannot shrink again
    Resize {
        /// Its new size in GB, at most 10240
        #[arg(value_name = "GB", value_parser = gigabytes)]
        size: u64,
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
    let resolved = Resolved::load_what_holds(global)?;
    let cloud = resolved.looking()?;
    if let Command::Resize { size } = command {
        return resize(&resolved, &cloud, size).await;
    }
    let volumes = cloud.volumes().await?;
    match command {
        Command::Resize { .. } => {}
        Command::List { json: true } => {
            let text = serde_json::to_string_pretty(&volumes)
                .map_err(|error| Failure::new(error.to_string()))?;
            say(&text);
        }
        Command::List { json: false } => {
            if volumes.is_empty() {
                say("There is no volume.");
            }
            for volume in volumes {
                let attached = volume.server.map_or("not attached".to_owned(), |server| {
                    format!("attached to server {server}")
                });
                let price = volume
                    .price_monthly
                    .map(|price| {
                        format!(
                            ", {price:.2} EUR net a \
                    month"
                        )
                    })
                    .unwrap_or_default();
                say(&format!(
                    "{} ({}, {} GB in {}), \
                    {attached}{price}",
                    volume.name, volume.id, volume.size, volume.location
                ));
            }
        }
        Command::Delete { volume: wanted, yes } => {
            let Some(volume) = volumes
                .iter()
                .find(|volume| volume.name == wanted || volume.id.to_string() == wanted)
            else {
                let known = volumes
                    .iter()
                    .map(|volume| volume.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", ");
                let hint = if known.is_empty() {
                    "this profile has \
                    none"
                        .to_owned()
                } else {
                    format!("this profile has {known}")
                };
                return Err(Failure::new(format!("there is no volume {wanted:?}")).hint(hint));
            };
            if let Some(server) = volume.server {
                return Err(Failure::new(format!(
                    "volume {} is attached to server \
                    {server}",
                    volume.name
                ))
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

async fn resize(resolved: &Resolved, cloud: &Cloud, size: u64) -> Outcome {
    let Resized { volume, before, file_system } = cloud.resize_volume(size).await?;
    // The daemon counts what it costs and how full it is. Without one there is nothing to tell.
    match resolved.daemon().volume_is(&volume).await {
        Ok(_) | Err(ClientError::NotRunning { .. }) => {}
        Err(error) => say(&format!(
            "Note: the daemon was not told of it ({error}); it looks again \
            with the next machine."
        )),
    }
    let had = if before == volume.size { String::new() } else { format!(" instead of {before}") };
    let price = volume
        .price_monthly
        .map(|price| {
            format!(
                ", for {price:.2} EUR net a \
        month"
            )
        })
        .unwrap_or_default();
    say(&format!("Volume {} has {} GB{had}{price}.", volume.name, volume.size));
    match file_system {
        FileSystem::Grown => say("Its file system has grown with it."),
        FileSystem::WhenAMachineIsMade => {
            say("There is no machine now: its file system grows with \
            the next one.")
        }
        FileSystem::Failed { message } => {
            return Err(Failure::new(format!("its file system has not grown: {message}")).hint(
                "the same command tries once more; otherwise it grows when a machine is next \
                    made",
            ));
        }
    }
    Ok(())
}

fn gigabytes(text: &str) -> Result<u64, String> {
    let number = ["GB", "gb", "G", "g"]
        .iter()
        .find_map(|unit| text.strip_suffix(unit))
        .unwrap_or(text)
        .trim();
    match number.parse() {
        Ok(size @ 10..=10_240) => Ok(size),
        Ok(size) => Err(format!("no volume has {size} GB: choose 10 to 10240")),
        Err(_) => Err("write a size in GB as 40".to_owned()),
    }
}

fn confirm(name: &str) -> Outcome {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(
            "nobody is there to \
            confirm",
        )
        .hint("add --yes to delete without being asked"));
    }
    say(&format!("Everything on it is lost. Type its name, {name}, to delete it:"));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.trim() == name {
        Ok(())
    } else {
        Err(Failure::new(
            "not deleted: that was not its \
        name",
        ))
    }
}
