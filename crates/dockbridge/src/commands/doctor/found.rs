//! What a check finds, before it has a code and a time. Knows no check and no output.

use api::CheckState;

use super::fix::Fix;

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub state: CheckState,
    /// What was found, human-readable.
    pub message: String,
    /// In place of the registry's cause.
    pub cause: Option<String>,
    /// In place of the registry's cure.
    pub cures: Vec<String>,
    /// What `--fix` does about it.
    pub fixes: Vec<Fix>,
}

impl Found {
    fn new(state: CheckState, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { state, message, cause: None, cures: Vec::new(), fixes: Vec::new() }
    }

    pub fn ok(message: impl Into<String>) -> Self {
        Self::new(CheckState::Ok, message)
    }

    pub fn hint(message: impl Into<String>) -> Self {
        Self::new(CheckState::Hint, message)
    }

    pub fn broken(message: impl Into<String>) -> Self {
        Self::new(CheckState::Broken, message)
    }

    /// It does not apply here, for this reason.
    pub fn not_run(message: impl Into<String>) -> Self {
        Self::new(CheckState::NotRun, message)
    }

    /// An error, with its hints as the cures.
    pub fn of_error(error: &api::Error) -> Self {
        let cures = error.hints.iter().cloned();
        cures.fold(Self::broken(&error.message), Self::cure)
    }

    pub fn cause(self, cause: impl Into<String>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    pub fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cures.push(cure.into());
        self
    }

    pub fn fix(mut self, fix: Fix) -> Self {
        self.fixes.push(fix);
        self
    }
}
