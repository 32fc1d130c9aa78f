//! The settings as YAML, with what holds in place of what is not set, and where each comes from.

use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::token::Source;
use crate::settings::{Key, Origin, Place, Places, SETTINGS, Setting, load};

/// The value of a setting.
pub enum Shown {
    /// As YAML.
    Set(String),
    /// In words.
    NotSet(&'static str),
}

/// All settings as YAML. Those that are not set stand in comments.
pub fn all(resolved: &Resolved) -> String {
    yaml(resolved, |_, _| None)
}

/// The same, with the origin of each value in a comment.
pub fn with_origins(resolved: &Resolved, global: &GlobalArgs) -> String {
    let places = load(&resolved.settings_file, &global.profile, variables()).places;
    let yaml = yaml(resolved, |key, shown| origin(resolved, global, &places, key, shown));
    format!("# Lines are those of {}.\n{yaml}", resolved.settings_file.display())
}

/// The environment, as far as it is text.
pub fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn yaml(resolved: &Resolved, note: impl Fn(Key, &Shown) -> Option<String>) -> String {
    let mut yaml = String::new();
    let mut last = "";
    for Setting { key: (section, key), .. } in SETTINGS {
        if *section != last {
            yaml.push_str(&format!("{section}:\n"));
            last = section;
        }
        let shown = value(resolved, (section, key));
        let note = note((section, key), &shown);
        let line = match (shown, note) {
            (Shown::Set(value), None) => format!("  {key}: {value}\n"),
            (Shown::Set(value), Some(note)) => format!("  {key}: {value}  # {note}\n"),
            (Shown::NotSet(why), None) => format!("  # {key}: {why}\n"),
            (Shown::NotSet(why), Some(note)) => format!("  # {key}: {why} ({note})\n"),
        };
        yaml.push_str(&line);
    }
    yaml
}

/// What holds for a setting.
pub fn value(resolved: &Resolved, key: Key) -> Shown {
    in_effect(resolved, key).unwrap_or_else(|| {
        let value = resolved.settings.show(key);
        value.map_or(Shown::NotSet("not set"), Shown::Set)
    })
}

/// What holds for settings that depend on more than the settings, if this is one.
fn in_effect(resolved: &Resolved, key: Key) -> Option<Shown> {
    let settings = &resolved.settings;
    let value = match key {
        ("hetzner", "api_token") => {
            let is_used = settings.hetzner.token_command.is_none();
            return Some(Shown::NotSet(
                match (&settings.hetzner.api_token, resolved.kept_source()) {
                    (Some(_), _) => "set, not shown",
                    (None, Some(Source::Keyring)) if is_used => {
                        "saved by init in the keyring, not shown"
                    }
                    (None, Some(_)) if is_used => "saved by init, not shown",
                    (None, _) => "not set",
                },
            ));
        }
        ("hetzner", "endpoint") => resolved.endpoint(),
        ("docker", "socket_path") => resolved.socket.display().to_string(),
        ("ssh", "private_key_path") => {
            let own = || resolved.paths.private_key();
            settings.ssh.private_key_path.clone().unwrap_or_else(own).display().to_string()
        }
        ("ssh", "port_check") => match resolved.port_check().hosts {
            hosts if hosts.is_empty() => "none".to_owned(),
            hosts => format!("[{}]", hosts.join(", ")),
        },
        _ => return None,
    };
    Some(Shown::Set(value))
}

/// Where a value comes from; `None` if there is none.
fn origin(
    resolved: &Resolved,
    global: &GlobalArgs,
    places: &Places,
    key: Key,
    shown: &Shown,
) -> Option<String> {
    let endpoint = resolved.settings.hetzner.endpoint.as_ref();
    match key {
        ("docker", "socket_path") if global.socket.is_some() => {
            return Some("option --socket".to_owned());
        }
        ("hetzner", "endpoint")
            if endpoint.map(|set| set.url.clone()) != Some(resolved.endpoint())
                && resolved.endpoint() != hetzner::DEFAULT_ENDPOINT =>
        {
            return Some("saved by init".to_owned());
        }
        _ => {}
    }
    match (places.get(&key), shown) {
        (Some((Place::Variable(name), _)), _) => Some(format!("variable {name}")),
        (Some((Place::File { line: Some(line), .. }, Origin::Profile)), _) => {
            Some(format!("line {line}, profile {}", resolved.profile))
        }
        (Some((Place::File { line: Some(line), .. }, _)), _) => Some(format!("line {line}")),
        (Some((Place::File { line: None, .. }, _)), _) => Some("the file".to_owned()),
        (None, Shown::Set(_)) => Some("default".to_owned()),
        (None, Shown::NotSet(_)) => None,
    }
}

/// A text as it is meant, without the quotes of YAML.
pub fn without_quotes(value: &str) -> String {
    match value.starts_with('"') {
        true => serde_json::from_str(value).unwrap_or_else(|_| value.to_owned()),
        false => value.to_owned(),
    }
}
