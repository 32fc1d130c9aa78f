//! `config edit`: the settings file in the user's editor. The editor gets a copy; the file is
//! replaced once the copy is valid, and not before.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

use api::Code;

use super::change::SettingsFile;
use super::effect::say_when_settings_hold;
use crate::failure::{Failure, Outcome};
use crate::output::{complain, say};
use crate::paths::{unwritable, write_private};
use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::{SETTINGS, Settings};

pub async fn run(global: &GlobalArgs) -> Outcome {
    let (resolved, _) = Resolved::read(global)?;
    let mut file = SettingsFile::read(&resolved)?;
    let copy = copy_beside(&resolved.settings_file);
    let before = match file.text.is_empty() {
        true => template(),
        false => file.text.clone(),
    };
    write_private(&copy, before.as_bytes()).map_err(|error| unwritable(&copy, &error))?;
    loop {
        if let Err(failure) = open_editor(&copy) {
            // What was written before the editor failed is the user's.
            if std::fs::read_to_string(&copy).is_ok_and(|text| text == before) {
                remove(&copy);
            }
            return Err(failure);
        }
        let text = std::fs::read_to_string(&copy).map_err(|error| {
            Failure::of_code(Code::FileNotRead, format!("cannot read {}: {error}", copy.display()))
        })?;
        if text == before {
            remove(&copy);
            say("Nothing was changed.");
            return Ok(());
        }
        match file.replace(text) {
            Ok(()) => break,
            Err(failure) if edits_again(&failure)? => {}
            Err(failure) => {
                return Err(failure.hint(format!("what you wrote is in {}", copy.display())));
            }
        }
    }
    remove(&copy);
    say(&format!("Changed {}.", resolved.settings_file.display()));
    say_when_settings_hold(&resolved).await;
    Ok(())
}

/// Editors know the language of a file by the end of its name.
fn copy_beside(path: &Path) -> PathBuf {
    path.with_file_name("config.edited.yaml")
}

/// A copy that stays does no harm.
fn remove(copy: &Path) {
    let _ = std::fs::remove_file(copy);
}

/// Runs the editor, which may be a command with arguments.
fn open_editor(path: &Path) -> Outcome {
    let set = |name| std::env::var(name).ok().filter(|editor| !editor.trim().is_empty());
    let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| "vi".to_owned());
    let status = std::process::Command::new("sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(path)
        .status()?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::bare(
            Code::ProgramMissing,
            format!("the editor {editor:?} failed, and the settings file stays as it was"),
        )
        .hint("set VISUAL or EDITOR to your editor")
        .hint("`dockbridge config set` changes one setting without an editor")),
    }
}

/// Shows what is wrong and asks. Without a terminal the answer is no.
fn edits_again(failure: &Failure) -> Outcome<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    complain(&failure.to_string());
    complain("Edit again? [Y/n]");
    let mut line = String::new();
    let length = std::io::stdin().lock().read_line(&mut line)?;
    Ok(length > 0 && !line.trim().to_ascii_lowercase().starts_with('n'))
}

/// All settings with their defaults, in comments.
fn template() -> String {
    let defaults = Settings::default();
    let mut text =
        "# dockbridge's settings with their defaults. Remove the # of a line and of its \
                    section to\n# change it; docs/settings.md explains each.\n"
            .to_owned();
    let mut last = "";
    for setting in SETTINGS {
        let (section, key) = setting.key;
        if section != last {
            text.push_str(&format!("\n#{section}:\n"));
            last = section;
        }
        let default = defaults.show(setting.key).unwrap_or_default();
        text.push_str(format!("#  {key}: {default}").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::refused;

    #[test]
    fn template_without_its_marks_is_a_valid_file() {
        let text = template();
        let plain: Vec<&str> =
            text.lines().skip(2).map(|line| line.strip_prefix('#').unwrap_or(line)).collect();
        let path = Path::new("config.yaml");
        assert_eq!(refused(path, &plain.join("\n"), "default"), []);
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{text}");
    }
}
