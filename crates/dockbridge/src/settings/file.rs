//! Reads the settings: the YAML file, the profile's section over the rest, and
//! `DOCKBRIDGE_<SECTION>_<KEY>` from the environment over both. Each value is read on its own, so
//! that all errors are reported at once and valid values can still be used.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_saphyr::Spanned;

use super::check::check;
use super::kind::{Given, Written};
use super::nearest::{meant, nearest};
use super::place::{Place, Places, Problem, Severity};
use super::table::{OTHERS, SHARED, Settings, find, names, sections, variable};
use super::tree::{Node, Syntax, parse, salvage};
use super::types::{Key, Origin};

/// The settings and their problems.
#[derive(Debug)]
pub struct Loaded {
    /// The valid values, with defaults for the rest.
    pub settings: Settings,
    /// In order of discovery.
    pub problems: Vec<Problem>,
    /// Where each setting was set last. What is not here has its default.
    pub places: Places,
}

/// Reads the file, if it exists, and the environment.
pub fn load(
    path: &Path,
    profile: &str,
    environment: impl Iterator<Item = (String, String)>,
) -> Loaded {
    match std::fs::read_to_string(path) {
        Ok(text) => load_text(path, &text, profile, environment),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            load_text(path, "", profile, environment)
        }
        Err(error) => {
            let mut reading = Reading::default();
            let place = Place::File { path: path.to_owned(), line: None };
            reading.refuse(Some(place), None, format!("cannot read it: {error}"));
            reading.environment(environment);
            reading.end()
        }
    }
}

/// Reads a text as if it were the content of the file, and the environment.
pub fn load_text(
    path: &Path,
    text: &str,
    profile: &str,
    environment: impl Iterator<Item = (String, String)>,
) -> Loaded {
    let mut reading = Reading::default();
    let root = parse(text).unwrap_or_else(|Syntax { message, .. }| {
        // The parser's message contains the line.
        let place = Place::File { path: path.to_owned(), line: None };
        reading.refuse(Some(place), None, message);
        salvage(text)
    });
    reading.file(path, profile, root);
    reading.environment(environment);
    reading.end()
}

/// What is refused of a text as the settings file, by itself: for the profile and for each profile
/// that it names.
pub fn refused(path: &Path, text: &str, profile: &str) -> Vec<Problem> {
    let named = match parse(text) {
        Ok(Node::Map(sections)) => sections.into_iter().find(|(name, _)| name.value == "profiles"),
        _ => None,
    };
    let mut profiles = vec![profile.to_owned()];
    if let Some((_, Spanned { value: Node::Map(entries), .. })) = named {
        profiles.extend(entries.into_iter().map(|(name, _)| name.value));
    }
    let mut problems: Vec<Problem> = Vec::new();
    for profile in profiles {
        let found = load_text(path, text, &profile, std::iter::empty()).problems;
        for problem in found.into_iter().filter(|found| found.severity == Severity::Refused) {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    problems
}

#[derive(Default)]
struct Reading {
    settings: Settings,
    places: Places,
    problems: Vec<Problem>,
    has_token: bool,
}

impl Reading {
    /// Checks the settings together.
    fn end(mut self) -> Loaded {
        let together = check(&self.settings, &self.places);
        self.problems.extend(together);
        Loaded { settings: self.settings, problems: self.problems, places: self.places }
    }

    fn refuse(&mut self, place: Option<Place>, setting: Option<String>, message: String) {
        self.problems.push(Problem { place, setting, message, severity: Severity::Refused });
    }

    fn warn(&mut self, place: Place, setting: &str, message: String) {
        let setting = Some(setting.to_owned());
        self.problems.push(Problem {
            place: Some(place),
            setting,
            message,
            severity: Severity::Warned,
        });
    }

    fn file(&mut self, path: &Path, profile: &str, root: Node) {
        let Some(entries) = self.map_of(path, None, root, "sections such as `activity:`") else {
            return;
        };
        let mut profiles = None;
        for (name, value) in entries {
            match name.value.as_str() {
                "profiles" => profiles = Some((name, value)),
                _ => self.section(path, "", &name, value, Origin::File),
            }
        }
        let Some((name, value)) = profiles else { return self.is_private(path) };
        let what = "names of profiles";
        for (of, value) in self.map_of(path, Some(&name), value.value, what).into_iter().flatten() {
            let place = Place::File { path: path.to_owned(), line: Some(of.referenced.line()) };
            if let Err(error) = machine::Profile::parse(&of.value) {
                self.refuse(Some(place), Some("profiles".to_owned()), error.to_string());
                continue;
            }
            let prefix = format!("profiles.{}.", of.value);
            let what = "sections such as `activity:`";
            let Some(entries) = self.map_of(path, Some(&of), value.value, what) else { continue };
            // Errors in another profile are reported; its values are not used.
            let mut other = Reading::default();
            let into = if of.value == profile { &mut *self } else { &mut other };
            for (name, value) in entries {
                into.section(path, &prefix, &name, value, Origin::Profile);
            }
            self.problems.append(&mut other.problems);
            self.has_token |= other.has_token;
        }
        self.is_private(path);
    }

    /// The entries of a map; `None`, with a problem reported, where there is no map.
    fn map_of(
        &mut self,
        path: &Path,
        name: Option<&Spanned<String>>,
        node: Node,
        what: &str,
    ) -> Option<Vec<(Spanned<String>, Spanned<Node>)>> {
        match node {
            Node::Map(entries) => Some(entries),
            Node::Null => None,
            Node::Scalar(_) | Node::List(_) => {
                let line = name.map(|name| name.referenced.line());
                let place = Place::File { path: path.to_owned(), line };
                let of =
                    name.map_or_else(|| "the file".to_owned(), |name| format!("`{}`", name.value));
                self.refuse(Some(place), None, format!("{of} must contain {what}"));
                None
            }
        }
    }

    fn section(
        &mut self,
        path: &Path,
        prefix: &str,
        name: &Spanned<String>,
        node: Spanned<Node>,
        origin: Origin,
    ) {
        let at = |line: u64| Place::File { path: path.to_owned(), line: Some(line) };
        let section = name.value.as_str();
        let known: Vec<&str> = sections().into_iter().chain(["profiles"]).collect();
        if !known.contains(&section) {
            let message = format!("`{section}` is not a section{}", meant(section, &known));
            return self.refuse(Some(at(name.referenced.line())), None, message);
        }
        let Some(entries) = self.map_of(path, Some(name), node.value, "settings") else { return };
        let mut seen: BTreeMap<Key, String> = BTreeMap::new();
        for (key, value) in entries {
            let place = at(key.referenced.line());
            let Some(found) = find(section, &key.value) else {
                let names = names(section);
                let message = format!(
                    "`{section}` has no setting `{}`{}",
                    key.value,
                    meant(&key.value, &names)
                );
                self.refuse(Some(place), None, message);
                continue;
            };
            let setting = format!("{prefix}{section}.{}", key.value);
            if let Some(other) = seen.insert(found, key.value.clone()) {
                self.same(place, &setting, &other, &key.value);
                continue;
            }
            self.has_token |= found == ("hetzner", "api_token");
            match written(value.value) {
                Ok(None) => {}
                Ok(Some(value)) => self.set(found, value, place, setting, origin),
                Err(message) => {
                    self.refuse(Some(place), Some(setting), message.to_owned());
                }
            }
        }
        let both = [("hetzner", "api_token"), ("hetzner", "token_command")];
        if both.iter().all(|key| seen.contains_key(key)) {
            let message = "it is not used, because `hetzner.api_token` is set as well".to_owned();
            self.warn(
                at(name.referenced.line()),
                &format!("{prefix}hetzner.token_command"),
                message,
            );
        }
    }

    fn same(&mut self, place: Place, setting: &str, one: &str, other: &str) {
        let message = format!("`{one}` and `{other}` are the same setting: remove one of them");
        self.refuse(Some(place), Some(setting.to_owned()), message);
    }

    fn set(&mut self, key: Key, written: Written, place: Place, setting: String, origin: Origin) {
        let given = Given { written, from: Some((place.clone(), origin)) };
        match self.settings.set(key, given) {
            Ok(()) => {
                self.places.insert(key, (place, origin));
            }
            Err(invalid) => self.refuse(Some(place), Some(setting), invalid.to_string()),
        }
    }

    /// Warns of a file that contains a token and that other users can read.
    fn is_private(&mut self, path: &Path) {
        let Ok(found) = std::fs::metadata(path) else { return };
        let mode = found.permissions().mode() & 0o777;
        if self.has_token && mode & 0o077 != 0 {
            let message = format!(
                "other users can read the token in this file (mode {mode:04o}): run chmod 600 {}",
                path.display()
            );
            let place = Place::File { path: path.to_owned(), line: None };
            self.warn(place, "hetzner.api_token", message);
        }
    }

    fn environment(&mut self, environment: impl Iterator<Item = (String, String)>) {
        let mut variables: Vec<(String, String)> =
            environment.filter(|(_, value)| !value.is_empty()).collect();
        // The variables of other tools come first, so that dockbridge's override them.
        let rank = |name: &str| SHARED.iter().position(|(shared, _)| *shared == name);
        variables.sort_by_key(|(name, _)| (rank(name).unwrap_or(SHARED.len()), name.clone()));
        let mut seen: BTreeMap<Key, String> = BTreeMap::new();
        for (name, value) in variables {
            let place = Place::Variable(name.clone());
            if let Some((_, key)) = SHARED.iter().find(|(shared, _)| *shared == name) {
                let value = Written::Single(value);
                self.set(*key, value, place, setting_of(*key), Origin::Variable);
                continue;
            }
            match meaning_of(&name) {
                Named::Setting(key) => {
                    if let Some(other) = seen.insert(key, name.clone()) {
                        self.same(place, &setting_of(key), &other, &name);
                        continue;
                    }
                    let value = Written::Single(value);
                    self.set(key, value, place, setting_of(key), Origin::Variable);
                }
                Named::NoKey { section, key } => {
                    let near = nearest(&key, &names(section))
                        .map(|near| format!("; did you mean {}?", variable(section, near)));
                    let near = near.unwrap_or_default();
                    let message = format!("{section}.{key} is not a setting{near}");
                    self.refuse(Some(place), None, message);
                }
                Named::Nearly { meant } => {
                    let message = format!("it is not a setting; did you mean {meant}?");
                    self.problems.push(Problem {
                        place: Some(place),
                        setting: None,
                        message,
                        severity: Severity::Warned,
                    });
                }
                Named::Other => {}
            }
        }
    }
}

fn setting_of((section, key): Key) -> String {
    format!("{section}.{key}")
}

/// What a variable's name means.
enum Named {
    Setting(Key),
    NoKey {
        section: &'static str,
        key: String,
    },
    /// Almost certainly a setting with a typing error in its section.
    Nearly {
        meant: String,
    },
    Other,
}

fn meaning_of(name: &str) -> Named {
    let Some(rest) = name.strip_prefix("DOCKBRIDGE_") else { return Named::Other };
    let lower = rest.to_ascii_lowercase();
    for section in sections() {
        let Some(key) = lower.strip_prefix(section).and_then(|rest| rest.strip_prefix('_')) else {
            continue;
        };
        return match find(section, key) {
            Some(key) => Named::Setting(key),
            None => Named::NoKey { section, key: key.to_owned() },
        };
    }
    if OTHERS.iter().any(|(other, _)| *other == name) {
        return Named::Other;
    }
    let Some((given, key)) = lower.split_once('_') else { return Named::Other };
    match nearest(given, &sections()).filter(|section| find(section, key).is_some()) {
        Some(section) => Named::Nearly { meant: variable(section, key) },
        None => Named::Other,
    }
}

/// A value in the form of the variables: text, or a list of texts. The error says what cannot be
/// written.
fn written(node: Node) -> Result<Option<Written>, &'static str> {
    match node {
        Node::Null => Ok(None),
        Node::Scalar(text) => Ok(Some(Written::Single(text))),
        Node::List(items) => {
            let texts = items.into_iter().map(|item| match item.value {
                Node::Scalar(text) => Ok(text),
                _ => Err("write a list of single values"),
            });
            texts.collect::<Result<_, _>>().map(|items| Some(Written::List(items)))
        }
        Node::Map(_) => Err("it is a single value and cannot contain settings"),
    }
}

#[cfg(test)]
mod tests;
