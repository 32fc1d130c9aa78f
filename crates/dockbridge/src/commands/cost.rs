//! `dockbridge cost`: which servers and volumes existed in a month, and what they cost.

use std::time::Duration;

use api::{Actor, Bill, CostDocument, EndCause, Purpose, Warning};
use daemon::{Ledger, Month};
use hetzner::Query;
use jiff::Timestamp;
use tokio::time::timeout;

use crate::failure::Outcome;
use crate::hints::warning_now;
use crate::json::say_json;
use crate::output::say;
use crate::resolved::{GlobalArgs, Resolved};

/// The bill does not wait longer for the cloud's time.
const LONGEST_QUESTION: Duration = Duration::from_secs(2);

/// Arguments of `cost`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Another month, such as 2026-11
    #[arg(long, value_name = "YYYY-MM", value_parser = month)]
    month: Option<Month>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

fn month(text: &str) -> Result<Month, String> {
    Month::parse(text).ok_or_else(|| "write a month as 2026-11".to_owned())
}

pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load_valid(global)?;
    let now = Timestamp::now();
    let lease = i64::try_from(resolved.settings.keepalive.timeout.as_secs()).unwrap_or(i64::MAX);
    let ledger = Ledger::load(&resolved.paths.profile_state(&resolved.profile));
    let bill = ledger.bill(arguments.month.unwrap_or_else(|| Month::of(now)), lease, now);
    #[expect(clippy::cast_precision_loss, reason = "a budget is at most a million")]
    let budget = resolved.settings.activity.budget.map(|limit| limit as f64 / 1e6);
    let warnings: Vec<Warning> = clock_warning(&resolved).await.into_iter().collect();
    if arguments.json {
        return say_json(&CostDocument::new(&bill, budget, &warnings));
    }
    for line in lines(&bill, budget) {
        say(&line);
    }
    for warning in &warnings {
        say(&format!("Note: {warning}."));
    }
    Ok(())
}

/// Months and hours are counted by this computer's clock; each answer of the cloud has the right
/// time. No answer, no warning: the ledger is printed without the cloud, too.
async fn clock_warning(resolved: &Resolved) -> Option<Warning> {
    if resolved.own_host().is_some() {
        return None;
    }
    let client = resolved.client(resolved.token().ok()?).ok()?;
    // A refusal has the time as well.
    let _ = timeout(LONGEST_QUESTION, client.locations().list(&Query::default())).await;
    Some(warning_now(&daemon::clock_condition(client.clock_offset()?)?))
}

fn lines(bill: &Bill, budget: Option<f64>) -> Vec<String> {
    let currency = &bill.currency;
    let mut lines =
        vec![format!("{} (UTC), net, in {currency}, as seen by this computer", bill.month)];
    let minute = |moment: Timestamp| moment.strftime("%Y-%m-%d %H:%M").to_string();
    for server in &bill.servers {
        let until = server.until.map_or_else(|| "now".to_owned(), minute);
        let note = if server.estimated { " (its end was not seen)" } else { "" };
        let span = format!("{} to {until}{note}", minute(server.from));
        let built =
            if server.purpose == Purpose::ImageBuilder { ", an image was built on it" } else { "" };
        let what = format!("{} in {} ({}){built}", server.server_type, server.location, server.id);
        lines.push(format!(
            "  {what}, {span}: {} started h at {:.4}: {:.4}",
            server.hours, server.hourly, server.cost
        ));
        lines.extend(server.end.as_ref().and_then(abnormal_end));
    }
    for volume in &bill.volumes {
        let what = format!("volume of {} GB in {} ({})", volume.size, volume.location, volume.id);
        lines.push(format!(
            "  {what}: {} h at {:.2} a month: {:.4}",
            volume.hours, volume.monthly, volume.cost
        ));
    }
    if bill.servers.is_empty() && bill.volumes.is_empty() {
        lines.push("  Nothing of this profile ran.".to_owned());
    }
    lines.push(format!("Total {:.2} {currency}", bill.total));
    if let Some(budget) = budget {
        lines.push(format!(
            "Budget {budget:.2} {currency} a month, {:.0} % of it spent",
            bill.total / budget * 100.0
        ));
    }
    lines
}

/// A line for a server that neither the user nor the policy ended.
fn abnormal_end(end: &EndCause) -> Option<String> {
    match end.actor {
        Some(Actor::User | Actor::Policy) => None,
        Some(Actor::Daemon) => Some(format!("    deleted by dockbridge: {}", end.reason)),
        None => Some(format!("    not deleted by this computer: {}", end.reason)),
    }
}

#[cfg(test)]
mod tests {
    use api::{ServerBill, VolumeBill};

    use super::*;

    #[test]
    fn bill_lists_each_part_with_its_price_and_unusual_end() {
        let server = ServerBill {
            id: 7,
            name: "m".to_owned(),
            server_type: "cx23".to_owned(),
            location: "fsn1".to_owned(),
            from: "2026-11-10T08:00:00Z".parse().unwrap(),
            until: Some("2026-11-10T09:05:00Z".parse().unwrap()),
            estimated: true,
            end: Some(EndCause::unseen("it is gone")),
            purpose: Purpose::Machine,
            hours: 2,
            hourly: 0.0096,
            cost: 0.0192,
        };
        let ended_by = |id, actor, reason| ServerBill {
            id,
            estimated: false,
            end: Some(EndCause::by(actor, reason)),
            ..server.clone()
        };
        let silent = ended_by(8, Actor::Daemon, "it does not answer");
        let idle = ended_by(10, Actor::Policy, "nothing has used it for 5 min");
        let volume = VolumeBill {
            id: 9,
            name: "v".to_owned(),
            size: 20,
            location: "fsn1".to_owned(),
            hours: 72,
            end: None,
            monthly: 0.88,
            cost: 0.088,
        };
        let bill = Bill {
            month: "2026-11".to_owned(),
            currency: "EUR".to_owned(),
            total: 0.1072,
            servers: vec![server, silent, idle],
            volumes: vec![volume],
        };
        let warnings = [warning_now(&api::Condition::ClockWrong { offset: 400 })];
        let document = CostDocument::new(&bill, Some(0.2), &warnings);
        testkit::assert_follows("cost", &serde_json::to_value(document).unwrap());
        assert_eq!(
            lines(&bill, Some(0.2)),
            [
                "2026-11 (UTC), net, in EUR, as seen by this computer",
                "  cx23 in fsn1 (7), 2026-11-10 08:00 to 2026-11-10 09:05 (its end was not seen): \
                 2 started h at 0.0096: 0.0192",
                "    not deleted by this computer: it is gone",
                "  cx23 in fsn1 (8), 2026-11-10 08:00 to 2026-11-10 09:05: 2 started h at 0.0096: \
                 0.0192",
                "    deleted by dockbridge: it does not answer",
                "  cx23 in fsn1 (10), 2026-11-10 08:00 to 2026-11-10 09:05: 2 started h at \
                 0.0096: 0.0192",
                "  volume of 20 GB in fsn1 (9): 72 h at 0.88 a month: 0.0880",
                "Total 0.11 EUR",
                "Budget 0.20 EUR a month, 54 % of it spent",
            ]
        );
    }
}
