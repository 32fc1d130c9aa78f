//! Changes of one setting in the text of the settings file, named as `SECTION.KEY`.

use super::edit::{self, Names, NotEdited};
use super::kind::{Given, Invalid, Written};
use super::nearest::meant;
use super::table::{ALIASES, SETTINGS, Settings, find};
use super::tree::{Node, parse};
use super::types::Key;

/// The name of no setting.
#[derive(Debug, thiserror::Error)]
#[error("there is no setting `{given}`{}", .meant)]
pub struct UnknownKey {
    given: String,
    /// `; did you mean …?`, or nothing.
    meant: String,
}

/// The setting of a name such as `activity.idle_timeout`.
pub fn key_named(given: &str) -> Result<Key, UnknownKey> {
    if let Some(key) = given.split_once('.').and_then(|(section, key)| find(section, key)) {
        return Ok(key);
    }
    let of = |(section, key): Key| format!("{section}.{key}");
    let own = SETTINGS.iter().map(|setting| of(setting.key));
    let all: Vec<String> =
        own.chain(ALIASES.iter().map(|((section, _), name)| format!("{section}.{name}"))).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    // A key without its section.
    let section_left_out = all.iter().find(|name| name.split('.').nth(1) == Some(given));
    let meant = match section_left_out {
        Some(name) => format!("; did you mean `{name}`?"),
        None => meant(given, &all),
    };
    Err(UnknownKey { given: given.to_owned(), meant })
}

/// A value that was not written into the text.
#[derive(Debug, thiserror::Error)]
pub enum NotChanged {
    /// It is not a value of this setting.
    #[error(transparent)]
    Value(#[from] Invalid),
    /// The text cannot be changed.
    #[error(transparent)]
    Text(#[from] NotEdited),
}

/// The text with a setting, for all profiles or for one.
pub fn with_value(
    text: &str,
    profile: Option<&str>,
    key: Key,
    value: &str,
) -> Result<String, NotChanged> {
    let written = as_written(value);
    let mut settings = Settings::default();
    settings.set(key, Given { written: written.clone(), from: None })?;
    // Lists are shown in brackets, and written so.
    let is_list = settings.show(key).is_some_and(|shown| shown.starts_with('['));
    let written = match written {
        Written::Single(_) if is_list => Written::List(Given { written, from: None }.items()),
        written => written,
    };
    Ok(edit::set(text, &path_of(profile, key), &written)?)
}

/// The text without a setting; `None` if it does not set it.
pub fn without_value(
    text: &str,
    profile: Option<&str>,
    key: Key,
) -> Result<Option<String>, NotEdited> {
    edit::unset(text, &path_of(profile, key))
}

/// A list in brackets is read as in the file.
fn as_written(value: &str) -> Written {
    let items = match parse(value) {
        Ok(Node::List(items)) if value.trim_start().starts_with('[') => items,
        _ => return Written::Single(value.to_owned()),
    };
    let texts = items.into_iter().map(|item| match item.value {
        Node::Scalar(text) => Some(text),
        _ => None,
    });
    texts.collect::<Option<_>>().map_or_else(|| Written::Single(value.to_owned()), Written::List)
}

fn path_of(profile: Option<&str>, key: Key) -> Vec<Names<'_>> {
    let (section, name) = key;
    let alias = ALIASES.iter().filter(|(of, _)| *of == key).map(|(_, alias)| *alias);
    let names = std::iter::once(name).chain(alias).collect();
    let prefix = profile.into_iter().flat_map(|profile| [vec!["profiles"], vec![profile]]);
    prefix.chain([vec![section], names]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_one() {
        let message = |given| key_named(given).unwrap_err().to_string();
        assert_eq!(key_named("activity.idle_timeout").unwrap(), ("activity", "idle_timeout"));
        assert_eq!(key_named("hetzner.location").unwrap(), ("hetzner", "locations"));
        for (given, expected) in [
            ("activity.idle_timout", "; did you mean `activity.idle_timeout`?"),
            ("idle_timeout", "; did you mean `activity.idle_timeout`?"),
            ("hetzner.locaton", "; did you mean `hetzner.location`?"),
            ("qqq", ""),
        ] {
            assert_eq!(message(given), format!("there is no setting `{given}`{expected}"));
        }
    }

    #[test]
    fn a_value_is_written_as_it_was_typed_and_a_list_in_brackets() {
        let set = |key: &str, value: &str| {
            let changed = with_value("", Some("lab"), key_named(key).unwrap(), value).unwrap();
            changed.lines().last().unwrap().trim().to_owned()
        };
        for (key, value, expected) in [
            ("activity.idle_timeout", "90s", "idle_timeout: 90s"),
            ("hetzner.server_types", "cx23, cax11", "server_types: [cx23, cax11]"),
            ("hetzner.locations", "hel1", "locations: [hel1]"),
            ("ports.exclude", "[53/udp, 'web:80']", "exclude: [53/udp, web:80]"),
            ("ports.exclude", "[]", "exclude: []"),
            ("hetzner.token_command", "pass show: x", "token_command: \"pass show: x\""),
        ] {
            assert_eq!(set(key, value), expected, "{key} {value}");
        }
        let wrong = with_value("", None, ("activity", "idle_timeout"), "5").unwrap_err();
        let expected = "\"5\" is not a duration: write it as 90s, 5m or 1h 30m";
        assert!(wrong.to_string().starts_with(expected), "{wrong}");
    }
}
