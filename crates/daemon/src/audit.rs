//! The audit log: each call that changed the cloud, as JSON lines in the profile's state directory.
//! The daemon and commands write it, `dockbridge audit` reads it. Large files are rotated.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use api::{AuditEntry, CallResult};
use jiff::Timestamp;
use machine::{Actor, Behalf, Change, ChangeResult};

/// A file with more bytes is rotated: about 3,000 calls, which are some hundred machines.
const LARGEST: u64 = 1024 * 1024;
/// Rotated files that are kept.
const KEPT: u32 = 4;

/// The audit log of one profile.
#[derive(Debug, Clone)]
pub struct AuditLog {
    directory: PathBuf,
    /// The reason of calls without a [`Behalf`].
    by_default: String,
}

impl AuditLog {
    /// Writes nothing yet. `by_default` is the reason of calls without a [`Behalf`], such as the
    /// command that runs.
    pub fn in_directory(directory: &Path, by_default: impl Into<String>) -> Self {
        Self { directory: directory.to_owned(), by_default: by_default.into() }
    }

    /// Adds a call. If the log cannot be written, the work goes on.
    pub fn enter(&self, change: &Change) {
        let behalf =
            Behalf::current().unwrap_or_else(|| Behalf::new(Actor::User, self.by_default.clone()));
        let (result, message) = match &change.result {
            ChangeResult::Accepted => (CallResult::Accepted, None),
            ChangeResult::Refused(message) => (CallResult::Refused, Some(message.clone())),
            ChangeResult::Unknown(message) => (CallResult::Unknown, Some(message.clone())),
        };
        let entry = AuditEntry {
            at: Timestamp::now(),
            actor: behalf.actor,
            reason: behalf.reason,
            request_id: tunnel::current_request().map(|request| request.to_string()),
            process: std::process::id(),
            method: change.method.clone(),
            path: change.path.clone(),
            id: change.id,
            request: change.request.clone(),
            result,
            message,
        };
        if let Err(error) = self.append(&entry) {
            let directory = self.directory.display();
            tracing::warn!(%error, %directory, "the audit log could not be written");
        }
    }

    /// The files, the newest first. A line is an [`AuditEntry`].
    pub fn files(&self) -> Vec<PathBuf> {
        let rotated = (1..=KEPT).map(|number| self.rotated(number));
        std::iter::once(self.current()).chain(rotated).collect()
    }

    /// All entries, oldest first, without damaged lines.
    pub fn read(&self) -> Vec<AuditEntry> {
        let files = self.files().into_iter().rev();
        let texts = files.filter_map(|file| std::fs::read_to_string(file).ok());
        let lines = |text: String| {
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect::<Vec<_>>()
        };
        texts.flat_map(lines).collect()
    }

    fn append(&self, entry: &AuditEntry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        std::fs::create_dir_all(&self.directory)?;
        // A command and the daemon may write at the same time: the lock covers the rotation, too.
        let lock = self.open("audit.lock")?;
        lock.lock()?;
        if self.current().metadata().is_ok_and(|file| file.len() >= LARGEST) {
            self.rotate()?;
        }
        // One write of a file that is only appended to: a reader sees whole lines.
        self.open("audit.jsonl")?.write_all(&line)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).mode(0o600).open(self.directory.join(name))
    }

    fn rotate(&self) -> io::Result<()> {
        for number in (1..KEPT).rev() {
            let (from, to) = (self.rotated(number), self.rotated(number + 1));
            if from.exists() {
                std::fs::rename(from, to)?;
            }
        }
        std::fs::rename(self.current(), self.rotated(1))
    }

    fn current(&self) -> PathBuf {
        self.directory.join("audit.jsonl")
    }

    fn rotated(&self, number: u32) -> PathBuf {
        self.directory.join(format!("audit.{number}.jsonl"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::Value;

    use super::*;

    fn change(id: u64, bytes: usize) -> Change {
        Change {
            method: "DELETE".to_owned(),
            path: format!("/servers/{id}"),
            id: Some(id),
            request: Some(Value::String("x".repeat(bytes))),
            result: ChangeResult::Accepted,
        }
    }

    #[tokio::test]
    async fn entry_has_the_actor_and_reason_of_the_work_that_made_the_call() {
        let directory = tempfile::tempdir().unwrap();
        let log = AuditLog::in_directory(directory.path(), "dockbridge sweep");
        log.enter(&change(1, 1));
        Behalf::new(Actor::Policy, "idle").during(async { log.enter(&change(2, 1)) }).await;
        let entries: Vec<_> =
            log.read().into_iter().map(|entry| (entry.id, entry.actor, entry.reason)).collect();
        let expected = [
            (Some(1), Actor::User, "dockbridge sweep".to_owned()),
            (Some(2), Actor::Policy, "idle".to_owned()),
        ];
        assert_eq!(entries, expected);
        let mode = directory.path().join("audit.jsonl").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn entry_has_the_id_of_the_request_that_the_call_was_made_for() {
        let directory = tempfile::tempdir().unwrap();
        let log = AuditLog::in_directory(directory.path(), "a wake");
        let id = api::RequestId::new(7);
        log.enter(&change(1, 1));
        tunnel::for_request(id, async { log.enter(&change(2, 1)) }).await;
        let ids: Vec<_> = log.read().into_iter().map(|entry| entry.request_id).collect();
        assert_eq!(ids, [None, Some(id.to_string())]);
    }

    #[test]
    fn files_are_rotated_and_the_oldest_is_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let log = AuditLog::in_directory(directory.path(), "");
        let half = usize::try_from(LARGEST / 2).unwrap();
        for id in 1..=14 {
            log.enter(&change(id, half));
        }
        let ids: Vec<u64> = log.read().into_iter().filter_map(|entry| entry.id).collect();
        assert_eq!(ids, (5..=14).collect::<Vec<_>>(), "two a file, in five files");
        std::fs::write(directory.path().join("audit.jsonl"), b"{\"at\":").unwrap();
        assert_eq!(log.read().len(), 8, "a damaged line is left out");
    }
}
