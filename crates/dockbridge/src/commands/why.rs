//! `dockbridge why`: what keeps the machine, how it would end, and what comes next.

use daemon::{EndingStatus, ReasonStatus, Status};
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output::say;
use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::duration;

/// Arguments of `why`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Told<'a> {
    state: &'a str,
    reason: Option<&'a str>,
    since_seconds: f64,
    #[serde(flatten)]
    why: &'a daemon::Why,
    /// What the machine was made from.
    image: Option<&'a machine::UsedImage>,
}

/// Runs it.
pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let status = Resolved::load_what_holds(global)?.daemon().status().await?;
    if arguments.json {
        let Status { state, reason, since_seconds, why, machine, .. } = &status;
        let image = machine.as_ref().and_then(|machine| machine.image.as_ref());
        let told =
            Told { state, reason: reason.as_deref(), since_seconds: *since_seconds, why, image };
        say(&serde_json::to_string_pretty(&told)
            .map_err(|error| Failure::new(error.to_string()))?);
        return Ok(());
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
        true if status.state == "up" => lines.push("Nothing keeps it.".to_owned()),
        true => {}
        false => {
            lines.push("Kept by:".to_owned());
            lines.extend(why.reasons.iter().map(|reason| format!("  {}", describe(reason))));
        }
    }
    if !why.endings.is_empty() {
        lines.push("It would end:".to_owned());
        lines.extend(why.endings.iter().map(|ending| format!("  {}", end(ending))));
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
    match status.state.as_str() {
        "up" => format!("The machine{name} has answered for {since}."),
        "absent" => format!("There is no machine, for {since}{because}."),
        other => format!("The machine is {other}, for {since}{because}."),
    }
}

/// One line about a reason: what, since when, whose, and how long it counts.
pub fn describe(reason: &ReasonStatus) -> String {
    let mut line = format!("{:<9} {}", reason.kind.replace('_', " "), reason.what);
    let silent = reason
        .silent_seconds
        .filter(|silent| *silent > 0 && matches!(reason.kind.as_str(), "stream" | "port"));
    let facts = [
        reason.age_seconds.map(|age| {
            if reason.kind == "recent" {
                format!("{} ago", seconds(age))
            } else {
                format!("for {}", seconds(age))
            }
        }),
        silent.map(|silent| format!("silent for {}", seconds(silent))),
        reason.client.as_ref().map(|client| format!("by {client}")),
        Some(reason.seconds.map_or_else(
            || "as long as it goes on".to_owned(),
            |left| format!("counts another {}", seconds(left)),
        )),
    ];
    for fact in facts.into_iter().flatten() {
        line.push_str(", ");
        line.push_str(&fact);
    }
    line
}

fn end(ending: &EndingStatus) -> String {
    let cancel = match ending.cancelled_by.as_str() {
        "activity" => "any activity cancels it",
        "unlock" => "unlocking the screen cancels it",
        _ => "nothing but other settings cancels it",
    };
    let grace = match ending.grace_seconds {
        0 => "in its grace".to_owned(),
        later => format!("its grace begins in {}", seconds(later)),
    };
    format!(
        "{:<9} in {} ({grace}), since {}; \
        {cancel}",
        ending.cause.replace('_', " "),
        seconds(ending.seconds),
        ending.because
    )
}

fn seconds(seconds: u64) -> String {
    duration::format(std::time::Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(why: &str) -> Status {
        let mut status: serde_json::Value = serde_json::from_str(
            r#"{"profile":"default","socket":"/x","process":1,"state":"up","reason":null,"since_seconds":61.5,"machine":null,"phases":[],
                "report":null,"tunnel":null,"ports":[],"cost":null}"#,
        )
        .unwrap();
        let why: serde_json::Value = serde_json::from_str(why).unwrap();
        status.as_object_mut().unwrap().extend(why.as_object().unwrap().clone());
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn each_reason_has_its_age_its_source_and_its_end() {
        let told = lines(&status(
            r#"{"next":"kept while one thing goes on","warnings":["84 % of this month's budget are spent"],
                "reasons":[
                  {"kind":"build","what":"POST /build","client":"Docker-Client/28.2.2 (linux)","age_seconds":200,"silent_seconds":90,"seconds":null},
                  {"kind":"port","what":"web:8080","client":null,"age_seconds":1300,"silent_seconds":400,"seconds":1400},
                  {"kind":"paid_hour","what":"the hour is paid for another 50 min","seconds":2880}],
                "endings":[{"cause":"max_lifetime","because":"it is old","seconds":10800,"grace_seconds":10770,"cancelled_by":"nothing"}]}"#,
        ));
        assert_eq!(
            told,
            [
                "The machine has answered for 1m 1s.",
                "Kept by:",
                "  build     POST /build, for 3m 20s, by Docker-Client/28.2.2 (linux), as long as \
                    it goes on",
                "  port      web:8080, for 21m 40s, silent for 6m 40s, counts another 23m 20s",
                "  paid hour the hour is paid for another 50 min, counts another 48m",
                "It would end:",
                "  max lifetime in 3h (its grace begins in 2h 59m 30s), since it is old; nothing \
                    but other settings cancels it",
                "Note: 84 % of this month's budget are spent.",
                "Next: kept while one thing goes on.",
            ]
        );
    }

    #[test]
    fn without_a_machine_it_tells_why_there_is_none() {
        let mut status =
            status(r#"{"next":"the next docker command wakes a machine","reasons":[]}"#);
        (status.state, status.reason) = (
            "absent".to_owned(),
            Some(
                "nothing has used it for 5 \
            min"
                .to_owned(),
            ),
        );
        assert_eq!(
            lines(&status),
            [
                "There is no machine, for 1m 1s: nothing has used it for 5 \
                min.",
                "Next: the next docker command wakes a machine."
            ]
        );
    }
}
