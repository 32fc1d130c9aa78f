//! Removes secrets from texts and documents: those that this computer has, wherever they stand, and
//! what looks like one by its name or form. Pure.
//!
//! It removes too much rather than too little.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

/// What stands in place of a secret.
pub const REMOVED: &str = "[removed]";
/// A shorter text is no secret that dockbridge has, and occurs in words.
const SHORTEST: usize = 6;

/// Parts of names whose values are secret.
const SECRET: [&str; 9] = [
    "token",
    "secret",
    "passwd",
    "password",
    "api_key",
    "apikey",
    "private_key",
    "credential",
    "authorization",
];
/// Values that say only whether something is set.
const HARMLESS: [&str; 7] = ["set", "saved", "not", "null", "true", "false", "none"];

/// Whether the value of a field, setting or variable of this name is secret.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    name.ends_with("_command") || SECRET.iter().any(|part| name.contains(part))
}

#[expect(clippy::expect_used, reason = "constants, and each test uses all of them")]
fn regex(text: &str) -> Regex {
    Regex::new(text).expect("a valid expression")
}

/// A private key as a file has it, also with escaped line ends, and also cut off.
static KEY: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)")
});
/// Headers that carry credentials, up to the end of the value or line.
static HEADER: LazyLock<Regex> = LazyLock::new(|| {
    let names = "(?:proxy-)?authorization|x-registry-auth|x-registry-config|(?:set-)?cookie";
    regex(&format!(r#"(?i)((?:{names})\\?["']?\s*[:=]\s*\\?["']?)[^"'\r\n]+"#))
});
/// A token in an authorization of any place.
static BEARER: LazyLock<Regex> = LazyLock::new(|| regex(r#"(?i)\b(bearer\s+)[^\s"',;]+"#));
/// What stands before the host in an address, to the last `@`.
static USER_INFO: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"([A-Za-z][A-Za-z0-9+.-]*://)[^/\s"'<>]*@"#));
/// The setting of a command that prints a secret, to the end of the line.
static COMMAND: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"(?im)([\w.-]*_command\\?["']?\s*[:=]\s*)[^\r\n]*"#));
/// A text in quotes.
const QUOTED: &str = r#""(?:[^"\\]|\\.)*"|'[^']*'"#;
/// A name with its value, quoted or not.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    let parts = SECRET.map(|part| part.replace('_', "[_-]?")).join("|");
    regex(&format!(r#"(?i)([\w.-]*(?:{parts})[\w.-]*\\?["']?\s*[:=]\s*)({QUOTED}|[^\s,;}}&]+)"#))
});
/// The length of Hetzner's tokens; ids of containers have no capital letters.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| regex(r"[A-Za-z0-9]{64,}"));

/// Removes secrets.
#[derive(Debug, Clone)]
pub struct Redactor {
    /// Longest first, so that a secret inside another one leaves no rest.
    known: Vec<String>,
}

impl Redactor {
    /// `known` are secrets that this computer has, of one or more lines.
    pub fn new(known: Vec<String>) -> Self {
        let lines = known.iter().flat_map(|text| text.lines()).map(str::trim);
        // Without its first line, the key of another program would not be recognized.
        let lines = lines.filter(|line| line.len() >= SHORTEST && !line.starts_with("-----"));
        let mut known: Vec<String> = lines.flat_map(forms).collect();
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        known.dedup();
        Self { known }
    }

    /// A text without secrets.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.known {
            if text.contains(secret) {
                text = text.replace(secret, REMOVED);
            }
        }
        let text = KEY.replace_all(&text, REMOVED);
        let keep_name = format!("${{1}}{REMOVED}");
        let text = HEADER.replace_all(&text, &keep_name);
        let text = BEARER.replace_all(&text, &keep_name);
        let text = USER_INFO.replace_all(&text, format!("{keep_name}@"));
        let text = COMMAND.replace_all(&text, &keep_name);
        let text = NAMED.replace_all(&text, without_value);
        TOKEN.replace_all(&text, without_token).into_owned()
    }

    /// A document without secrets, as text.
    pub fn json(&self, mut document: Value) -> String {
        self.value(&mut document);
        let text = serde_json::to_string_pretty(&document).unwrap_or_default();
        format!("{text}\n")
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => {
                for (name, field) in fields.iter_mut() {
                    match field {
                        Value::String(_) | Value::Number(_) if is_secret_name(name) => {
                            *field = REMOVED.into();
                        }
                        field => self.value(field),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// A secret as it stands in texts: as it is, and as JSON and debug output escape it.
fn forms(secret: &str) -> Vec<String> {
    let inside = |quoted: String| quoted[1..quoted.len() - 1].to_owned();
    let json = serde_json::to_string(secret).map(inside).unwrap_or_default();
    let mut forms = vec![secret.to_owned(), json, inside(format!("{secret:?}"))];
    forms.retain(|form| form.len() >= SHORTEST);
    forms.dedup();
    forms
}

/// Keeps the quotes, so that a line of JSON stays one.
fn without_value(found: &Captures<'_>) -> String {
    let (name, value) = (&found[1], &found[2]);
    let plain = value.trim_matches(['"', '\'']);
    if HARMLESS.contains(&plain.to_ascii_lowercase().as_str()) || plain == REMOVED {
        return found[0].to_owned();
    }
    match value.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        Some(quote) => format!("{name}{quote}{REMOVED}{quote}"),
        None => format!("{name}{REMOVED}"),
    }
}

fn without_token(found: &Captures<'_>) -> String {
    let text = &found[0];
    let has = |is: fn(&char) -> bool| text.chars().any(|c| is(&c));
    let is_token = has(char::is_ascii_uppercase) && has(char::is_ascii_lowercase);
    if is_token { REMOVED.to_owned() } else { text.to_owned() }
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
