//! `dockbridge logs`: the logs of the daemon, of the machine, and of the calls that changed the
//! cloud, through one filter.

mod arguments;
mod machine;

use std::path::Path;
use std::time::Duration;

use api::{AuditDocument, AuditEntry, CallResult, Code};
use clap::ValueEnum;
use daemon::AuditLog;
use jiff::Timestamp;
use tokio::time::sleep;

use self::arguments::{Lines, lines, moment, request_id};
use super::audit;
use crate::failure::{Failure, Outcome};
use crate::log::file::{Rotation, files};
use crate::log::filter::{Filter, Tail};
use crate::log::follow::LogReader;
use crate::log::record::{Level, Record};
use crate::output::{has_no_reader, say, say_as_is};
use crate::resolved::{GlobalArgs, Resolved};

/// How often a followed file is looked at: a user sees a line at once.
const LOOK: Duration = Duration::from_millis(200);
/// Lines that are shown where the arguments select nothing.
const LINES: usize = 100;

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Source {
    /// Of the daemon on this computer
    Client,
    /// Of the machine: agent, dockerd, cloud-init. It has to be up
    Server,
    /// Calls that changed the cloud
    Audit,
}

/// Arguments of `logs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which log
    #[arg(value_enum, default_value = "client", value_name = "LOG")]
    source: Source,
    /// Go on with new lines until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Show only the last lines: a number, or `all`. Without `--since` and `--request` it is 100
    #[arg(short = 'n', long, value_name = "N", value_parser = lines)]
    tail: Option<Lines>,
    /// Show only lines since then: a duration such as 10m, or a time such as 10:00
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Show only lines of this level or a more severe one
    #[arg(long, value_enum, value_name = "LEVEL")]
    level: Option<Level>,
    /// Show only lines with the id of this request (header X-Request-Id)
    #[arg(long, value_name = "ID", value_parser = request_id)]
    request: Option<String>,
    /// As JSON lines
    #[arg(long)]
    pub json: bool,
}

/// What is shown, and how.
struct View {
    filter: Filter,
    lines: Option<usize>,
    json: bool,
    follow: bool,
}

impl View {
    fn of(arguments: Args) -> Self {
        let Args { follow, tail, since, level, request, json, .. } = arguments;
        let by_default = (since.is_none() && request.is_none()).then_some(LINES);
        Self {
            filter: Filter { since, level, request },
            lines: tail.map_or(by_default, |Lines(lines)| lines),
            json,
            follow,
        }
    }

    fn show(&self, record: &Record) {
        match self.json {
            true => say_as_is(&format!("{}\n", record.json)),
            false => say_as_is(&format!("{}\n", record.line())),
        }
    }

    /// The last of these records.
    fn show_last(&self, records: impl IntoIterator<Item = Record>) {
        let mut tail = Tail::of(self.lines);
        let admitted = records.into_iter().filter(|record| self.filter.admits(record));
        admitted.for_each(|record| tail.push(record));
        tail.into_records().for_each(|record| self.show(&record));
    }
}

pub async fn run(arguments: Args, global: &GlobalArgs) -> Outcome {
    let resolved = Resolved::load_valid(global)?;
    let source = arguments.source;
    let view = View::of(arguments);
    match source {
        Source::Client => {
            let path = resolved.paths.daemon_log(&resolved.profile);
            let mut before = None;
            let read = |line: &str| {
                let record = Record::of_line(line, before);
                before = record.at;
                Some(record)
            };
            let files = files(&path, Rotation::OF_THE_DAEMON.kept);
            show(&view, &path, LogReader::new(files), read).await
        }
        Source::Audit => {
            let directory = resolved.paths.profile_state(&resolved.profile);
            let files = AuditLog::in_directory(&directory, "").files();
            show(&view, &directory, LogReader::new(files), call).await
        }
        Source::Server => machine::show(&view, &resolved).await,
    }
}

/// Shows a log of this computer, line by line. Damaged lines are left out.
async fn show(
    view: &View,
    path: &Path,
    mut log: LogReader,
    mut read: impl FnMut(&str) -> Option<Record>,
) -> Outcome {
    let unreadable = |error: std::io::Error| {
        let path = path.display();
        Failure::of_code(Code::FileNotRead, format!("cannot read the log {path}: {error}"))
    };
    let lines = log.lines().map_err(unreadable)?;
    if lines.is_empty() && !view.json && !view.follow {
        say(&format!("There is no log at {}.", path.display()));
    }
    view.show_last(lines.iter().filter_map(|line| read(line)));
    while view.follow && !has_no_reader() {
        sleep(LOOK).await;
        let lines = log.lines().map_err(unreadable)?;
        let records = lines.iter().filter_map(|line| read(line));
        records.filter(|record| view.filter.admits(record)).for_each(|record| view.show(&record));
    }
    Ok(())
}

/// A line of the audit log.
fn call(line: &str) -> Option<Record> {
    let entry: AuditEntry = serde_json::from_str(line).ok()?;
    let level = match entry.result {
        CallResult::Accepted => Level::Info,
        CallResult::Unknown => Level::Warn,
        CallResult::Refused => Level::Error,
    };
    let json = serde_json::to_string(&AuditDocument::of(&entry)).ok()?;
    Some(Record { at: Some(entry.at), level, text: audit::line(&entry), json })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Args,
    }

    fn view(line: &str) -> View {
        View::of(Line::parse_from(line.split_whitespace()).arguments)
    }

    #[test]
    fn last_lines_are_shown_unless_the_arguments_select_others() {
        for (line, lines) in [
            ("logs", Some(LINES)),
            ("logs --level warn -f", Some(LINES)),
            ("logs --since 10m", None),
            ("logs --request k3vq7xw2hdrm", None),
            ("logs audit -n 3 --since 10m", Some(3)),
            ("logs server --tail all", None),
        ] {
            assert_eq!(view(line).lines, lines, "{line}");
        }
    }

    #[test]
    fn call_has_the_severity_of_its_result_and_its_request() {
        let line = |result: &str| {
            format!(
                r#"{{"at":"2026-11-29T10:00:00Z","actor":"policy","reason":"idle","process":7,
                "request_id":"k3vq7xw2hdrm","method":"DELETE","path":"/servers/7","id":7,
                "result":"{result}"}}"#
            )
        };
        for (result, level) in
            [("accepted", Level::Info), ("unknown", Level::Warn), ("refused", Level::Error)]
        {
            let record = call(&line(result)).unwrap();
            assert_eq!(record.level, level);
            let filter = Filter { request: Some("k3vq7xw2hdrm".to_owned()), ..Filter::default() };
            assert!(filter.admits(&record), "{}", record.json);
            assert!(record.text.starts_with("DELETE /servers/7"), "{}", record.text);
        }
        assert_eq!(call("{\"at\":"), None);
    }
}
