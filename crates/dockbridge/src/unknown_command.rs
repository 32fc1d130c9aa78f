//! Words that users type from other tools and that are no commands here, and options that they type
//! without their command: each points to the command that does it, or says that docker does.

use std::ffi::OsString;

use api::Code;
use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::Arguments;
use crate::failure::Failure;

/// Words with what to type instead.
const INSTEAD: &[(&[&str], &str)] = &[
    (
        &["down", "off", "sleep", "suspend", "halt", "shutdown"],
        "`dockbridge server destroy` deletes the machine and keeps its volume; `dockbridge stop` \
            ends the daemon",
    ),
    (
        &["ps"],
        "`docker ps` lists containers, `dockbridge status` shows the machine, `dockbridge ports` \
            its ports",
    ),
    (
        &["list", "ls"],
        "`dockbridge server list`, `dockbridge volume list` and `dockbridge image list` show what \
            exists",
    ),
    (
        &["login", "auth", "token", "setup", "configure"],
        "`dockbridge init` asks for an API token, checks it and saves it",
    ),
    (
        &["logout"],
        "`dockbridge init` replaces the saved token; `dockbridge uninstall --purge` removes it \
            with all settings",
    ),
    (
        &["create", "new", "launch", "resume"],
        "`dockbridge wake` creates the machine now; the first docker command does it as well",
    ),
    (
        &["delete", "rm", "remove", "kill"],
        "`dockbridge server destroy` deletes the machine, `dockbridge volume delete` a volume with \
            its data",
    ),
    (&["restart", "reload"], "`dockbridge stop`, then `dockbridge start --detach`"),
    (&["machine", "vm", "instance", "node"], "`dockbridge server` is for the machine"),
    (&["disk"], "`dockbridge volume` is for the disk with docker's data"),
    (&["info", "show"], "`dockbridge status` shows machine, tunnel, ports and cost"),
    (&["shell", "console"], "`dockbridge server ssh` logs in to the machine"),
    (&["bill", "billing", "price", "prices"], "`dockbridge cost` shows what a month costs"),
    (&["daemon", "serve"], "`dockbridge start` runs the daemon"),
    (&["enable", "disable"], "`dockbridge service install` and `dockbridge service remove`"),
    (&["keep"], "`dockbridge pin` keeps the machine, whether it is used or not"),
    (
        &["prune", "gc", "clean", "cleanup"],
        "`dockbridge sweep` lists orphans in the cloud, `docker system prune` removes unused data",
    ),
    (
        &["settings", "set", "get"],
        "`dockbridge config set` changes a setting, `dockbridge config show` prints all of them",
    ),
    (
        &["check", "diagnose", "health", "troubleshoot"],
        "`dockbridge doctor` checks what dockbridge needs, and says what to do",
    ),
    (
        &["bugreport", "bug-report", "support", "feedback"],
        "`dockbridge report` writes a file for a bug report, without secrets",
    ),
    (&["journal", "tail"], "`dockbridge logs` shows the daemon's log"),
    (&["context"], "`dockbridge init` creates the docker context `dockbridge`"),
    (
        &["upgrade", "update", "self-update"],
        "dockbridge does not update itself: install the new release over this one",
    ),
];

/// Commands of the docker client.
const DOCKER: &[&str] = &[
    "attach",
    "build",
    "buildx",
    "compose",
    "container",
    "cp",
    "events",
    "exec",
    "images",
    "inspect",
    "load",
    "network",
    "pull",
    "push",
    "run",
    "save",
    "stats",
    "system",
    "tag",
    "top",
];

/// Options of one command, with that command.
const OPTIONS: &[(&[&str], &str)] = &[
    (&["-d", "--detach"], "`dockbridge start -d` runs the daemon in the background"),
    (&["-w", "--watch"], "`dockbridge status -w` keeps showing the status"),
    (&["-f", "--follow"], "`dockbridge logs -f` shows the daemon's log as it grows"),
    (&["--fix"], "`dockbridge doctor --fix` repairs what is safe to repair"),
];

/// The failure in place of clap's own, if the word or the option is known. The arguments begin with
/// the name of the program.
pub fn pointed_out(error: &clap::Error, arguments: &[OsString]) -> Option<Failure> {
    let typed = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (kind, text, hint) = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = typed(ContextKind::InvalidSubcommand)?;
            ("command", word, instead(word)?)
        }
        ErrorKind::UnknownArgument => {
            let option = typed(ContextKind::InvalidArg)?;
            let (_, hint) = OPTIONS.iter().find(|(options, _)| options.contains(&option))?;
            if has_command(arguments, option) {
                return None;
            }
            ("option", option, (*hint).to_owned())
        }
        _ => return None,
    };
    let message = format!("dockbridge has no {kind} {text:?}");
    Some(Failure::of_code(Code::SettingsInvalid, message).hint(hint).code(2))
}

/// Whether a command stands before an option: the error is about that command then.
fn has_command(arguments: &[OsString], option: &str) -> bool {
    let before = arguments.iter().take_while(|it| !it.to_string_lossy().starts_with(option));
    let parsed = Arguments::command().ignore_errors(true).try_get_matches_from(before);
    parsed.is_ok_and(|matches| matches.subcommand_name().is_some())
}

fn instead(word: &str) -> Option<String> {
    let known = INSTEAD.iter().find(|(words, _)| words.contains(&word));
    let docker = || {
        DOCKER
            .contains(&word)
            .then(|| format!("`docker {word}` works as ever, once docker uses dockbridge's socket"))
    };
    known.map(|(_, hint)| (*hint).to_owned()).or_else(docker)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser as _;

    use super::*;

    fn pointed_to(line: &str) -> Option<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let error = Arguments::try_parse_from(&words).unwrap_err();
        pointed_out(&error, &words).map(|failure| failure.to_string())
    }

    fn words() -> impl Iterator<Item = &'static str> {
        INSTEAD.iter().flat_map(|(words, _)| words.iter()).chain(DOCKER).copied()
    }

    #[test]
    fn each_word_stands_once_and_is_no_command() {
        let command = Arguments::command();
        let mut seen = BTreeSet::new();
        for word in words() {
            assert!(seen.insert(word), "{word} stands twice");
            assert!(command.find_subcommand(word).is_none(), "{word} is a command");
        }
    }

    #[test]
    fn each_hint_names_commands_that_exist() {
        for word in words() {
            let hint = instead(word).unwrap();
            for piece in hint.split("`dockbridge ").skip(1) {
                let line = piece.split('`').next().unwrap();
                let mut command = Arguments::command();
                for name in line.split(' ').filter(|name| !name.starts_with('-')) {
                    let found = command.find_subcommand(name);
                    command = found.unwrap_or_else(|| panic!("{word}: {line}")).clone();
                }
            }
        }
    }

    #[test]
    fn hint_takes_the_place_of_the_usage() {
        let failure = pointed_to("dockbridge down").unwrap();
        assert!(failure.contains("`dockbridge server destroy` deletes"), "{failure}");
        assert_eq!(pointed_to("dockbridge frobnicate"), None);
    }

    #[test]
    fn option_without_its_command_points_to_a_line_that_parses() {
        for (options, hint) in OPTIONS {
            let line = hint.split('`').nth(1).unwrap();
            assert!(Arguments::try_parse_from(line.split(' ')).is_ok(), "{line}");
            for option in *options {
                for typed in [format!("dockbridge {option}"), format!("d --profile m {option}")] {
                    let failure = pointed_to(&typed).unwrap_or_else(|| panic!("{typed}"));
                    assert!(failure.ends_with(hint), "{failure}");
                }
            }
        }
    }

    #[test]
    fn option_that_a_command_does_not_have_is_an_error_about_that_command() {
        assert_eq!(pointed_to("dockbridge wake -d"), None);
        assert_eq!(pointed_to("dockbridge --profile m status --fix"), None);
        assert_eq!(pointed_to("dockbridge -x"), None);
    }
}
