//! What the registries of errors and warnings say about a code, as `explain --json` prints it.

use serde::Serialize;

use crate::category::Category;
use crate::code::Code;
use crate::document::SCHEMA;
use crate::warning_code::{Severity, WarningCode};

/// `explain --json`: one code, or all of them. An error and a warning may share a code.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExplainDocument {
    /// The version of this schema.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA)))]
    pub schema: u32,
    /// Codes of errors.
    pub errors: Vec<ErrorMeaning>,
    /// Codes of warnings.
    pub warnings: Vec<WarningMeaning>,
}

/// What a code of an error means.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ErrorMeaning {
    /// The code.
    pub code: Code,
    /// What it concerns.
    pub category: Category,
    /// What happened, without the names of the case.
    pub title: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What the user can do.
    pub cure: &'static str,
    /// Whether the same request may succeed later although the user changes nothing.
    pub retryable: bool,
    /// Commands and settings that help.
    pub hints: Vec<String>,
}

/// What a code of a warning means.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WarningMeaning {
    /// The code.
    pub code: WarningCode,
    /// How much it matters.
    pub severity: Severity,
    /// What holds, without the names of the case.
    pub title: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What the user can do.
    pub cure: &'static str,
    /// Seconds for which it has to hold before it is shown.
    pub delay_seconds: u64,
    /// Warnings that cause this one: while one of them is shown, this one is not.
    pub depends_on: &'static [WarningCode],
}

impl ExplainDocument {
    /// The present version.
    pub fn new(errors: Vec<ErrorMeaning>, warnings: Vec<WarningMeaning>) -> Self {
        Self { schema: SCHEMA, errors, warnings }
    }
}

impl ErrorMeaning {
    /// What the registry says; the command line knows the hint.
    pub fn of(code: Code, hint: Option<String>) -> Self {
        let entry = code.entry();
        Self {
            code,
            category: entry.category,
            title: entry.title,
            cause: entry.cause,
            cure: entry.cure,
            retryable: entry.is_retryable,
            hints: hint.into_iter().collect(),
        }
    }
}

impl WarningMeaning {
    /// What the registry says.
    pub fn of(code: WarningCode) -> Self {
        let entry = code.entry();
        Self {
            code,
            severity: entry.severity,
            title: entry.title,
            cause: entry.cause,
            cure: entry.cure,
            delay_seconds: entry.delay_seconds,
            depends_on: entry.depends_on,
        }
    }
}
