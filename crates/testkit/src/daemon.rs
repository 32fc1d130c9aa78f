//! A daemon that a test starts.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// Ceiling of a start and of a stop.
const LONGEST: Duration = Duration::from_secs(20);
/// Time between two checks of a start.
const BETWEEN: Duration = Duration::from_millis(20);

/// A running daemon; killed when dropped.
#[derive(Debug)]
pub struct Daemon {
    /// Its process.
    pub child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts the command and waits until it is ready. Appends its output to the log. Panics with
    /// the log if the process ends or the ceiling is reached.
    pub async fn start(mut command: Command, log: &Path, is_ready: impl AsyncFn() -> bool) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let child = command
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut daemon = Self { child, log: log.to_owned() };
        let begun = Instant::now();
        while !is_ready().await {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the daemon ended with {status}:\n{}", daemon.output());
            }
            assert!(
                begun.elapsed() < LONGEST,
                "the daemon is not ready within {} s:\n{}",
                LONGEST.as_secs(),
                daemon.output()
            );
            sleep(BETWEEN).await;
        }
        daemon
    }

    /// The log.
    pub fn output(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Kills it, like a crash.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Stops it with SIGTERM and waits for its end.
    pub async fn stop(mut self) {
        signal(&self.child, Signal::TERM);
        let ended = timeout(LONGEST, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("the daemon does not stop:\n{}", self.output())).unwrap();
    }
}

/// Sends a signal to a child process.
pub fn signal(child: &Child, signal: Signal) {
    let id = child.id().expect("the process runs");
    let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}
