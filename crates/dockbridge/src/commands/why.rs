//! `dockbridge why`: what keeps the machine, what will end it, and what happens next.

use api::{Cancel, EndingStatus, MachineState, ReasonKind, ReasonStatus, Status, WhyDocument};

use crate::failure::Outcome;
use crate::json::say_json;
use crate::output::say;
use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::duration;

/// Arguments of `why`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let status = Resolved::load_valid(global)?.daemon().status().await?;
    if arguments.json {
        return say_json(&WhyDocument::of(&status));
    }
    for line in lines(&status) {
        say(&line);
    }
    Ok(())
}

fn lines(status: &Status) -> Vec<String> {
    let why = &status.why;
    let mut lines = vec![state(status)];
    match why.reasons.is_empty() {
        true if status.state == MachineState::Up => {
            lines.push("Nothing keeps the machine.".to_owned())
        }
        true => {}
        false => {
            lines.push("Kept by:".to_owned());
            lines.extend(why.reasons.iter().map(|reason| format!("  {}", describe(reason))));
        }
    }
    if !why.endings.is_empty() {
        lines.push("It would end:".to_owned());
        lines.extend(why.endings.iter().flat_map(end));
    }
    if let Some(image) = status.machine.as_ref().and_then(super::server::image) {
        lines.push(format!("Made from {image}."));
    }
    lines.extend(why.warnings.iter().map(|warning| format!("Note: {warning}.")));
    lines.push(format!("Next: {}.", why.next));
    lines
}

fn state(status: &Status) -> String {
    let since = seconds(status.since_seconds as u64);
    let name =
        status.machine.as_ref().map(|machine| format!(" ({})", machine.name)).unwrap_or_default();
    let because = status.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    match status.state {
        MachineState::Up => format!("The machine{name} has answered for {since}."),
        MachineState::Absent => format!("There is no machine, for {since}{because}."),
        other => format!("The machine is {other}, for {since}{because}."),
    }
}

/// One line about a reason: kind, subject, age, client, and how long it still counts.
pub fn describe(reason: &ReasonStatus) -> String {
    let mut line = format!("{:<9} {}", reason.kind.word().replace('_', " "), reason.what);
    let silent = reason.silent_seconds.filter(|silent| {
        *silent > 0 && matches!(reason.kind, ReasonKind::Stream | ReasonKind::Port)
    });
    let facts = [
        reason.age_seconds.map(|age| {
            if reason.kind == ReasonKind::Recent {
                format!("{} ago", seconds(age))
            } else {
                format!("for {}", seconds(age))
            }
        }),
        silent.map(|silent| format!("silent for {}", seconds(silent))),
        reason.client.as_ref().map(|client| format!("by {client}")),
        Some(reason.seconds.map_or_else(
            || "while it continues".to_owned(),
            |left| format!("counts for another {}", seconds(left)),
        )),
    ];
    for fact in facts.into_iter().flatten() {
        line.push_str(", ");
        line.push_str(&fact);
    }
    line
}

fn end(ending: &EndingStatus) -> [String; 2] {
    let cancel = match ending.cancelled_by {
        Cancel::Activity => "any activity cancels it",
        Cancel::Unlock => "unlocking the screen cancels it",
        Cancel::Nothing => "only a settings change prevents this",
    };
    let grace = match ending.grace_seconds {
        0 => "in its grace period".to_owned(),
        later => format!("grace period begins in {}", seconds(later)),
    };
    let cause = ending.cause.word().replace('_', " ");
    [
        format!("  {cause:<9} in {}, because {}", seconds(ending.seconds), ending.because),
        format!("            {grace}; {cancel}"),
    ]
}

fn seconds(seconds: u64) -> String {
    duration::format(std::time::Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests;
