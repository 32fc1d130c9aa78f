//! `config set` and `config unset`: one value of the settings file. The changed text is checked as
//! a whole before it replaces the file.

use std::path::PathBuf;

use api::Code;

use super::effect::say_when_it_holds;
use super::shown::variables;
use crate::failure::{Failure, Outcome};
use crate::output::{complain, say};
use crate::paths::{unwritable, write_private};
use crate::resolved::{GlobalArgs, Resolved, unusable};
use crate::settings::{
    Key, NotChanged, NotEdited, Origin, Place, load, load_text, refused, with_value, without_value,
};

/// The settings file of a command that changes it.
pub struct SettingsFile {
    /// The file itself, where the user has put a link in its place.
    path: PathBuf,
    /// Its content; empty if it does not exist.
    pub text: String,
    profile: String,
}

impl SettingsFile {
    pub fn read(resolved: &Resolved) -> Outcome<Self> {
        let named = &resolved.settings_file;
        let path = named.canonicalize().unwrap_or_else(|_| named.clone());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(Failure::of_code(
                    Code::FileNotRead,
                    format!("cannot read {}: {error}", path.display()),
                ));
            }
        };
        Ok(Self { path, text, profile: resolved.profile.to_string() })
    }

    /// The profile whose section is changed; `None` for what holds for all profiles.
    pub fn section(&self) -> Option<&str> {
        (self.profile != "default").then_some(self.profile.as_str())
    }

    /// Replaces the content, unless a setting in the new one is invalid.
    pub fn replace(&mut self, text: String) -> Outcome {
        let problems = refused(&self.path, &text, &self.profile);
        if !problems.is_empty() {
            return Err(unusable(&problems).of("the settings file stays as it was"));
        }
        write_private(&self.path, text.as_bytes())
            .map_err(|error| unwritable(&self.path, &error))?;
        self.text = text;
        Ok(())
    }

    /// Writes a value. Returns whether the text is another one now.
    pub fn set(&mut self, key: Key, value: &str) -> Outcome<bool> {
        let changed =
            with_value(&self.text, self.section(), key, value).map_err(|error| match error {
                NotChanged::Value(invalid) => {
                    Failure::bare(Code::SettingsInvalid, format!("`{}`: {invalid}", name_of(key)))
                }
                NotChanged::Text(error) => self.not_edited(&error),
            })?;
        let is_new = changed != self.text;
        if is_new {
            self.replace(changed)?;
        }
        Ok(is_new)
    }

    /// The place of a setting in the file, for the user.
    fn place(&self, key: Key) -> String {
        let loaded = load_text(&self.path, &self.text, &self.profile, std::iter::empty());
        match loaded.places.get(&key) {
            Some((Place::File { line: Some(line), .. }, _)) => {
                format!("{}, line {line}", self.path.display())
            }
            _ => self.path.display().to_string(),
        }
    }

    fn not_edited(&self, error: &NotEdited) -> Failure {
        let failure =
            Failure::bare(Code::SettingsInvalid, format!("{}: {error}", self.path.display()));
        failure.hint("`dockbridge config edit` opens it in an editor")
    }
}

fn name_of((section, key): Key) -> String {
    format!("{section}.{key}")
}

pub async fn set(global: &GlobalArgs, key: Key, value: &str) -> Outcome {
    if key == ("hetzner", "api_token") {
        return Err(Failure::bare(
            Code::SettingsInvalid,
            "an API token in an argument could be read by other programs",
        )
        .hint("`dockbridge init` reads it without showing it, and `--token-stdin` from a pipe")
        .hint("`hetzner.token_command` names a command that prints it"));
    }
    let (resolved, _) = Resolved::read(global)?;
    let mut file = SettingsFile::read(&resolved)?;
    let is_new = file.set(key, value)?;
    let name = name_of(key);
    let place = file.place(key);
    let of = file.section().map(|profile| format!(" for profile {profile}")).unwrap_or_default();
    match is_new {
        true => say(&format!("Set `{name}` to {value}{of} ({place}).")),
        false => {
            say(&format!("`{name}` is {value}{of} already ({place})."));
            return Ok(());
        }
    }
    let other = overriding(&resolved, key, file.section().is_some());
    if let Some(other) = &other {
        complain(&format!("Note: {other} overrides it."));
    }
    say_when_it_holds(&resolved, key, other.is_some()).await;
    Ok(())
}

pub async fn unset(global: &GlobalArgs, key: Key) -> Outcome {
    let (resolved, _) = Resolved::read(global)?;
    let mut file = SettingsFile::read(&resolved)?;
    let name = name_of(key);
    let of = file.section().map(|profile| format!(" for profile {profile}")).unwrap_or_default();
    let place = file.place(key);
    let changed =
        without_value(&file.text, file.section(), key).map_err(|error| file.not_edited(&error))?;
    let Some(changed) = changed else {
        say(&format!("`{name}` is not set{of} in {}.", file.path.display()));
        return Ok(());
    };
    file.replace(changed)?;
    say(&format!("Removed `{name}`{of} (it was in {place})."));
    // What holds instead, read as the next command reads it.
    let (now, _) = Resolved::read(global)?;
    if let super::shown::Shown::Set(value) = super::shown::value(&now, key) {
        say(&format!("Now it is {}.", super::shown::without_quotes(&value)));
    }
    say_when_it_holds(&resolved, key, false).await;
    Ok(())
}

/// What overrides a value that was just written, if anything does.
fn overriding(resolved: &Resolved, key: Key, in_section: bool) -> Option<String> {
    let profile = resolved.profile.to_string();
    let loaded = load(&resolved.settings_file, &profile, variables());
    match loaded.places.get(&key)? {
        (place @ Place::Variable(_), _) => Some(format!("the {place}")),
        (place, Origin::Profile) if !in_section => Some(place.to_string()),
        _ => None,
    }
}
