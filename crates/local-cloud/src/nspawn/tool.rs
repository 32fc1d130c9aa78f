//! Calls the host's own tools and reports their output. Does not know what any of them is for.

use std::ffi::OsStr;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::hypervisor::Failure;

/// Administration tools are in the sbin directories, which a desktop's search path may lack.
pub(super) const DIRECTORIES: &[&str] =
    &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A failure with its cause.
pub(super) fn failure(what: impl Into<String>, cause: impl ToString) -> Failure {
    Failure { what: what.into(), cause: cause.to_string() }
}

/// Turns any error into a [`Failure`] that says what was attempted.
pub(super) trait During<T> {
    /// Says what was attempted.
    fn during(self, what: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: std::fmt::Display> During<T> for Result<T, E> {
    fn during(self, what: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| failure(what, error))
    }
}

/// A command with the administration tools in its search path, and without this process's standard
/// input.
pub(super) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("PATH", DIRECTORIES.join(":"))
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a tool to its end and returns its output.
pub(super) async fn run<S: AsRef<OsStr>>(
    what: &str,
    program: &str,
    args: &[S],
) -> Result<String, Failure> {
    finish(what, program, command(program).args(args).output().await)
}

/// Like [`run`], with input.
pub(super) async fn feed<S: AsRef<OsStr>>(
    what: &str,
    program: &str,
    args: &[S],
    input: &str,
) -> Result<String, Failure> {
    let mut child = command(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .during(format!("{what}: {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that dies before it has read all input says why on stderr, which is more useful
        // than the broken pipe.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    finish(what, program, child.wait_with_output().await)
}

/// A tool's output, or a failure with its last lines.
pub(super) fn finish(
    what: &str,
    program: &str,
    output: std::io::Result<std::process::Output>,
) -> Result<String, Failure> {
    let output = output.during(format!("{what}: {program}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> =
        said.lines().rev().filter(|line| !line.trim().is_empty()).take(4).collect();
    let said = tail.into_iter().rev().collect::<Vec<_>>().join("; ");
    Err(failure(what, format!("{program} ended with {}: {said}", output.status)))
}
