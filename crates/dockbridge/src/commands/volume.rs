//! `dockbridge volume`: the disk that outlives machines.

use std::io::{BufRead as _, IsTerminal as _};

use api::Code;
use api::client::ClientError;
use machine::{Cloud, FileSystem, Resized};

use crate::examples;
use crate::failure::{Failure, Outcome};
use crate::json::say_json;
use crate::output::say;
use crate::resolved::{GlobalArgs, Resolved};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the volumes of this profile
    #[command(alias = "ls")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Grow the volume while everything runs; it cannot shrink again
    Resize {
        /// New size in GB, at most 10240
        #[arg(value_name = "GB", value_parser = gigabytes)]
        size: u64,
    },
    /// Delete a volume with all images, containers and volumes on it, permanently
    #[command(alias = "rm", after_help = examples::of(examples::DELETE_VOLUME))]
    Delete {
        /// Its name or id
        volume: String,
        /// Do not ask for confirmation
        #[arg(long, short = 'y', alias = "force", short_alias = 'f')]
        yes: bool,
    },
}

pub async fn run(command: Command, global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load_valid(global)?;
    let cloud = resolved.looking()?;
    if let Command::Resize { size } = command {
        return resize(&resolved, &cloud, size).await;
    }
    let volumes = cloud.volumes().await?;
    match command {
        Command::Resize { .. } => {}
        Command::List { json: true } => {
            say_json(&volumes)?;
        }
        Command::List { json: false } => {
            if volumes.is_empty() {
                say("No volume exists.");
            }
            for volume in volumes {
                let attached = volume.server.map_or("not attached".to_owned(), |server| {
                    format!("attached to server {server}")
                });
                let price = volume
                    .price_monthly
                    .map(|price| format!(", {price:.2} EUR net a month"))
                    .unwrap_or_default();
                say(&format!(
                    "{} ({}, {} GB in {}), {attached}{price}",
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
                    "this profile has none".to_owned()
                } else {
                    format!("this profile has {known}")
                };
                return Err(Failure::of_code(
                    Code::VolumeUnknown,
                    format!("no volume is called {wanted:?}"),
                )
                .hint(hint));
            };
            if let Some(server) = volume.server {
                return Err(Failure::of_code(
                    Code::VolumeAttached,
                    format!("volume {} is attached to server {server}", volume.name),
                )
                .hint("run `dockbridge server destroy` first"));
            }
            if !yes {
                confirm(&volume.name)?;
            }
            cloud.delete_volume(volume.id).await?;
            say(&format!("Deleted volume {}.", volume.name));
        }
    }
    Ok(())
}

async fn resize(resolved: &Resolved, cloud: &Cloud, size: u64) -> Outcome {
    let Resized { volume, before, file_system } = cloud.resize_volume(size).await?;
    // The daemon tracks the volume's cost and how full it is. Without a daemon there is nothing to
    // update.
    match resolved.daemon().volume_is(&volume).await {
        Ok(_) | Err(ClientError::NotRunning { .. }) => {}
        Err(error) => say(&format!(
            "Note: cannot report the new size to the daemon ({error}); it reads it with the next \
             machine."
        )),
    }
    let instead_of =
        if before == volume.size { String::new() } else { format!(" instead of {before}") };
    let price = volume
        .price_monthly
        .map(|price| format!(", for {price:.2} EUR net a month"))
        .unwrap_or_default();
    say(&format!("Volume {} has {} GB{instead_of}{price}.", volume.name, volume.size));
    match file_system {
        FileSystem::Grown => say("Its file system has grown, too."),
        FileSystem::WhenAMachineIsMade => {
            say("No machine exists now: the file system grows with the next one.")
        }
        FileSystem::Failed { message } => {
            return Err(Failure::of_code(
                Code::FileSystemNotGrown,
                format!("the file system has not grown: {message}"),
            )
            .hint("run the same command again; otherwise it grows with the next machine"));
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
        return Err(Failure::of_code(Code::NotConfirmed, "no terminal to ask for confirmation on")
            .hint("add --yes to delete without confirmation"));
    }
    say(&format!("This deletes everything on it. To confirm, type its name, {name}:"));
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    if line.trim() == name {
        Ok(())
    } else {
        Err(Failure::of_code(Code::NotConfirmed, "not deleted: the name does not match"))
    }
}
