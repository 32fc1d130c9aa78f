//! The files of a rotation, beside the login key: the new key until it is in use, then the former
//! one until it is removed from the cloud. What exists says which step is next, so that a rotation
//! that was cut off goes on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::Code;
use russh::keys::PrivateKey;

use crate::failure::{Failure, Outcome};
use crate::paths::{unremovable, unwritable, write_private};

/// The next step of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is no new key yet.
    Make,
    /// The new key exists, and the login key is still the former one.
    Admit,
    /// The new key is in use. The former one is admitted, too.
    Remove,
}

/// The files.
#[derive(Debug)]
pub struct Files {
    current: PathBuf,
    next: PathBuf,
    former: PathBuf,
    /// The process ids of daemons that ran when the new key came into use.
    daemons: PathBuf,
}

impl Files {
    /// Beside the login key.
    pub fn beside(current: &Path) -> Self {
        let with = |end: &str| current.with_extension(end);
        Self {
            current: current.to_owned(),
            next: with("next"),
            former: with("old"),
            daemons: with("old-daemons"),
        }
    }

    /// The next step. A new key that is not in use comes first: the former one is then still the
    /// login key, whatever else exists.
    pub fn step(&self) -> Step {
        match (self.next.exists(), self.former.exists()) {
            (true, _) => Step::Admit,
            (false, true) => Step::Remove,
            (false, false) => Step::Make,
        }
    }

    pub fn make_next(&self, text: &str) -> Outcome {
        write_private(&self.next, text.as_bytes()).map_err(|error| unwritable(&self.next, &error))
    }

    pub fn next(&self) -> Outcome<Arc<PrivateKey>> {
        read(&self.next)
    }

    pub fn former(&self) -> Outcome<Arc<PrivateKey>> {
        read(&self.former)
    }

    /// Puts the new key in use, in one step, with a copy of the former one made before.
    pub fn use_next(&self) -> Outcome {
        let text = fs::read(&self.current).map_err(|error| unreadable(&self.current, &error))?;
        // Of a rotation before: its daemons are not those of this one.
        remove(&self.daemons)?;
        write_private(&self.former, &text).map_err(|error| unwritable(&self.former, &error))?;
        fs::rename(&self.next, &self.current).map_err(|error| unwritable(&self.current, &error))
    }

    /// Records the daemons that may use the former key.
    pub fn record_daemons(&self, processes: &[u32]) -> Outcome {
        let text: String = processes.iter().map(|process| format!("{process}\n")).collect();
        write_private(&self.daemons, text.as_bytes())
            .map_err(|error| unwritable(&self.daemons, &error))
    }

    /// Whether a daemon may use the former key. Without a record, each may.
    pub fn may_use_former(&self, process: u32) -> bool {
        fs::read_to_string(&self.daemons)
            .map_or(true, |text| text.lines().any(|line| line == process.to_string()))
    }

    /// Whether it is recorded who may use the former key.
    pub fn has_record(&self) -> bool {
        self.daemons.exists()
    }

    /// Ends the rotation.
    pub fn forget_former(&self) -> Outcome {
        // In this order: a former key without a record counts as used by each daemon.
        remove(&self.former)?;
        remove(&self.daemons)
    }
}

fn read(path: &Path) -> Outcome<Arc<PrivateKey>> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    PrivateKey::from_openssh(&text).map(Arc::new).map_err(|error| {
        Failure::bare(
            Code::KeyUnusable,
            format!("cannot use the private key {}: {error}", path.display()),
        )
        .hint("remove the file, and run `dockbridge key rotate` again")
    })
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::of_code(Code::FileNotRead, format!("cannot read {}: {error}", path.display()))
}

fn remove(path: &Path) -> Outcome {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unremovable(path, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The private keys, as texts, and the step.
    fn state(files: &Files) -> (String, Option<String>, Option<String>, Step) {
        let read = |path: &Path| fs::read_to_string(path).ok();
        (read(&files.current).unwrap(), read(&files.next), read(&files.former), files.step())
    }

    #[test]
    fn each_step_leaves_a_login_key_and_says_what_comes_next() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::beside(&directory.path().join("ssh_ed25519"));
        fs::write(&files.current, "one").unwrap();
        let one = || "one".to_owned();
        let two = || "two".to_owned();
        assert_eq!(state(&files), (one(), None, None, Step::Make));
        files.make_next("two").unwrap();
        assert_eq!(state(&files), (one(), Some(two()), None, Step::Admit));
        // Cut off between the copy of the former key and the new one.
        fs::write(&files.former, "one").unwrap();
        assert_eq!(state(&files).3, Step::Admit);
        files.use_next().unwrap();
        assert_eq!(state(&files), (two(), None, Some(one()), Step::Remove));
        assert!(files.may_use_former(7), "nobody recorded who does not");
        files.record_daemons(&[7]).unwrap();
        assert!(files.may_use_former(7) && !files.may_use_former(77));
        files.forget_former().unwrap();
        assert_eq!(state(&files), (two(), None, None, Step::Make));
        // The record of one rotation does not count for the next.
        files.make_next("three").unwrap();
        files.record_daemons(&[7]).unwrap();
        files.use_next().unwrap();
        assert!(files.may_use_former(8));
    }
}
