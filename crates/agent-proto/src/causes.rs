//! Errors as text. What client and agent report to each other is text, and so is what they log;
//! inside, an error keeps its causes.

use std::error::Error;

/// An error and its causes, on one line.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
