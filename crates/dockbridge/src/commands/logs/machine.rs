//! The log of the machine, read from its journal through the daemon: agent, dockerd, cloud-init.
//! It wakes no machine.

use api::{Code, MachineLogQuery};
use jiff::Timestamp;
use serde_json::Value;

use super::View;
use crate::failure::{Failure, NOT_RUNNING, Outcome};
use crate::log::record::{Level, Record};
use crate::output::has_no_reader;
use crate::resolved::Resolved;

/// An entry of the journal, as `journalctl --output=json` prints it.
struct Entry {
    cursor: Option<String>,
    record: Record,
}

pub async fn show(view: &View, resolved: &Resolved) -> Outcome {
    let daemon = resolved.daemon();
    let filter = &view.filter;
    // The journal counts lines before this side can filter them.
    let counts = filter.level.is_none() && filter.request.is_none();
    let query = MachineLogQuery {
        since: filter.since.map(Timestamp::as_second),
        lines: view.lines.filter(|_| counts).and_then(|lines| u32::try_from(lines).ok()),
        ..MachineLogQuery::default()
    };
    let mut log = daemon.machine_log(&query).await.map_err(refused)?;
    let (mut records, mut cursor) = (Vec::new(), None);
    while let Some(line) = log.next().await? {
        let Some(entry) = entry(&line) else { continue };
        cursor = entry.cursor.or(cursor);
        records.push(entry.record);
    }
    view.show_last(records);
    if !view.follow {
        return Ok(());
    }
    let query = MachineLogQuery { after: cursor, follow: true, ..query };
    let mut log = daemon.machine_log(&query).await.map_err(refused)?;
    while let Some(line) = log.next().await? {
        match entry(&line) {
            Some(Entry { record, .. }) if filter.admits(&record) => view.show(&record),
            _ => {}
        }
        if has_no_reader() {
            return Ok(());
        }
    }
    let message = "the machine's log ended: the machine is gone, or the path to it is lost";
    Err(Failure::of_code(Code::NoMachine, message).code(NOT_RUNNING))
}

/// A machine that does not exist, or cannot be reached now, has the exit code of all such commands.
fn refused(error: api::client::ClientError) -> Failure {
    let code = error.code();
    let failure = Failure::from(error);
    match code {
        Code::NoMachine => failure.code(NOT_RUNNING),
        _ => failure,
    }
}

fn entry(line: &str) -> Option<Entry> {
    let fields: Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| fields[name].as_str();
    let at = text("__REALTIME_TIMESTAMP")?.parse().ok()?;
    let at = Timestamp::from_microsecond(at).ok()?;
    let unit = text("_SYSTEMD_UNIT").or_else(|| text("UNIT"));
    let target = match (text("SYSLOG_IDENTIFIER"), unit) {
        (Some("dockbridge-agent"), _) | (_, Some("dockbridge-agent.service")) => "agent",
        (_, Some("docker.service")) => "docker",
        (_, Some(unit)) if unit.starts_with("cloud-") => "cloud-init",
        (Some(name), _) => name,
        (None, unit) => unit.unwrap_or("journal"),
    };
    let message = message(&fields["MESSAGE"]);
    let mut record =
        Record::new(Some(at), level(text("PRIORITY")), target, message.trim_end_matches('\n'));
    record.text = format!("{target}: {}", record.text);
    Some(Entry { cursor: text("__CURSOR").map(str::to_owned), record })
}

/// The journal prints a message that is not UTF-8, or has control characters, as its bytes.
fn message(message: &Value) -> String {
    let byte = |value: &Value| value.as_u64().and_then(|byte| u8::try_from(byte).ok());
    match message {
        Value::String(text) => text.clone(),
        Value::Array(bytes) => {
            let bytes: Vec<u8> = bytes.iter().filter_map(byte).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => String::new(),
    }
}

/// Priorities are those of syslog.
fn level(priority: Option<&str>) -> Level {
    match priority {
        Some("0" | "1" | "2" | "3") => Level::Error,
        Some("4") => Level::Warn,
        Some("7") => Level::Debug,
        _ => Level::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_the_journal_are_records_of_their_program() {
        for (fields, level, line) in [
            (
                r#""PRIORITY":"6","SYSLOG_IDENTIFIER":"dockbridge-agent","MESSAGE":"stream 3""#,
                Level::Info,
                "agent: stream 3",
            ),
            (
                r#""PRIORITY":"3","_SYSTEMD_UNIT":"docker.service","MESSAGE":"no room""#,
                Level::Error,
                "docker: no room",
            ),
            (
                r#""PRIORITY":"4","_SYSTEMD_UNIT":"cloud-final.service","MESSAGE":[104,105,27,10]"#,
                Level::Warn,
                "cloud-init: hi\\u{1b}",
            ),
            (
                r#""SYSLOG_IDENTIFIER":"systemd","UNIT":"docker.service","MESSAGE":"Started""#,
                Level::Info,
                "docker: Started",
            ),
        ] {
            let text = format!(
                r#"{{"__REALTIME_TIMESTAMP":"1764410400000000","__CURSOR":"s=1",{fields}}}"#
            );
            let Entry { cursor, record } = entry(&text).unwrap();
            assert_eq!(record.level, level, "{fields}");
            assert!(record.line().ends_with(line), "{}", record.line());
            assert!(record.line().starts_with("2025-11-29 10:00:00.000 UTC"), "{}", record.line());
            assert_eq!(cursor.as_deref(), Some("s=1"));
        }
        assert!(entry("-- No entries --").is_none());
    }
}
