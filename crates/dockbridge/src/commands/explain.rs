//! `dockbridge explain`: what the registries say about a code of an error or a warning.

use api::{Category, Code, ErrorMeaning, ExplainDocument, Severity, WarningCode, WarningMeaning};

use crate::failure::{Failure, Outcome};
use crate::hints::hint;
use crate::json::say_json;
use crate::output::{say, with_arguments};
use crate::wrapping::item;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The code of an error or a warning, such as token_invalid; all of them if not given
    code: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Columns of the names of what is explained.
const NAMES: usize = 14;
/// Columns of a code in a list, with its indentation.
const CODES: usize = 32;
/// A code of this likeness or more is suggested.
const LIKE: f64 = 0.8;
/// And those that are nearly as like.
const NEARLY: f64 = 0.05;

pub fn run(arguments: &Args) -> Outcome {
    let document = match &arguments.code {
        None => document(|_| true),
        Some(typed) => {
            let wanted = typed.trim().to_ascii_lowercase().replace('-', "_");
            document(|word| word == wanted)
        }
    };
    if let (Some(typed), true) = (&arguments.code, is_empty(&document)) {
        return Err(unknown(typed));
    }
    if arguments.json {
        return say_json(&document);
    }
    let lines = match arguments.code {
        Some(_) => explained(&document),
        None => listed(&document),
    };
    lines.iter().for_each(|line| say(line));
    Ok(())
}

fn is_empty(document: &ExplainDocument) -> bool {
    document.errors.is_empty() && document.warnings.is_empty()
}

/// What the registries say about the chosen codes.
fn document(chosen: impl Fn(&str) -> bool) -> ExplainDocument {
    let errors = Code::ALL.iter().filter(|code| chosen(code.word()));
    let errors = errors.map(|code| ErrorMeaning::of(*code, hint(*code).map(with_arguments)));
    let warnings = WarningCode::ALL.iter().filter(|code| chosen(code.word()));
    ExplainDocument::new(errors.collect(), warnings.map(|code| WarningMeaning::of(*code)).collect())
}

fn unknown(typed: &str) -> Failure {
    let message = format!("no error and no warning has the code {typed:?}");
    let failure = Failure::of_code(Code::SettingsInvalid, message).code(2);
    let failure = match similar(typed).as_slice() {
        [] => failure,
        codes => failure.hint(format!("did you mean {}?", codes.join(" or "))),
    };
    failure.hint("`dockbridge explain` lists all codes")
}

/// The codes that are most like it, the best first.
fn similar(typed: &str) -> Vec<&'static str> {
    let words = Code::ALL.iter().map(|code| code.word());
    let words = words.chain(WarningCode::ALL.iter().map(|code| code.word()));
    let mut likely: Vec<(f64, &str)> = words
        .map(|word| (strsim::jaro_winkler(typed, word), word))
        .filter(|(likeness, _)| *likeness >= LIKE)
        .collect();
    likely.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    likely.dedup();
    let best = likely.first().map_or(0.0, |(likeness, _)| *likeness);
    let nearest = likely.into_iter().take_while(|(likeness, _)| best - likeness <= NEARLY);
    nearest.map(|(_, word)| word).collect()
}

/// One code, or the error and the warning that share it.
fn explained(document: &ExplainDocument) -> Vec<String> {
    let errors = document.errors.iter().map(error);
    errors.chain(document.warnings.iter().map(warning)).collect::<Vec<_>>().join(&String::new())
}

fn error(meaning: &ErrorMeaning) -> Vec<String> {
    let mut lines = vec![
        format!("{} (error, {})", meaning.code, meaning.category),
        format!("{}.", meaning.title),
        String::new(),
    ];
    lines.extend(item("Cause", meaning.cause, NAMES));
    lines.extend(item("What to do", meaning.cure, NAMES));
    lines.extend(meaning.hints.iter().flat_map(|hint| item("Hint", hint, NAMES)));
    let again = match meaning.retryable {
        true => "may help, although nothing changes",
        false => "helps only after something has changed",
    };
    lines.extend(item("Trying again", again, NAMES));
    lines
}

fn warning(meaning: &WarningMeaning) -> Vec<String> {
    let mut lines = vec![
        format!("{} (warning, {})", meaning.code, meaning.severity),
        format!("{}.", meaning.title),
        String::new(),
    ];
    lines.extend(item("Cause", meaning.cause, NAMES));
    lines.extend(item("What to do", meaning.cure, NAMES));
    if meaning.delay_seconds > 0 {
        lines.extend(item("Shown", &format!("after {} s", meaning.delay_seconds), NAMES));
    }
    let stronger = meaning.depends_on.iter();
    lines.extend(stronger.flat_map(|code| item("Not shown", &format!("with {code}"), NAMES)));
    lines
}

/// All codes: errors by what they concern, warnings by how much they matter.
fn listed(document: &ExplainDocument) -> Vec<String> {
    let mut lines = Vec::new();
    for category in Category::ALL {
        let codes = document.errors.iter().filter(|meaning| meaning.category == *category);
        lines.push(format!("Errors: {category}"));
        lines.extend(codes.flat_map(|it| item(&format!("  {}", it.code), it.title, CODES)));
        lines.push(String::new());
    }
    for severity in Severity::ALL.iter().rev() {
        let codes = document.warnings.iter().filter(|meaning| meaning.severity == *severity);
        lines.push(format!("Warnings: {severity}"));
        lines.extend(codes.flat_map(|it| item(&format!("  {}", it.code), it.title, CODES)));
        lines.push(String::new());
    }
    lines.push("`dockbridge explain CODE` says more about one.".to_owned());
    lines
}

#[cfg(test)]
mod tests;
