//! Runs the machine's programs. Every process of the machine can read arguments, so secrets are
//! passed on standard input.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The machine's programs. The PATH of a non-interactive login often lacks `sbin`.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs programs from a search path.
#[derive(Debug, Clone)]
pub struct Commands {
    path: OsString,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// Standard error and standard output, for an error message.
    pub output: String,
}

/// Why a program did not do its work.
#[derive(Debug, Error)]
pub enum CommandError {
    /// It could not be run to its end.
    #[error(transparent)]
    NotRun(#[from] io::Error),
    /// It failed with this output.
    #[error("{0}")]
    Failed(String),
}

impl Ended {
    /// Whether it ended with status 0.
    pub fn success(&self) -> bool {
        self.status == Some(0)
    }
}

impl Commands {
    /// The machine's programs. Below another root only the programs of a test are run, never one
    /// that could end the host.
    pub fn under(root: &Path) -> Self {
        match root == Path::new("/") {
            true => Self { path: PATH.into() },
            false => Self { path: root.join("programs").into() },
        }
    }

    /// Runs a program to its end, or kills it after `limit`.
    pub async fn run(
        &self,
        program: &str,
        arguments: &[&str],
        stdin: &[u8],
        limit: Duration,
    ) -> io::Result<Ended> {
        let mut child = Command::new(program)
            .args(arguments)
            .env("PATH", &self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take();
        let running = async {
            if let Some(mut input) = input {
                // A program that does not read its input is judged by its status.
                let _ = input.write_all(stdin).await;
            }
            child.wait_with_output().await
        };
        let output = tokio::time::timeout(limit, running)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let text = [output.stderr, output.stdout].concat();
        Ok(Ended {
            status: output.status.code(),
            output: String::from_utf8_lossy(&text).trim().to_owned(),
        })
    }
}
