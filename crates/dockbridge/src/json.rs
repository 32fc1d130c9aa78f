//! Documents for programs, on standard output.

use api::Code;
use serde::Serialize;

use crate::failure::{Failure, Outcome};
use crate::output::say;

/// Prints a document.
pub fn say_json(document: &impl Serialize) -> Outcome {
    say(&serde_json::to_string_pretty(document).map_err(|error| unprintable(&error))?);
    Ok(())
}

/// Prints a document on a line of its own.
pub fn say_json_line(document: &impl Serialize) -> Outcome {
    say(&serde_json::to_string(document).map_err(|error| unprintable(&error))?);
    Ok(())
}

fn unprintable(error: &serde_json::Error) -> Failure {
    Failure::of_code(Code::Failed, error.to_string())
}
