//! `dockbridge image`: disk images of any operating system as snapshots.

mod build;
mod progress;
mod project;

use std::time::Duration;

use api::Code;
use image::Snapshot;
use jiff::Timestamp;

use crate::examples;
use crate::failure::{Failure, Outcome, with_causes};
use crate::json::say_json;
use crate::output::{complain, say};
use crate::resolved::GlobalArgs;
use crate::settings::duration;

use project::{Opened, Project};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Build an image into a snapshot, unless an equal one exists
    #[command(subcommand, after_help = examples::of(examples::BUILD))]
    Build(Box<build::Command>),
    /// List the snapshots that dockbridge built, with their cost
    #[command(alias = "ls")]
    List {
        #[command(flatten)]
        project: Project,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a snapshot that dockbridge built
    #[command(alias = "rm")]
    Delete {
        /// Id of the snapshot, or its name if no other has the same
        image: String,
        #[command(flatten)]
        project: Project,
    },
    /// Delete old snapshots of each name and architecture
    Prune {
        /// Number of newest snapshots to keep
        #[arg(long, value_name = "COUNT")]
        keep: usize,
        /// Delete only snapshots older than this, e.g. 30d
        #[arg(long, value_name = "AGE", value_parser = duration::parse_long)]
        older_than: Duration,
        /// Show what would be deleted, without deleting
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        project: Project,
    },
}

pub async fn run(command: Command, global: &GlobalArgs) -> Outcome {
    match command {
        Command::Build(command) => build::run(*command, global).await,
        Command::List { project, json } => {
            let Opened { client, owner, .. } = project.open(global)?;
            let snapshots = image::list(&client, &owner).await?;
            if json {
                return say_json(&snapshots);
            }
            if snapshots.is_empty() {
                say("This owner has no images.");
            }
            for line in table(&snapshots) {
                say(&line);
            }
            Ok(())
        }
        Command::Delete { image, project } => {
            let Opened { client, owner, .. } = project.open(global)?;
            let snapshots = image::list(&client, &owner).await?;
            let snapshot = find(&snapshots, &image)?;
            image::delete(&client, &owner, snapshot.id).await?;
            say(&format!("Deleted image {} ({}).", snapshot.name, snapshot.id));
            Ok(())
        }
        Command::Prune { keep, older_than, dry_run, project } => {
            let Opened { client, owner, .. } = project.open(global)?;
            let going = image::surplus(
                &image::list(&client, &owner).await?,
                keep,
                older_than,
                Timestamp::now(),
            );
            if going.is_empty() {
                say("No image is old enough to delete.");
            }
            let mut failed = 0;
            for snapshot in &going {
                say(&format!(
                    "{}{}",
                    describe(snapshot),
                    if dry_run { ": would be deleted" } else { ": deleting" }
                ));
                if !dry_run && let Err(error) = image::delete(&client, &owner, snapshot.id).await {
                    failed += 1;
                    complain(&format!("Not deleted: {}", with_causes(&error)));
                }
            }
            if failed > 0 {
                Err(Failure::of_code(
                    Code::NotAllRemoved,
                    format!("{failed} of {} could not be deleted", going.len()),
                ))
            } else {
                Ok(())
            }
        }
    }
}

fn find<'a>(snapshots: &'a [Snapshot], wanted: &str) -> Outcome<&'a Snapshot> {
    if let Some(snapshot) = snapshots.iter().find(|snapshot| snapshot.id.to_string() == wanted) {
        return Ok(snapshot);
    }
    let named: Vec<&Snapshot> =
        snapshots.iter().filter(|snapshot| snapshot.name == wanted).collect();
    match named.as_slice() {
        [one] => Ok(one),
        [] => Err(Failure::of_code(
            Code::ImageMissing,
            format!("no image of dockbridge is called {wanted:?}"),
        )
        .hint("`dockbridge image list` lists them")),
        several => {
            let ids: Vec<String> = several.iter().map(|snapshot| snapshot.id.to_string()).collect();
            Err(Failure::of_code(
                Code::ImageAmbiguous,
                format!("several images are called {wanted:?}"),
            )
            .hint(format!("use one of these ids: {}", ids.join(", "))))
        }
    }
}

fn describe(snapshot: &Snapshot) -> String {
    let version =
        snapshot.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    format!(
        "{} ({}): {}{version} for {}",
        snapshot.name, snapshot.id, snapshot.os, snapshot.architecture
    )
}

/// One line each, then the total cost.
fn table(snapshots: &[Snapshot]) -> Vec<String> {
    let mut lines: Vec<String> = snapshots
        .iter()
        .map(|snapshot| {
            let made = snapshot
                .created
                .map(|created| created.strftime(", %Y-%m-%d %H:%M").to_string())
                .unwrap_or_default();
            let size = snapshot.size.map(|size| format!(", {size:.2} GB")).unwrap_or_default();
            let price = snapshot
                .price_monthly
                .map(|price| format!(", {price:.4} EUR net a month"))
                .unwrap_or_default();
            let state = if snapshot.status == "available" {
                String::new()
            } else {
                format!(", {}", snapshot.status)
            };
            format!(
                "{}{made}{size}, disk of {} GB{price}{state}",
                describe(snapshot),
                snapshot.disk
            )
        })
        .collect();
    if snapshots.len() > 1 {
        let total: f64 = snapshots.iter().filter_map(|snapshot| snapshot.price_monthly).sum();
        lines.push(format!("{} images, {total:.4} EUR net a month", snapshots.len()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(id: u64, name: &str) -> Snapshot {
        Snapshot {
            id,
            name: name.to_owned(),
            os: "talos".to_owned(),
            version: Some("v1.12.0".to_owned()),
            schematic: None,
            architecture: "x86".to_owned(),
            status: "available".to_owned(),
            created: Some("2026-11-10T08:00:00Z".parse().unwrap()),
            size: Some(0.15),
            disk: 40.0,
            price_monthly: Some(0.0021),
            protected: false,
        }
    }

    #[test]
    fn list_shows_cost_of_each_image_and_total() {
        assert_eq!(
            table(&[snapshot(1, "a"), snapshot(2, "a")]),
            [
                "a (1): talos v1.12.0 for x86, 2026-11-10 08:00, 0.15 GB, disk of 40 GB, 0.0021 \
                 EUR net a month",
                "a (2): talos v1.12.0 for x86, 2026-11-10 08:00, 0.15 GB, disk of 40 GB, 0.0021 \
                 EUR net a month",
                "2 images, 0.0042 EUR net a month",
            ]
        );
    }

    #[test]
    fn a_name_that_several_have_is_not_guessed() {
        let all = [snapshot(1, "a"), snapshot(2, "a"), snapshot(3, "b")];
        assert_eq!(find(&all, "b").unwrap().id, 3);
        assert_eq!(find(&all, "2").unwrap().id, 2);
        assert!(find(&all, "a").unwrap_err().to_string().contains("1, 2"));
        assert!(find(&all, "c").is_err());
    }
}
