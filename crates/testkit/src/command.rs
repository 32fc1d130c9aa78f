//! Runs commands and checks their output.

use std::fmt;
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

/// Ceiling of [`run`]: a command that hangs fails its test.
pub const LONGEST_COMMAND: Duration = Duration::from_secs(180);

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    /// The command as it was typed.
    pub line: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Ran {
    /// Panics with all output unless the command succeeded.
    #[track_caller]
    pub fn succeeded(&self) -> &Self {
        assert!(self.status.success(), "{self}");
        self
    }

    /// Panics with all output unless the command failed with this exit code and each of these
    /// texts on standard error.
    #[track_caller]
    pub fn failed(&self, code: i32, texts: &[&str]) -> &Self {
        assert_eq!(self.status.code(), Some(code), "{self}");
        for text in texts {
            assert!(self.stderr.contains(text), "{text:?} is missing: {self}");
        }
        self
    }

    /// Panics with all output unless the command failed with this text on standard error.
    #[track_caller]
    pub fn failed_with(&self, text: &str) -> &Self {
        assert!(
            !self.status.success() && self.stderr.contains(text),
            "expected a failure with {text:?}: {self}"
        );
        self
    }

    /// Panics with all output unless each of these texts is on standard output.
    #[track_caller]
    pub fn said(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.stdout.contains(text), "{text:?} is missing: {self}");
        }
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, status, stdout, stderr, took } = self;
        write!(
            f,
            "`{line}` ended with {status} after {:.1} s\nstdout: {stdout}\nstderr: {stderr}",
            took.as_secs_f64()
        )
    }
}

/// Runs a command to its end, with this text as its standard input.
pub async fn run(command: Command, input: &str) -> Ran {
    run_within(LONGEST_COMMAND, command, input).await
}

/// [`run`] with a ceiling of its own.
pub async fn run_within(ceiling: Duration, mut command: Command, input: &str) -> Ran {
    let line = format!("{:?}", command.as_std());
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run `{line}`: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    // A command may end without reading its input.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let ended = timeout(ceiling, child.wait_with_output()).await;
    let Output { status, stdout, stderr } = ended
        .unwrap_or_else(|_| panic!("`{line}` did not end within {} s", ceiling.as_secs()))
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { line, status, stdout: text(stdout), stderr: text(stderr), took: begun.elapsed() }
}
