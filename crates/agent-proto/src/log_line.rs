//! The lines of the agent's log on standard error: the program's name, a level, a message. Pure.

use std::fmt;

/// Also the form of an agent that knew no levels, whose lines are errors.
const PROGRAM: &str = "dockbridge-agent: ";
const INFO: &str = "info: ";
const DEBUG: &str = "debug: ";

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Something of the agent's own failed.
    Error,
    /// A request failed on the machine.
    Info,
    /// Each stream. Only on demand.
    Debug,
}

/// The line, with its end. Control characters become spaces: a line stays one line.
pub fn line(level: LogLevel, message: fmt::Arguments<'_>) -> String {
    let level = match level {
        LogLevel::Error => "",
        LogLevel::Info => INFO,
        LogLevel::Debug => DEBUG,
    };
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = format!("{PROGRAM}{level}{message}").chars().map(printable).collect();
    line.push('\n');
    line
}

/// Level and message of a line without its end. What the agent did not write as such a line, such
/// as a panic, is an error.
pub fn split(line: &str) -> (LogLevel, &str) {
    let Some(message) = line.strip_prefix(PROGRAM) else { return (LogLevel::Error, line) };
    match (message.strip_prefix(INFO), message.strip_prefix(DEBUG)) {
        (Some(message), _) => (LogLevel::Info, message),
        (None, Some(message)) => (LogLevel::Debug, message),
        (None, None) => (LogLevel::Error, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_into_what_they_were_made_of() {
        for level in [LogLevel::Error, LogLevel::Info, LogLevel::Debug] {
            let made = line(level, format_args!("two\nlines"));
            assert_eq!(split(made.strip_suffix('\n').unwrap()), (level, "two lines"));
        }
    }

    #[test]
    fn lines_without_a_level_are_errors() {
        assert_eq!(split("dockbridge-agent: it failed"), (LogLevel::Error, "it failed"));
        assert_eq!(split("thread panicked"), (LogLevel::Error, "thread panicked"));
    }
}
