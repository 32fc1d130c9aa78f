//! `dockbridge status`: asks the daemon, or without one the cloud, and prints one screen.

mod answers;
mod details;
mod local_time;
mod row;
mod watch;

use std::io::IsTerminal as _;
use std::time::Duration;

use api::client::ClientError;
use api::{Bills, Code, Status, StatusDocument, Summary};
use daemon::LastKnown;
use machine::{History, Provider as _};

use self::answers::Unserved;
use self::local_time::LocalTime;
use self::row::{Row, Tone};
use super::{bills, server};
use crate::failure::{Failure, NOT_RUNNING, Outcome};
use crate::hints::warning_now;
use crate::json::say_json;
use crate::live_line::counting;
use crate::output::{running_stage, say_styled, terminal_width};
use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::{Severity, duration};

/// Columns of a terminal that does not say how wide it is.
const USUAL_WIDTH: usize = 80;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Keep showing it: live on a terminal, else a line for each change
    #[arg(long, short, conflicts_with = "json")]
    watch: bool,
}

pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load_valid(global)?;
    let status = match resolved.daemon().status().await {
        Ok(status) => status,
        Err(error @ ClientError::NotRunning { .. }) => {
            return Box::pin(without_daemon(&resolved, arguments.json, error, invalid(global)))
                .await;
        }
        Err(error) => return Err(error.into()),
    };
    if arguments.watch {
        return Box::pin(watch::run(&resolved, status)).await;
    }
    let bills = counting(server::ASKING, bills::look(&resolved, false)).await;
    if arguments.json {
        return say_json(&StatusDocument::new(&status, bills.as_ref()));
    }
    let (now, wakes) = (LocalTime::now(), resolved.wakes());
    let bills = bills.as_ref();
    say_rows(screen(&Seen {
        status: &status,
        bills,
        wakes: &wakes,
        invalid: invalid(global),
        now: &now,
    }));
    Ok(())
}

/// How many values of the settings this command ignores. Each is warned of on standard error.
fn invalid(global: &GlobalArgs) -> usize {
    let is_refused = |problem: &&crate::settings::Problem| problem.severity == Severity::Refused;
    Resolved::read(global).map_or(0, |(_, problems)| problems.iter().filter(is_refused).count())
}

/// Everything that one screen shows.
struct Seen<'a> {
    status: &'a Status,
    bills: Option<&'a Bills>,
    wakes: &'a History,
    /// Values of the settings that are ignored.
    invalid: usize,
    now: &'a LocalTime,
}

/// The answers, and everything else below them.
fn screen(seen: &Seen<'_>) -> Vec<Row> {
    let Seen { status, bills, wakes, invalid, now } = *seen;
    let mut rows = answers::answers(status, bills, now);
    if let Some(stage) = running_stage(status, wakes) {
        rows.insert(1, Row::toned("Stage", Tone::Busy, stage));
    }
    rows.extend(settings_row(invalid));
    rows.push(Row::gap());
    rows.extend(details::details(status, now));
    rows.extend(bill_rows(bills, &status.profile));
    rows
}

fn settings_row(invalid: usize) -> Option<Row> {
    let text = match invalid {
        0 => return None,
        1 => "1 value is invalid and ignored: `dockbridge config validate` names it".to_owned(),
        several => {
            format!(
                "{several} values are invalid and ignored: `dockbridge config validate` names them"
            )
        }
    };
    Some(Row::toned("Settings", Tone::Bad, text))
}

fn bill_rows(bills: Option<&Bills>, profile: &str) -> Vec<Row> {
    let lines = bills.map(|known| bills::lines(known, profile)).unwrap_or_default();
    lines.into_iter().map(|line| Row::plain("Bills", line)).collect()
}

/// Prints rows, as wide as the terminal; in a file or a pipe each row is one line.
fn say_rows(rows: Vec<Row>) {
    let is_terminal = std::io::stdout().is_terminal();
    let width = is_terminal.then(|| terminal_width().unwrap_or(USUAL_WIDTH));
    row::styled(&row::completed(rows), width).iter().all(|line| say_styled(line));
}

/// Without a daemon a machine may still exist and cost money.
async fn without_daemon(
    resolved: &Resolved,
    json: bool,
    error: ClientError,
    invalid: usize,
) -> Outcome {
    let looking = resolved.looking();
    let is_set_up = resolved.own_host().is_some() || resolved.token().is_ok();
    let failure = match is_set_up {
        true => Failure::from(error),
        false => Failure::bare(Code::DaemonNotRunning, error.to_string())
            .code(NOT_RUNNING)
            .hint("dockbridge is not set up: run `dockbridge init` first"),
    };
    let servers = async { Some(looking.as_ref().ok()?.servers().await) };
    let bills = async { if json { None } else { bills::look(resolved, false).await } };
    let asking = async { tokio::join!(servers, bills) };
    let (servers, bills) = counting(server::ASKING, asking).await;
    if !json {
        let found = servers.as_ref().and_then(|servers| servers.as_ref().ok());
        let seen = Unserved {
            is_set_up,
            machine: found.and_then(|servers| servers.first()),
            is_unknown: matches!(servers, Some(Err(_))),
            lease_seconds: resolved.settings.keepalive.timeout.as_secs(),
            bills: bills.as_ref(),
        };
        let profile = resolved.profile.to_string();
        let mut rows = answers::without_daemon(&profile, &seen);
        rows.extend(settings_row(invalid));
        let offset = looking.as_ref().ok().and_then(|cloud| cloud.clock_offset());
        let clock = offset.and_then(daemon::clock_condition);
        rows.extend(
            clock.map(|held| Row::toned("Note", Tone::Busy, warning_now(&held).to_string())),
        );
        rows.push(Row::gap());
        rows.push(Row::plain("Profile", profile.as_str()));
        rows.push(Row::plain(
            "Socket",
            format!("unix://{} (not served)", resolved.socket.display()),
        ));
        rows.extend(bill_rows(bills.as_ref(), &profile));
        say_rows(rows);
    }
    Err(with_machine(resolved, failure, servers))
}

/// The failure, with the machine that exists all the same or may exist.
fn with_machine(
    resolved: &Resolved,
    failure: Failure,
    servers: Option<Result<Vec<Summary>, machine::MachineError>>,
) -> Failure {
    match servers {
        None => failure,
        Some(Ok(servers)) => match servers.first() {
            Some(server) => {
                failure.hint(format!("a machine exists all the same: {}", server::describe(server)))
            }
            None => failure,
        },
        Some(Err(error)) => {
            match LastKnown::load(&resolved.paths.profile_state(&resolved.profile)) {
                Some(last) => failure.hint(format!(
                    "the cloud does not answer ({}); this machine may exist: {}",
                    crate::failure::with_causes(&error),
                    last_known(&last.machine, last.age_seconds(jiff::Timestamp::now()))
                )),
                None => failure,
            }
        }
    }
}

/// The last known state of a machine that the cloud does not report now.
fn last_known(machine: &Summary, age: u64) -> String {
    let age = duration::format(Duration::from_secs(age));
    format!("{}, as seen {age} ago", server::describe(machine))
}

#[cfg(test)]
mod tests;
