//! `dockbridge cost`: what ran in a month, and what it costs.

use daemon::{Bill, Ledger, Month, Purpose};
use jiff::Timestamp;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output::say;
use crate::resolved::{GlobalArgs, Resolved};

/// Arguments of `cost`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Another month than this one, such as 2026-11
    #[arg(long, value_name = "YYYY-MM", value_parser = month)]
    month: Option<Month>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

fn month(text: &str) -> Result<Month, String> {
    Month::parse(text).ok_or_else(|| "write a month as 2026-11".to_owned())
}

#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    bill: &'a Bill,
    budget: Option<f64>,
}

/// Runs it.
pub fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load_valid(global)?;
    let now = Timestamp::now();
    let lease = i64::try_from(resolved.settings.keepalive.timeout.as_secs()).unwrap_or(i64::MAX);
    let ledger = Ledger::load(&resolved.paths.profile_state(&resolved.profile));
    let bill = ledger.bill(arguments.month.unwrap_or_else(|| Month::of(now)), lease, now);
    #[expect(clippy::cast_precision_loss, reason = "a budget is at most a million")]
    let budget = resolved.settings.activity.budget.map(|limit| limit as f64 / 1e6);
    if arguments.json {
        say(&serde_json::to_string_pretty(&Told { bill: &bill, budget })
            .map_err(|error| Failure::new(error.to_string()))?);
        return Ok(());
    }
    for line in lines(&bill, budget) {
        say(&line);
    }
    Ok(())
}

fn lines(bill: &Bill, budget: Option<f64>) -> Vec<String> {
    let currency = &bill.currency;
    let mut lines = vec![format!(
        "{} (UTC), net, in {currency}, as seen by this \
        computer",
        bill.month
    )];
    let minute = |moment: Timestamp| moment.strftime("%Y-%m-%d %H:%M").to_string();
    for server in &bill.servers {
        let until = server.until.map_or_else(|| "now".to_owned(), minute);
        let note = if server.estimated { " (its end was not seen)" } else { "" };
        let span = format!("{} to {until}{note}", minute(server.from));
        let built =
            if server.purpose == Purpose::ImageBuilder { ", an image was built on it" } else { "" };
        let what = format!("{} in {} ({}){built}", server.server_type, server.location, server.id);
        lines.push(format!(
            "  {what}, {span}: {} started h at {:.4}: \
            {:.4}",
            server.hours, server.hourly, server.cost
        ));
    }
    for volume in &bill.volumes {
        let what = format!("volume of {} GB in {} ({})", volume.size, volume.location, volume.id);
        lines.push(format!(
            "  {what}: {} h at {:.2} a month: \
            {:.4}",
            volume.hours, volume.monthly, volume.cost
        ));
    }
    if bill.servers.is_empty() && bill.volumes.is_empty() {
        lines.push("  Nothing of this profile ran.".to_owned());
    }
    lines.push(format!("Total {:.2} {currency}", bill.total));
    if let Some(budget) = budget {
        lines.push(format!(
            "Budget {budget:.2} {currency} a month, {:.0} % of it \
            spent",
            bill.total / budget * 100.0
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use daemon::{ServerBill, VolumeBill};

    use super::*;

    #[test]
    fn a_bill_tells_each_part_with_its_price() {
        let server = ServerBill {
            id: 7,
            name: "m".to_owned(),
            server_type: "cx23".to_owned(),
            location: "fsn1".to_owned(),
            from: "2026-11-10T08:00:00Z".parse().unwrap(),
            until: Some("2026-11-10T09:05:00Z".parse().unwrap()),
            estimated: true,
            purpose: Purpose::Machine,
            hours: 2,
            hourly: 0.0096,
            cost: 0.0192,
        };
        let volume = VolumeBill {
            id: 9,
            name: "v".to_owned(),
            size: 20,
            location: "fsn1".to_owned(),
            hours: 72,
            monthly: 0.88,
            cost: 0.088,
        };
        let bill = Bill {
            month: "2026-11".to_owned(),
            currency: "EUR".to_owned(),
            total: 0.1072,
            servers: vec![server],
            volumes: vec![volume],
        };
        assert_eq!(
            lines(&bill, Some(0.2)),
            [
                "2026-11 (UTC), net, in EUR, as seen by this computer",
                "  cx23 in fsn1 (7), 2026-11-10 08:00 to 2026-11-10 09:05 (its end was not seen): \
                    2 started h at 0.0096: 0.0192",
                "  volume of 20 GB in fsn1 (9): 72 h at 0.88 a month: 0.0880",
                "Total 0.11 EUR",
                "Budget 0.20 EUR a month, 54 % of it spent",
            ]
        );
    }
}
