//! An API token and its source. Tokens of every source are trimmed alike. A token that cannot be
//! sent is refused with its source and the character; the token itself is never shown.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

/// Where a token comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An environment variable.
    Variable(String),
    /// `hetzner.api_token` in the settings file.
    Setting,
    /// `hetzner.token_command`.
    Command,
    /// The file in which `init` saves it.
    Kept(PathBuf),
    /// The keyring in which `init` saves it.
    Keyring,
    /// The argument `--token`.
    Argument,
    /// Standard input or the terminal.
    Input,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Variable(name) => f.write_str(name),
            Source::Setting => f.write_str("`hetzner.api_token`"),
            Source::Command => f.write_str("the output of `hetzner.token_command`"),
            Source::Kept(path) => write!(f, "{}", path.display()),
            Source::Keyring => f.write_str("the keyring"),
            Source::Argument => f.write_str("`--token`"),
            Source::Input => f.write_str("standard input"),
        }
    }
}

/// A token as found.
#[derive(Debug, Clone)]
pub struct Token {
    /// Trimmed.
    pub secret: SecretString,
    pub source: Source,
}

/// A token that cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// Only blanks.
    #[error("the API token in {0} is empty")]
    Empty(Source),
    /// One of its characters.
    #[error(
        "the API token in {found_in} contains an invalid character: {character} at position \
     {position}"
    )]
    Character {
        /// Where the token was found.
        found_in: Source,
        /// Name and code point.
        character: String,
        /// Counted from 1, after the trimmed blanks.
        position: usize,
    },
}

impl Token {
    /// Takes the text as found, with blanks and line ends around it.
    pub fn new(text: &str, source: Source) -> Self {
        // Copied text may contain a byte order mark or zero-width characters.
        let around =
            |c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200d}');
        Self { secret: SecretString::from(text.trim_matches(around).to_owned()), source }
    }

    /// The secret, if it can be sent in a header.
    pub fn sendable(&self) -> Result<SecretString, Unsendable> {
        let text = self.secret.expose_secret();
        if text.is_empty() {
            return Err(Unsendable::Empty(self.source.clone()));
        }
        match text.chars().enumerate().find(|(_, c)| !c.is_ascii_graphic()) {
            None => Ok(self.secret.clone()),
            Some((at, c)) => Err(Unsendable::Character {
                found_in: self.source.clone(),
                character: name_of(c),
                position: at + 1,
            }),
        }
    }
}

fn name_of(c: char) -> String {
    let code = u32::from(c);
    match c {
        ' ' => format!("a blank (U+{code:04X})"),
        '\n' | '\r' => format!("a line end (U+{code:04X})"),
        '\t' => format!("a tab (U+{code:04X})"),
        c if c.is_control() => format!("a control character (U+{code:04X})"),
        c if c.is_whitespace() => format!("a blank (U+{code:04X})"),
        c => format!("{c:?} (U+{code:04X})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_around_a_token_are_no_part_of_it_whatever_its_source() {
        let variable = Source::Variable("HCLOUD_TOKEN".to_owned());
        for source in [variable, Source::Setting, Source::Command, Source::Argument, Source::Input]
        {
            for text in ["abc", "abc\n", "abc\r\n", "\u{feff}abc \t", " abc\n\n"] {
                let token = Token::new(text, source.clone()).sendable().unwrap();
                assert_eq!(token.expose_secret(), "abc", "{text:?} in {source}");
            }
        }
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_refused_with_its_source_and_the_character() {
        let refused = |text: &str| {
            let source = Source::Variable("HCLOUD_TOKEN".to_owned());
            Token::new(text, source).sendable().unwrap_err().to_string()
        };
        assert_eq!(refused(" \n"), "the API token in HCLOUD_TOKEN is empty");
        for (text, expected) in [
            ("abc def", "a blank (U+0020) at position 4"),
            ("ab\nc", "a line end (U+000A) at position 3"),
            ("ab\u{a0}c", "a blank (U+00A0) at position 3"),
            ("aä", "'ä' (U+00E4) at position 2"),
            ("\u{7}a", "a control character (U+0007) at position 1"),
        ] {
            let message = refused(text);
            assert!(message.ends_with(expected), "{message}");
            assert!(!message.contains(text), "the token is shown: {message}");
        }
    }
}
