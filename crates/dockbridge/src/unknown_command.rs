//! Words that users type from other tools and that are no commands here: each points to the command
//! that does it, or says that docker does. Knows no command's arguments.

use api::Code;
use clap::error::{ContextKind, ContextValue, ErrorKind};

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
    (&["settings"], "`dockbridge config show` prints all settings"),
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

/// The failure in place of clap's own, if the word is known.
pub fn pointed_out(error: &clap::Error) -> Option<Failure> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let hint = instead(word)?;
    let message = format!("dockbridge has no command {word:?}");
    Some(Failure::of_code(Code::SettingsInvalid, message).hint(hint).code(2))
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

    use clap::CommandFactory as _;

    use super::*;
    use crate::Arguments;

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
        use clap::Parser as _;
        let error = Arguments::try_parse_from(["dockbridge", "down"]).unwrap_err();
        let failure = pointed_out(&error).unwrap();
        assert!(failure.to_string().contains("`dockbridge server destroy` deletes"), "{failure}");
        let error = Arguments::try_parse_from(["dockbridge", "frobnicate"]).unwrap_err();
        assert!(pointed_out(&error).is_none());
    }
}
