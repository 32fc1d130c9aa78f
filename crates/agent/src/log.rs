//! The agent's log. Lines on standard error are in the journal of the resident's unit, or in the
//! client's log of a session. A session also writes to the machine's journal, so that its lines are
//! there when the path to the client is lost.

use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use agent_proto::log_line::{self, LogLevel};

/// The name of a session's lines in the journal: `journalctl -t dockbridge-agent`.
const IDENTIFIER: &str = "dockbridge-agent";

/// An error outside of a session.
pub fn error(message: &str) {
    write(&log_line::line(LogLevel::Error, format_args!("{message}")));
}

/// The log of a session.
pub struct Log {
    /// Whether lines of level debug are written.
    debug: bool,
    /// Missing where no journal runs.
    journal: Option<UnixDatagram>,
}

impl Log {
    /// With the journal that receives datagrams at this socket, if there is one.
    pub fn of_session(journal: &Path, debug: bool) -> Self {
        Self { debug, journal: connect(journal).ok() }
    }

    /// Something of the agent's own failed.
    pub fn error(&self, message: fmt::Arguments<'_>) {
        self.write(LogLevel::Error, message);
    }

    /// A request failed on the machine.
    pub fn info(&self, message: fmt::Arguments<'_>) {
        self.write(LogLevel::Info, message);
    }

    /// Formats nothing unless such lines are written.
    pub fn debug(&self, message: fmt::Arguments<'_>) {
        if self.debug {
            self.write(LogLevel::Debug, message);
        }
    }

    fn write(&self, level: LogLevel, message: fmt::Arguments<'_>) {
        let line = log_line::line(level, message);
        write(&line);
        if let Some(journal) = &self.journal {
            // Lost if the journal is full or restarts: the line is in the client's log.
            let _ = journal.send(entry(level, &line).as_bytes());
        }
    }
}

/// Never waits for the journal: one thread serves all streams.
fn connect(journal: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(journal)?;
    Ok(socket)
}

/// An entry in systemd's native journal protocol: one field a line. Priorities are those of syslog.
fn entry(level: LogLevel, line: &str) -> String {
    let priority = match level {
        LogLevel::Error => 3,
        LogLevel::Info => 6,
        LogLevel::Debug => 7,
    };
    let (_, message) = log_line::split(line.trim_end());
    format!("PRIORITY={priority}\nSYSLOG_IDENTIFIER={IDENTIFIER}\nMESSAGE={message}\n")
}

fn write(line: &str) {
    // In one call, so that lines of several processes do not mix. Without standard error the
    // message is lost.
    let _ = io::stderr().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_session_are_in_the_journal_by_their_level() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        journal.set_nonblocking(true).unwrap();
        let received = || {
            let mut entry = [0; 256];
            let length = journal.recv(&mut entry).ok()?;
            Some(String::from_utf8_lossy(&entry[..length]).into_owned())
        };
        let log = Log::of_session(&path, false);
        log.info(format_args!("stream 3 of request k3vq7xw2hdrm: no\nengine"));
        let fields = "PRIORITY=6\nSYSLOG_IDENTIFIER=dockbridge-agent\n";
        let message = "MESSAGE=stream 3 of request k3vq7xw2hdrm: no engine\n";
        assert_eq!(received().unwrap(), format!("{fields}{message}"));
        log.debug(format_args!("not on demand"));
        assert_eq!(received(), None);
        Log::of_session(&path, true).debug(format_args!("on demand"));
        assert!(received().unwrap().ends_with("MESSAGE=on demand\n"));
    }

    #[test]
    fn machine_without_a_journal_has_a_log_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let log = Log::of_session(&directory.path().join("socket"), false);
        assert!(log.journal.is_none());
        log.error(format_args!("a line for standard error"));
    }
}
