//! One record of a log: its time, level and text. Client, machine and cloud calls have the same
//! form, so that one filter and one output serve all logs.

use std::fmt::Write as _;

use clap::ValueEnum;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// How much a record matters; the most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something needs attention.
    Warn,
    /// What happens.
    Info,
    /// Each request and stream.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// As the log file writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Error => "ERROR",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Debug => "DEBUG",
            Level::Trace => "TRACE",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all = Self::value_variants().iter().copied();
        all.into_iter().find(|level| level.as_str() == text)
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// A line that the process itself printed has the time of the record before it.
    pub at: Option<Timestamp>,
    pub level: Level,
    /// For a user, without the time.
    pub text: String,
    /// For programs: one line of JSON.
    pub json: String,
}

/// A line of the daemon's log file.
#[derive(Deserialize)]
struct Line {
    timestamp: Timestamp,
    level: String,
    #[serde(default)]
    fields: Map<String, Value>,
    #[serde(default)]
    spans: Vec<Map<String, Value>>,
}

impl Record {
    /// Reads a line of the daemon's log file. What is no record, such as the error of a daemon that
    /// does not start, is an error at the time of the record before it.
    pub fn of_line(line: &str, before: Option<Timestamp>) -> Self {
        let parsed = serde_json::from_str::<Line>(line).ok();
        let Some((read, level)) =
            parsed.and_then(|read| Level::parse(&read.level).map(|level| (read, level)))
        else {
            return Self::new(before, Level::Error, "dockbridge", line);
        };
        let mut text = String::new();
        for span in &read.spans {
            let name = span.get("name").map(plain).unwrap_or_default();
            let fields = pairs(span.iter().filter(|(key, _)| *key != "name"));
            // Writing to a string does not fail.
            let _ = match fields.is_empty() {
                true => write!(text, "{name}: "),
                false => write!(text, "{name}{{{fields}}}: "),
            };
        }
        text.push_str(&read.fields.get("message").map(plain).unwrap_or_default());
        let fields = pairs(read.fields.iter().filter(|(key, _)| *key != "message"));
        if !fields.is_empty() {
            text.push(' ');
            text.push_str(&fields);
        }
        Self { at: Some(read.timestamp), level, text, json: line.to_owned() }
    }

    /// A record of something else than the daemon; `target` names it.
    pub fn new(at: Option<Timestamp>, level: Level, target: &str, message: &str) -> Self {
        let mut object = json!({
            "level": level.as_str(),
            "target": target,
            "fields": {"message": message},
        });
        if let (Some(at), Some(object)) = (at, object.as_object_mut()) {
            object.insert("timestamp".to_owned(), at.to_string().into());
        }
        Self { at, level, text: message.to_owned(), json: object.to_string() }
    }

    /// The line for a user, in UTC. Control characters are shown, not sent to the terminal.
    pub fn line(&self) -> String {
        let at = self.at.map_or_else(String::new, |at| {
            format!("{} ", at.strftime("%Y-%m-%d %H:%M:%S%.3f UTC"))
        });
        let mut line = format!("{at}{:>5} ", self.level.as_str());
        for letter in self.text.chars() {
            match letter.is_control() && letter != '\t' {
                true => line.extend(letter.escape_default()),
                false => line.push(letter),
            }
        }
        line
    }
}

fn pairs<'a>(fields: impl Iterator<Item = (&'a String, &'a Value)>) -> String {
    fields.map(|(key, value)| format!("{key}={}", plain(value))).collect::<Vec<_>>().join(" ")
}

/// A text without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> String {
        let fields = r#"{"message":"answered with an error","status":"503"}"#;
        let span = r#"{"id":"k3vq7xw2hdrm","method":"GET","name":"request"}"#;
        let time = "2026-11-29T10:00:01.123456Z";
        let head = format!(r#""timestamp":"{time}","level":"INFO","target":"t""#);
        format!(r#"{{{head},"fields":{fields},"spans":[{span}]}}"#)
    }

    #[test]
    fn line_of_the_file_is_text_with_its_request_and_fields() {
        let record = Record::of_line(&example(), None);
        assert_eq!(
            record.line(),
            "2026-11-29 10:00:01.123 UTC  INFO request{id=k3vq7xw2hdrm method=GET}: answered with \
             an error status=503"
        );
        assert_eq!(record.json, example());
    }

    #[test]
    fn what_the_process_printed_itself_is_an_error_of_the_same_time() {
        let before = Record::of_line(&example(), None).at;
        let record = Record::of_line("Error: no room\u{1b}[2J", before);
        assert_eq!((record.at, record.level), (before, Level::Error));
        assert!(record.line().ends_with("ERROR Error: no room\\u{1b}[2J"), "{}", record.line());
        let again: Value = serde_json::from_str(&record.json).unwrap();
        assert_eq!(again["fields"]["message"], "Error: no room\u{1b}[2J");
        let foreign = r#"{"timestamp":"2026-11-29T10:00:01Z","level":"LOUD"}"#;
        assert_eq!(Record::of_line(foreign, None).text, foreign);
    }

    #[test]
    fn levels_are_ordered_by_severity() {
        assert!(Level::Error < Level::Warn && Level::Info < Level::Debug);
        for level in Level::value_variants() {
            assert_eq!(Level::parse(level.as_str()), Some(*level));
        }
    }
}
