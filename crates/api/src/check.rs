//! The result of a check of `dockbridge doctor`, and what `--fix` did. `check_code.rs` is the
//! registry of the checks; how something is checked is not known here.

use serde::{Deserialize, Serialize};

use crate::check_code::CheckCode;

words! {
    /// The result of a check.
    pub enum CheckState {
        /// Nothing is wrong.
        Ok = "ok",
        /// It works, and the user may want to know something.
        Hint = "hint",
        /// Something does not work.
        Broken = "broken",
        /// It was not run: a check that it depends on failed, or it does not apply here.
        NotRun = "not_run",
    }
}

/// A check with its result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Check {
    /// Which one, for programs.
    pub code: CheckCode,
    /// Its subject, human-readable.
    pub title: String,
    /// The result.
    pub state: CheckState,
    /// What was found, human-readable.
    pub message: String,
    /// Why it happens, of a hint or of something broken.
    pub cause: Option<String>,
    /// What the user can do, of a hint or of something broken.
    pub cure: Vec<String>,
    /// Checks that have to succeed first.
    pub depends_on: Vec<CheckCode>,
    /// The failed check because of which this one was not run.
    pub not_run_because: Option<CheckCode>,
    /// Whether `--fix` repairs it.
    pub fixable: bool,
    /// How long it took.
    pub seconds: f64,
}

/// What `--fix` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Repair {
    /// The check that found it.
    pub code: CheckCode,
    /// Whether it succeeded.
    pub done: bool,
    /// What was done, or why not, human-readable.
    pub message: String,
}
