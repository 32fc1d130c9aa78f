//! Labels and label selectors, in the grammar of the API's documentation.

use std::collections::BTreeMap;

use thiserror::Error;

pub(crate) type Labels = BTreeMap<String, String>;

/// Maximum length of a name or value.
const MAX_LENGTH: usize = 63;

/// Maximum length of a key's prefix.
const MAX_PREFIX: usize = 253;

/// Keys with this prefix belong to the cloud itself.
const RESERVED: &str = "hetzner.cloud";

/// Why the cloud refuses a label.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum LabelError {
    #[error("label key '{0}' is not correctly formatted")]
    Key(String),
    #[error("label key '{0}' has a reserved prefix")]
    Reserved(String),
    #[error("label value '{0}' is not correctly formatted")]
    Value(String),
}

/// Why a text is not a selector.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum SelectorError {
    #[error("nested parentheses")]
    Nested,
    #[error("unbalanced parentheses")]
    Unbalanced,
    #[error("no operator in '{0}'")]
    NoOperator(String),
    #[error("unknown operator '{0}'")]
    Operator(String),
    #[error(transparent)]
    Key(#[from] LabelError),
    #[error("value '{0}' is not correctly formatted")]
    Value(String),
}

/// Whether the cloud accepts a label.
pub(crate) fn check(key: &str, value: &str) -> Result<(), LabelError> {
    check_key(key)?;
    if key
        .split_once('/')
        .is_some_and(|(prefix, _)| prefix == RESERVED || prefix.ends_with(&format!(".{RESERVED}")))
    {
        return Err(LabelError::Reserved(key.to_owned()));
    }
    if !value.is_empty() && !is_name(value) {
        return Err(LabelError::Value(value.to_owned()));
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), LabelError> {
    match key.split_once('/') {
        Some((prefix, name)) if is_prefix(prefix) && is_name(name) => Ok(()),
        None if is_name(key) => Ok(()),
        _ => Err(LabelError::Key(key.to_owned())),
    }
}

/// Letters and digits at both ends, `-`, `_` and `.` inside.
fn is_name(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.len() <= MAX_LENGTH
        && ends(text.chars().next())
        && ends(text.chars().last())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// A DNS name.
fn is_prefix(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.len() <= MAX_LENGTH
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    text.len() <= MAX_PREFIX && text.split('.').all(is_part)
}

/// Terms that must all hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector(Vec<Term>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Has(String),
    HasNot(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

impl Selector {
    /// Parses `k`, `!k`, `k=v`, `k==v`, `k!=v`, `k in (a,b)` and `k notin (a,b)`, joined by
    /// commas.
    pub(crate) fn parse(text: &str) -> Result<Selector, SelectorError> {
        split_terms(text)?.into_iter().map(parse_term).collect::<Result<_, _>>().map(Selector)
    }

    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|term| match term {
            Term::Has(key) => labels.contains_key(key),
            Term::HasNot(key) => !labels.contains_key(key),
            Term::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
            // Like `!=`: also true where the key is missing.
            Term::NotIn(key, values) => labels.get(key).is_none_or(|v| !values.contains(v)),
        })
    }
}

/// Splits at the commas outside of parentheses.
fn split_terms(text: &str) -> Result<Vec<&str>, SelectorError> {
    let (mut terms, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' if inside => return Err(SelectorError::Nested),
            '(' => inside = true,
            ')' if !inside => return Err(SelectorError::Unbalanced),
            ')' => inside = false,
            ',' if !inside => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err(SelectorError::Unbalanced);
    }
    terms.push(&text[start..]);
    Ok(terms)
}

fn parse_term(term: &str) -> Result<Term, SelectorError> {
    let term = term.trim();
    if let Some(list) = term.strip_suffix(')') {
        let (head, values) = list.split_once('(').ok_or(SelectorError::Unbalanced)?;
        let (key, operator) = head
            .trim()
            .rsplit_once(char::is_whitespace)
            .ok_or_else(|| SelectorError::NoOperator(term.to_owned()))?;
        let values =
            values.split(',').map(|v| selector_value(v.trim())).collect::<Result<Vec<_>, _>>()?;
        let key = selector_key(key)?;
        return match operator {
            "in" => Ok(Term::In(key, values)),
            "notin" => Ok(Term::NotIn(key, values)),
            other => Err(SelectorError::Operator(other.to_owned())),
        };
    }
    if let Some((key, value)) = term.split_once("!=") {
        return Ok(Term::NotIn(selector_key(key)?, vec![selector_value(value.trim())?]));
    }
    if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        return Ok(Term::In(selector_key(key)?, vec![selector_value(value.trim())?]));
    }
    match term.strip_prefix('!') {
        Some(key) => Ok(Term::HasNot(selector_key(key)?)),
        None => Ok(Term::Has(selector_key(term)?)),
    }
}

fn selector_key(key: &str) -> Result<String, SelectorError> {
    let key = key.trim();
    check_key(key)?;
    Ok(key.to_owned())
}

fn selector_value(value: &str) -> Result<String, SelectorError> {
    if value.is_empty() || is_name(value) {
        Ok(value.to_owned())
    } else {
        Err(SelectorError::Value(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn every_form_of_a_selector_selects() {
        let it = labels(&[("env", "prod"), ("example.com/tier", "db"), ("empty", "")]);
        for (text, expected) in [
            ("env", true),
            ("!env", false),
            ("!nothing", true),
            ("env=prod", true),
            ("env == prod", true),
            ("env!=prod", false),
            ("nothing!=prod", true),
            ("env in (dev, prod)", true),
            ("env notin (dev,prod)", false),
            ("nothing notin (a)", true),
            ("env=prod,example.com/tier=db", true),
            ("env=prod,example.com/tier=web", false),
            ("empty=", true),
        ] {
            assert_eq!(Selector::parse(text).unwrap().matches(&it), expected, "{text}");
        }
    }

    #[test]
    fn malformed_selectors_are_refused() {
        for text in [
            "",
            ",",
            "a,,b",
            "=a",
            "a in b",
            "a in (b",
            "a)",
            "a in ((b))",
            "a like (b)",
            "a=b=c",
            "a b",
            "-a",
            "a/b/c",
        ] {
            assert!(Selector::parse(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_refusal_names_what_is_wrong() {
        for (text, expected) in [
            ("a in ((b))", "nested parentheses"),
            ("a in (b", "unbalanced parentheses"),
            ("(b)", "no operator in '(b)'"),
            ("a like (b)", "unknown operator 'like'"),
            ("-a", "label key '-a' is not correctly formatted"),
            ("a=b c", "value 'b c' is not correctly formatted"),
        ] {
            assert_eq!(Selector::parse(text).unwrap_err().to_string(), expected, "{text}");
        }
        let refused = |key, value| check(key, value).unwrap_err().to_string();
        assert_eq!(refused("a", "-"), "label value '-' is not correctly formatted");
        assert_eq!(
            refused("hetzner.cloud/x", "v"),
            "label key 'hetzner.cloud/x' has a reserved prefix"
        );
    }

    #[test]
    fn labels_are_checked() {
        for (key, value) in [("a", ""), ("example.com/name", "v-1_2.3"), ("a", &"x".repeat(63))] {
            assert_eq!(check(key, value), Ok(()), "{key}={value}");
        }
        for (key, value) in [
            ("", "v"),
            ("-a", "v"),
            ("a", "v/w"),
            ("a", "-"),
            ("hetzner.cloud/x", "v"),
            ("a..b/c", "v"),
            ("a", &"x".repeat(64)),
            ("a/b/c", ""),
        ] {
            assert!(check(key, value).is_err(), "{key}={value} was accepted");
        }
    }

    proptest! {
        #[test]
        fn a_selector_finds_every_valid_label(
            key in "[a-y][a-z0-9]{0,5}(\\.[a-z]{1,3}/[a-z]{1,4})?",
            value in "[A-Za-z0-9]([a-z_.-]{0,5}[a-z])?",
        ) {
            prop_assert_eq!(check(&key, &value), Ok(()));
            let it = labels(&[(&key, &value)]);
            for text in [
                key.clone(),
                format!("{key}={value}"),
                format!("{key} in (x,{value})"),
                format!("!zz,{key}!=other.value"),
            ] {
                prop_assert!(Selector::parse(&text).unwrap().matches(&it), "{}", text);
            }
        }

        #[test]
        fn no_text_breaks_the_parser(text in "\\PC{0,30}") {
            let _ = Selector::parse(&text);
        }
    }
}
