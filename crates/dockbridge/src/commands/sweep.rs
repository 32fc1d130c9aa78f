//! `dockbridge sweep`: lists and removes orphans.

use api::Code;
use hetzner::Client;
use machine::{Cloud, Owner};
use serde::Serialize;

use crate::failure::{Failure, Outcome, with_causes};
use crate::json::say_json;
use crate::output::{complain, say};
use crate::resolved::{GlobalArgs, Resolved};

/// Arguments of `sweep`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove what is listed. Volumes are never listed
    #[arg(long, short = 'y', alias = "force", short_alias = 'f')]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// An orphan of a machine or of an image build.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Left {
    Machine(machine::Orphan),
    Image(machine::Orphan),
}

impl Left {
    /// What it is, and why nothing claims it.
    pub fn words(&self) -> String {
        let (Left::Machine(orphan) | Left::Image(orphan)) = self;
        let machine::Orphan { kind, id, name, because } = orphan;
        let kind = match kind {
            machine::OrphanKind::Server => "server",
            machine::OrphanKind::Firewall => "firewall",
            machine::OrphanKind::SshKey => "SSH key",
            machine::OrphanKind::PrimaryIp => "primary IP",
        };
        format!("{kind} {name} ({id}): {because}")
    }
}

/// All orphans of this owner. Removes nothing.
pub async fn find(
    resolved: &Resolved,
    cloud: &Cloud,
    client: &Client,
    owner: &Owner,
) -> Outcome<Vec<Left>> {
    let mut left: Vec<Left> = cloud.orphans().await?.into_iter().map(Left::Machine).collect();
    let of_builds = image::orphans(client, owner, &resolved.paths.image_locks()).await?;
    left.extend(of_builds.into_iter().map(Left::Image));
    Ok(left)
}

pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load_valid(global)?;
    let (cloud, client, owner) = (
        resolved.looking_at_project()?,
        resolved.client(resolved.token()?)?,
        resolved.owner_or_temporary()?,
    );
    let left = find(&resolved, &cloud, &client, &owner).await?;
    if arguments.json {
        say_json(&left)?;
    } else if left.is_empty() {
        say("No orphans found.");
    }
    let mut failed = 0;
    for one in &left {
        if !arguments.json {
            say(&one.words());
        }
        if !arguments.yes {
            continue;
        }
        let removed = match one {
            Left::Machine(orphan) => {
                cloud.remove_orphan(orphan).await.map_err(|error| with_causes(&error))
            }
            Left::Image(left) => image::remove_orphan(&client, &owner, &resolved.books(), left)
                .await
                .map_err(|error| with_causes(&error)),
        };
        if let Err(error) = removed {
            failed += 1;
            complain(&format!("Not removed: {error}"));
        }
    }
    if !arguments.json
        && let Some(bills) = super::bills::look(&resolved, true).await
    {
        super::bills::lines(&bills, &resolved.profile.to_string())
            .iter()
            .for_each(|line| say(&format!("Bills     {line}")));
    }
    match (arguments.yes, failed) {
        (_, 1..) => Err(Failure::of_code(
            Code::NotAllRemoved,
            format!("{failed} of {} could not be removed", left.len()),
        )),
        (true, 0) if !left.is_empty() && !arguments.json => {
            say("Removed.");
            Ok(())
        }
        (false, 0) if !left.is_empty() && !arguments.json => {
            say("`dockbridge sweep --yes` removes them.");
            Ok(())
        }
        _ => Ok(()),
    }
}
