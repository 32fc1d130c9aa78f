//! A source on the web, fetched by the machine's own `curl`, which supports TLS, redirects and
//! proxies. A download that breaks off or stalls resumes where it ended, if the server supports
//! that and still has the same file.

use std::io::{self, ErrorKind, Read, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::Duration;

use agent_proto::image::WriteEvent;

use super::events::Events;
use super::feed::{Origin, PIECE};
use crate::commands::PATH;

/// How long connecting may take, in seconds.
const CONNECT_SECONDS: &str = "20";
/// The first pause after a failure. It doubles with each further failure without a byte between.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A download that resumes by itself.
pub struct Download {
    url: String,
    stall_seconds: u32,
    attempts: u32,
    events: Events,
    headers: PathBuf,
    transfer: Option<Transfer>,
    /// Received bytes.
    received: u64,
    /// Consecutive failures without a byte between them.
    failures: u32,
    seen: Option<Described>,
    done: bool,
}

struct Transfer {
    curl: Child,
    body: ChildStdout,
    errors: ChildStderr,
}

/// The server's description of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Described {
    status: u16,
    /// Length of the whole file, in bytes.
    length: Option<u64>,
    /// Identifies the version of the file.
    validator: Option<String>,
}

impl Download {
    pub fn new(url: &str, stall_seconds: u32, attempts: u32, events: Events) -> Self {
        let headers =
            std::env::temp_dir().join(format!("dockbridge-headers-{}", std::process::id()));
        let url = url.to_owned();
        Self {
            url,
            stall_seconds,
            attempts,
            events,
            headers,
            transfer: None,
            received: 0,
            failures: 0,
            seen: None,
            done: false,
        }
    }

    fn begin(&self) -> io::Result<Transfer> {
        // An empty file means that this transfer has received no headers.
        std::fs::write(&self.headers, "")?;
        let stall = self.stall_seconds.to_string();
        let mut command = Command::new("curl");
        command
            .env("PATH", PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.args([
            "--config",
            "-",
            "--silent",
            "--show-error",
            "--fail",
            "--location",
            "--connect-timeout",
            CONNECT_SECONDS,
        ]);
        command.args([
            "--proto",
            "=http,https",
            "--proto-redir",
            "=http,https",
            "--speed-limit",
            "1",
            "--speed-time",
            &stall,
        ]);
        command.arg("--dump-header").arg(&self.headers);
        if self.received > 0 {
            command.args(["--continue-at", &self.received.to_string()]);
            if let Some(validator) = self.seen.as_ref().and_then(|seen| seen.validator.as_ref()) {
                command.args(["--header", &format!("If-Range: {validator}")]);
            }
        }
        let mut curl = command.spawn().map_err(|error| {
            io::Error::other(format!("`curl` cannot be run in the rescue system: {error}"))
        })?;
        let (Some(mut config), Some(body), Some(errors)) =
            (curl.stdin.take(), curl.stdout.take(), curl.stderr.take())
        else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        // A URL may be a secret, and every process can read arguments.
        let quoted = self.url.replace('\\', "\\\\").replace('"', "\\\"");
        config.write_all(format!("url = \"{quoted}\"\n").as_bytes())?;
        drop(config);
        let _ = rustix::pipe::fcntl_setpipe_size(&body, PIECE);
        Ok(Transfer { curl, body, errors })
    }

    fn read_headers(&mut self) {
        if self.seen.is_none() {
            let text = std::fs::read(&self.headers).unwrap_or_default();
            self.seen = described(&String::from_utf8_lossy(&text));
        }
    }

    /// Handles the end of a transfer: `Ok` if the download is done or resumes.
    fn transfer_ended(&mut self, mut transfer: Transfer) -> io::Result<()> {
        let mut message = String::new();
        let _ = transfer.errors.read_to_string(&mut message);
        let status = transfer.curl.wait()?;
        self.read_headers();
        let total = self.total();
        if status.success() && total.is_none_or(|total| total == self.received) {
            self.done = true;
            return Ok(());
        }
        let received = self.received;
        let message = message.trim();
        let message = message.strip_prefix("curl: ").unwrap_or(message).to_owned();
        let text = std::fs::read(&self.headers).unwrap_or_default();
        let answered = described(&String::from_utf8_lossy(&text)).map(|seen| seen.status);
        let because = match status.code() {
            Some(0) => format!("it ended after {received} of {} bytes", total.unwrap_or_default()),
            Some(28) if message.contains("too slow") => {
                format!("it sent nothing for {} s", self.stall_seconds)
            }
            Some(33) => {
                return Err(io::Error::other(format!(
                    "the source broke off after {received} bytes and cannot be resumed, \
                     or has changed meanwhile"
                )));
            }
            _ => message,
        };
        if is_final(status.code(), answered) {
            return Err(io::Error::other(format!("the source is not available: {because}")));
        }
        self.failures += 1;
        if self.failures >= self.attempts {
            let times = self.failures;
            return Err(io::Error::other(format!(
                "the source failed {times} times in a row after {received} bytes: {because}"
            )));
        }
        self.events.send(&WriteEvent::Resumed { at: received, because })?;
        pause(FIRST_PAUSE * 2u32.saturating_pow(self.failures - 1));
        Ok(())
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.done || buffer.is_empty() {
                return Ok(0);
            }
            let mut transfer = match self.transfer.take() {
                Some(transfer) => transfer,
                None => self.begin()?,
            };
            match transfer.body.read(buffer) {
                Ok(0) => self.transfer_ended(transfer)?,
                Ok(length) => {
                    self.read_headers();
                    self.received += length as u64;
                    self.failures = 0;
                    self.transfer = Some(transfer);
                    return Ok(length);
                }
                Err(error) => {
                    self.transfer = Some(transfer);
                    return Err(error);
                }
            }
        }
    }
}

impl Origin for Download {
    fn total(&self) -> Option<u64> {
        self.seen.as_ref().and_then(|seen| seen.length)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if let Some(mut transfer) = self.transfer.take() {
            let _ = transfer.curl.kill();
            let _ = transfer.curl.wait();
        }
        let _ = std::fs::remove_file(&self.headers);
    }
}

/// Whether a retry would fail alike: an invalid URL, a missing file, an untrusted certificate
/// (curl's list of exit codes).
fn is_final(code: Option<i32>, answered: Option<u16>) -> bool {
    match code {
        Some(22) => answered.is_some_and(|status| {
            (400..500).contains(&status) && !matches!(status, 408 | 425 | 429)
        }),
        Some(1 | 3 | 35 | 47 | 51 | 53 | 54 | 58 | 59 | 60 | 66 | 77 | 83 | 90 | 91) => true,
        _ => false,
    }
}

/// The last response in curl's dump of headers; those before it are redirects.
fn described(headers: &str) -> Option<Described> {
    let mut seen = None;
    for line in headers.lines() {
        let line = line.trim();
        if line.starts_with("HTTP/") {
            let status = line.split_whitespace().nth(1)?.parse().ok()?;
            seen = Some(Described { status, ..Described::default() });
            continue;
        }
        let (Some((name, value)), Some(seen)) = (line.split_once(':'), seen.as_mut()) else {
            continue;
        };
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "content-length" if seen.status == 200 => seen.length = value.parse().ok(),
            "content-range" => {
                seen.length = value.rsplit('/').next().and_then(|length| length.parse().ok())
            }
            // A weak validator does not promise the same bytes (RFC 9110, 13.1.5).
            "etag" if !value.starts_with("W/") => seen.validator = Some(value.to_owned()),
            "last-modified" if seen.validator.is_none() => seen.validator = Some(value.to_owned()),
            _ => {}
        }
    }
    seen
}

#[expect(clippy::disallowed_methods, reason = "this program uses threads, not a runtime")]
fn pause(length: Duration) {
    std::thread::sleep(length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_and_validator_come_from_the_last_response() {
        let text = "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 5\r\n\r\nHTTP/2 200 \
            \r\ncontent-length: 1234\r\nlast-modified: Mon\r\netag: \"a\"\r\n\r\n";
        assert_eq!(
            described(text),
            Some(Described {
                status: 200,
                length: Some(1234),
                validator: Some("\"a\"".to_owned())
            })
        );
        let text = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes \
            10-19/20\r\nContent-Length: 10\r\nETag: W/\"weak\"\r\n\r\n";
        assert_eq!(
            described(text),
            Some(Described { status: 206, length: Some(20), validator: None })
        );
        assert_eq!(described(""), None);
    }

    #[test]
    fn a_missing_file_is_final_and_a_busy_server_is_not() {
        assert!(is_final(Some(22), Some(404)));
        assert!(!is_final(Some(22), Some(503)));
        assert!(!is_final(Some(22), Some(429)));
        assert!(!is_final(Some(18), Some(200)));
    }
}
