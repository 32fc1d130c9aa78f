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
