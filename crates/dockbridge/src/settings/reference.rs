//! The generated parts of docs/settings.md: all settings, and the other variables.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::table::{ALIASES, OTHERS, SETTINGS, SHARED, Setting, Settings, variable};
use super::types::Applies;

const TEST: &str = "-p dockbridge --bin dockbridge reference";

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md")
}

/// A text in a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|")
}

/// The setting, its other name, and its variables, strongest first.
fn names(setting: &Setting) -> String {
    let (section, key) = setting.key;
    let mut names = vec![format!("`{section}.{key}`")];
    let alias = ALIASES.iter().find(|(of, _)| *of == setting.key);
    names.extend(alias.map(|(_, alias)| format!("`{section}.{alias}` for one")));
    names.push(format!("`{}`", variable(section, key)));
    let shared = SHARED.iter().rev().filter(|(_, of)| *of == setting.key);
    names.extend(shared.map(|(name, _)| format!("`{name}`")));
    names.join("<br>")
}

/// When a running daemon uses a changed value.
fn applies(applies: Applies) -> &'static str {
    match applies {
        Applies::Now => "now",
        Applies::NextWake => "next wake",
        Applies::Restart => "restart",
    }
}

fn settings() -> String {
    let defaults = Settings::default();
    let (mut text, mut last) = (String::new(), "");
    for setting in SETTINGS {
        if setting.key.0 != last {
            last = setting.key.0;
            let _ = write!(
                text,
                "\n### {last}\n\n{}\n\n| setting, variables | values | default | meaning | applies \
                 | since |\n|---|---|---|---|---|---|\n",
                setting.about.trim()
            );
        }
        let default = match setting.unset {
            "" => defaults.show(setting.key).map_or_else(String::new, |it| format!("`{it}`")),
            unset => unset.to_owned(),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            names(setting),
            cell(&(setting.values)()),
            cell(&default),
            cell(setting.meaning),
            applies(setting.applies),
            setting.since
        );
    }
    text.push('\n');
    text
}

fn other_variables() -> String {
    let mut text = "| variable | meaning |\n|---|---|\n".to_owned();
    for (name, meaning) in OTHERS.iter().filter(|(_, meaning)| !meaning.is_empty()) {
        let _ = writeln!(text, "| `{name}` | {} |", cell(meaning));
    }
    text
}

#[test]
fn reference_of_settings_is_up_to_date() {
    testkit::compare_generated(&document(), "settings", &settings(), TEST);
}

#[test]
fn reference_of_other_variables_is_up_to_date() {
    testkit::compare_generated(&document(), "other variables", &other_variables(), TEST);
}

/// A setting without a default describes in words what applies. Those words name constants of the
/// program.
#[test]
fn words_in_place_of_a_default_name_what_applies() {
    let cases = [
        (("hetzner", "endpoint"), hetzner::DEFAULT_ENDPOINT.to_owned()),
        (("ssh", "remote_socket"), tunnel::Options::DOCKER_SOCKET.to_owned()),
        (("ssh", "port_check"), format!("[{}]", crate::cloud_access::PORT_CHECK.join(", "))),
    ];
    for (key, applies) in cases {
        let setting = SETTINGS.iter().find(|setting| setting.key == key).unwrap();
        assert!(setting.unset.contains(&format!("`{applies}`")), "{key:?}: {}", setting.unset);
    }
}
