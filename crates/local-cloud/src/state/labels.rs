//! Labels and label selectors, in the grammar of the API's documentation.

use std::collections::BTreeMap;

pub(crate) type Labels = BTreeMap<String, String>;

/// Maximum length of a name or value.
const MAX_LENGTH: usize = 63;

/// Maximum length of a key's prefix.
const MAX_PREFIX: usize = 253;

/// Keys with this prefix belong to the cloud itself.
const RESERVED: &str = "hetzner.cloud";

/// The problem of a label, if it has one.
pub(crate) fn check(key: &str, value: &str) -> Result<(), String> {
    check_key(key)?;
    if key
        .split_once('/')
        .is_some_and(|(prefix, _)| prefix == RESERVED || prefix.ends_with(&format!(".{RESERVED}")))
    {
        return Err(format!("label key '{key}' has a reserved prefix"));
    }
    if !value.is_empty() && !is_name(value) {
        return Err(format!("label value '{value}' is not correctly formatted"));
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), String> {
    let wrong = || format!("label key '{key}' is not correctly formatted");
    match key.split_once('/') {
        Some((prefix, name)) if is_prefix(prefix) && is_name(name) => Ok(()),
        None if is_name(key) => Ok(()),
        _ => Err(wrong()),
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
    pub(crate) fn parse(text: &str) -> Result<Selector, String> {
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
fn split_terms(text: &str) -> Result<Vec<&str>, String> {
    let (mut terms, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '(' if inside => return Err("nested parentheses".to_owned()),
            '(' => inside = true,
            ')' if !inside => return Err("unbalanced parentheses".to_owned()),
            ')' => inside = false,
            ',' if !inside => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if inside {
        return Err("unbalanced parentheses".to_owned());
    }
    terms.push(&text[start..]);
    Ok(terms)
}

fn parse_term(term: &str) -> Result<Term, String> {
    let term = term.trim();
    if let Some(list) = term.strip_suffix(')') {
        let (head, values) = list.split_once('(').ok_or("unbalanced parentheses")?;
        let (key, operator) = head
            .trim()
            .rsplit_once(char::is_whitespace)
            .ok_or_else(|| format!("no operator in '{term}'"))?;
        let values =
            values.split(',').map(|v| selector_value(v.trim())).collect::<Result<Vec<_>, _>>()?;
        let key = selector_key(key)?;
        return match operator {
            "in" => Ok(Term::In(key, values)),
            "notin" => Ok(Term::NotIn(key, values)),
            other => Err(format!("unknown operator '{other}'")),
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

fn selector_key(key: &str) -> Result<String, String> {
    let key = key.trim();
    check_key(key).map(|()| key.to_owned())
}

fn selector_value(value: &str) -> Result<String, String> {
    if value.is_empty() || is_name(value) {
        Ok(value.to_owned())
    } else {
        Err(format!("value '{value}' is not correctly formatted"))
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
