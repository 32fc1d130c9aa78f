//! `dockbridge sweep`: what is left over.

use crate::failure::{Failure, Outcome};
use crate::output::say;
use crate::resolved::{GlobalArgs, Resolved};

/// Arguments of `sweep`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Remove what is listed. Volumes are never among it
    #[arg(long)]
    yes: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let cloud = Resolved::load(global)?.cloud()?;
    let orphans = cloud.orphans().await?;
    if arguments.json {
        let text = serde_json::to_string_pretty(&orphans).map_err(|error| Failure::new(error.to_string()))?;
        say(&text);
    } else if orphans.is_empty() {
        say("Nothing is left over.");
    }
    let mut failed = 0;
    for orphan in &orphans {
        let kind = match orphan.kind {
            machine::OrphanKind::Server => "server",
            machine::OrphanKind::Firewall => "firewall",
            machine::OrphanKind::SshKey => "SSH key",
        };
        if !arguments.json {
            say(&format!("{kind} {} ({}): {}", orphan.name, orphan.id, orphan.because));
        }
        if arguments.yes
            && let Err(error) = cloud.remove_orphan(orphan).await
        {
            failed += 1;
            crate::output::complain(&format!("{kind} {} stays: {}", orphan.name, crate::failure::with_causes(&error)));
        }
    }
    match (arguments.yes, failed) {
        (_, 1..) => Err(Failure::new(format!("{failed} of {} could not be removed", orphans.len()))),
        (true, 0) if !orphans.is_empty() && !arguments.json => {
            say("Removed.");
            Ok(())
        }
        (false, 0) if !orphans.is_empty() && !arguments.json => {
            say("`dockbridge sweep --yes` removes it.");
            Ok(())
        }
        _ => Ok(()),
    }
}
