//! The log of the agent's session in the log of this side. The agent writes lines to standard
//! error, each with its level.

use agent_proto::log_line::{self, LogLevel};
use tracing::Level;

/// The target of these lines, for the setting of log levels.
const TARGET: &str = "dockbridge_agent";
/// In bytes. The rest of a longer line is dropped.
const LONGEST_LINE: usize = 4 * 1024;

/// Collects lines from the pieces in which they arrive.
#[derive(Default)]
pub(crate) struct AgentLog {
    line: Vec<u8>,
}

/// Whether the agent has to log each stream.
pub(crate) fn wants_debug() -> bool {
    tracing::enabled!(target: TARGET, Level::DEBUG)
}

impl AgentLog {
    /// Logs the lines that end in this piece.
    pub(crate) fn take(&mut self, piece: &[u8]) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            let room = LONGEST_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if text.len() < part.len() {
                log(&std::mem::take(&mut self.line));
            }
        }
    }
}

fn log(line: &[u8]) {
    let line: String = String::from_utf8_lossy(line).chars().filter(|c| !c.is_control()).collect();
    let (level, message) = log_line::split(&line);
    match level {
        _ if message.is_empty() => {}
        LogLevel::Error => tracing::warn!(target: TARGET, "on the machine: {message}"),
        LogLevel::Info => tracing::info!(target: TARGET, "on the machine: {message}"),
        LogLevel::Debug => tracing::debug!(target: TARGET, "on the machine: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use testkit::CapturedLog;

    use super::*;

    #[test]
    fn lines_are_logged_whole_whatever_pieces_they_come_in() {
        let captured = CapturedLog::begin();
        let mut log = AgentLog::default();
        log.take(b"dockbridge-agent: info: stream 3 of requ");
        assert_eq!(captured.text(), "");
        log.take(b"est k3vq7xw2hdrm: no engine\ndockbridge-agent: it");
        log.take(b" failed\nthread panicked\x1b[31m\n\ndockbridge-agent: debug: each stream\n");
        for (level, message) in [
            (" INFO ", "on the machine: stream 3 of request k3vq7xw2hdrm: no engine"),
            (" WARN ", "on the machine: it failed"),
            (" WARN ", "on the machine: thread panicked[31m"),
        ] {
            assert!(captured.has(&[level, message]), "{message}: {}", captured.text());
        }
        assert_eq!(captured.text().lines().count(), 3, "{}", captured.text());
    }

    #[test]
    fn line_without_an_end_is_bounded() {
        let mut log = AgentLog::default();
        for _ in 0..100 {
            log.take(&[b'x'; 1000]);
        }
        assert_eq!(log.line.len(), LONGEST_LINE);
    }

    #[test]
    fn each_stream_is_wanted_at_level_debug() {
        {
            let _captured = CapturedLog::begin();
            assert!(!wants_debug());
        }
        let _captured = CapturedLog::at(Level::DEBUG);
        assert!(wants_debug());
    }
}
