//! `dockbridge image`: disk images of any operating system as snapshots.

mod build;
mod progress;

use std::convert::Infallible;
use std::io::Read as _;
use std::time::Duration;

use hetzner::Client;
use image::Snapshot;
use jiff::Timestamp;
use machine::Owner;
use secrecy::{ExposeSecret as _, SecretString};

use crate::failure::{Failure, Outcome, with_causes};
use crate::output::{complain, say};
use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::duration;
use crate::settings::token::{Source, Token};

/// What can be done with images.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Build an image into a snapshot, unless there is an equal one
    #[command(subcommand)]
    Build(Box<build::Command>),
    /// List the snapshots that were built, with what they cost
    List {
        #[command(flatten)]
        project: Project,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Delete a snapshot that was built
    Delete {
        /// Its id, or its name if only one has it
        image: String,
        #[command(flatten)]
        project: Project,
    },
    /// Delete old snapshots of each name and architecture
    Prune {
        /// So many of the newest stay
        #[arg(long, value_name = "COUNT")]
        keep: usize,
        /// Only what is older goes, such as 30d
        #[arg(long, value_name = "AGE", value_parser = duration::parse_long)]
        older_than: Duration,
        /// Only say what would go
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        project: Project,
    },
}

/// Which cloud project.
#[derive(Debug, Clone, clap::Args)]
pub struct Project {
    /// API token; `-` reads it from standard input. Better there or in HCLOUD_TOKEN: arguments are
    /// seen by every process
    #[arg(long, value_name = "TOKEN", value_parser = secret)]
    token: Option<SecretString>,
}

/// A project that can be asked.
struct Opened {
    resolved: Resolved,
    client: Client,
    owner: Owner,
}

impl Project {
    fn open(&self, global: &GlobalArgs) -> Outcome<Opened> {
        let mut resolved = Resolved::load(global)?;
        if let Some(token) = &self.token {
            resolved.settings.hetzner.api_token =
                Some(Token::new(given(token)?.expose_secret(), Source::Argument));
        }
        let client = resolved.client(resolved.token()?)?;
        let owner = resolved.owner_or_nobody()?;
        Ok(Opened { resolved, client, owner })
    }

    /// The same, with an owner id that is made if there is none yet.
    fn open_to_build(&self, global: &GlobalArgs) -> Outcome<Opened> {
        let opened = self.open(global)?;
        Ok(Opened { owner: opened.resolved.owner()?, ..opened })
    }
}

fn secret(text: &str) -> Result<SecretString, Infallible> {
    Ok(SecretString::from(text.trim()))
}

fn given(token: &SecretString) -> Outcome<SecretString> {
    if token.expose_secret() != "-" {
        return Ok(token.clone());
    }
    let mut text = String::new();
    std::io::stdin().lock().take(4096).read_to_string(&mut text)?;
    match text.trim() {
        "" => Err(Failure::new("there is no token on standard input")),
        token => Ok(SecretString::from(token.to_owned())),
    }
}

/// Runs it.
pub async fn run(command: Command, global: &GlobalArgs) -> Outcome {
    match command {
        Command::Build(command) => build::run(*command, global).await,
        Command::List { project, json } => {
            let Opened { client, owner, .. } = project.open(global)?;
            let snapshots = image::list(&client, &owner).await?;
            if json {
                say(&serde_json::to_string_pretty(&snapshots)
                    .map_err(|error| Failure::new(error.to_string()))?);
                return Ok(());
            }
            if snapshots.is_empty() {
                say("There is no image.");
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
            say(&format!("Image {} ({}) is gone.", snapshot.name, snapshot.id));
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
                say("No image is old enough to go.");
            }
            let mut failed = 0;
            for snapshot in &going {
                say(&format!(
                    "{}{}",
                    describe(snapshot),
                    if dry_run { " would go" } else { " goes" }
                ));
                if !dry_run && let Err(error) = image::delete(&client, &owner, snapshot.id).await {
                    failed += 1;
                    complain(&format!("It stays: {}", with_causes(&error)));
                }
            }
            if failed > 0 {
                Err(Failure::new(format!(
                    "{failed} of {} could not be \
                deleted",
                    going.len()
                )))
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
        [] => Err(Failure::new(format!(
            "there is no image {wanted:?} of \
            ours"
        ))
        .hint("`dockbridge image list` shows them")),
        several => {
            let ids: Vec<String> = several.iter().map(|snapshot| snapshot.id.to_string()).collect();
            Err(Failure::new(format!(
                "several images are called \
                {wanted:?}"
            ))
            .hint(format!("name one by its id: {}", ids.join(", "))))
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

/// One line each, and what all of them cost.
fn table(snapshots: &[Snapshot]) -> Vec<String> {
    let mut lines: Vec<String> = snapshots
        .iter()
        .map(|snapshot| {
            let made = snapshot
                .created
                .map(|created| {
                    created
                        .strftime(
                            ", %Y-%m-%d \
                %H:%M",
                        )
                        .to_string()
                })
                .unwrap_or_default();
            let size = snapshot.size.map(|size| format!(", {size:.2} GB")).unwrap_or_default();
            let price = snapshot
                .price_monthly
                .map(|price| {
                    format!(
                        ", {price:.4} EUR net a \
                month"
                    )
                })
                .unwrap_or_default();
            let state = if snapshot.status == "available" {
                String::new()
            } else {
                format!(", {}", snapshot.status)
            };
            format!(
                "{}{made}{size}, disk of {} \
                GB{price}{state}",
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
    fn a_list_tells_what_each_costs_and_all_of_them() {
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
