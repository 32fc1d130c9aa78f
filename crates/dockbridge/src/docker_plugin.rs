//! The program as a plugin of the docker client: `docker dockbridge …` runs `docker-dockbridge`
//! with docker's own arguments. Knows the forms of that call; of the commands only their names.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::Path;

use clap::Command;

/// The name under which docker finds the plugin.
pub const NAME: &str = "docker-dockbridge";
/// The command of docker that runs the plugin.
const COMMAND: &str = "dockbridge";
/// With this only argument docker asks what a plugin is (docker/cli, `cli-plugins/metadata`).
const METADATA_COMMAND: &str = "docker-cli-plugin-metadata";
/// The answer. docker refuses a plugin without a vendor.
const METADATA: &str = concat!(
    r#"{"SchemaVersion":"0.1.0","Vendor":"dockbridge","Version":""#,
    env!("CARGO_PKG_VERSION"),
    r#"","ShortDescription":"Docker on a cloud server that exists only while you use it"}"#,
    "\n"
);
/// docker completes a command line by these, with all words after them (cobra's protocol).
const COMPLETION_COMMANDS: [&str; 2] = ["__complete", "__completeNoDesc"];
/// Ends a completion: no names of files follow.
const NO_FILES: &str = ":4";
/// docker's own options that choose an engine, and take a value.
const ENGINE: [&str; 4] = ["--context", "-c", "--host", "-H"];
/// docker's other options that take a value.
const WITH_VALUE: [&str; 6] =
    ["--config", "--log-level", "-l", "--tlscacert", "--tlscert", "--tlskey"];

/// What this process was called for.
#[derive(Debug, PartialEq, Eq)]
pub enum Called {
    /// A command. The first argument is the name of the program.
    Command {
        /// As the help names the program; `None` for the name that was typed.
        program: Option<&'static str>,
        arguments: Vec<OsString>,
    },
    /// The answer to docker's question what the plugin is.
    Metadata(&'static str),
    /// The words that may be typed in place of the last one of these.
    Completion { words: Vec<OsString> },
    /// A command after an option of docker's that chooses an engine.
    EngineOption { option: String },
}

/// Reads the arguments of this process, its name included.
pub fn called(arguments: Vec<OsString>) -> Called {
    let name = arguments.first().and_then(|name| Path::new(name).file_stem());
    if name.is_none_or(|name| name != NAME) {
        return Called::Command { program: None, arguments };
    }
    let mut rest = VecDeque::from(arguments.clone());
    rest.pop_front();
    let mut words: Vec<OsString> = vec![COMMAND.into()];
    while let Some(argument) = rest.pop_front() {
        match argument.to_str().unwrap_or_default() {
            METADATA_COMMAND => return Called::Metadata(METADATA),
            COMMAND => {
                words.extend(rest);
                let program = Some("docker dockbridge");
                return Called::Command { program, arguments: words };
            }
            completion if COMPLETION_COMMANDS.contains(&completion) => {
                // The name of the command.
                rest.pop_front();
                return Called::Completion { words: rest.into() };
            }
            // `docker help dockbridge …`
            "help" => words.push(argument),
            option if option.starts_with('-') => {
                let name = option.split('=').next().unwrap_or_default();
                if ENGINE.contains(&name) {
                    return Called::EngineOption { option: name.to_owned() };
                }
                if WITH_VALUE.contains(&option) {
                    rest.pop_front();
                }
            }
            // A user has called the plugin itself.
            _ => break,
        }
    }
    Called::Command { program: None, arguments }
}

/// The arguments of the command that runs, without the program's name.
pub fn command_arguments() -> Vec<OsString> {
    match called(std::env::args_os().collect()) {
        Called::Command { arguments, .. } => arguments.into_iter().skip(1).collect(),
        Called::Metadata(_) | Called::Completion { .. } | Called::EngineOption { .. } => Vec::new(),
    }
}

/// The subcommands, or the options where a hyphen is typed, that may be the last of these words: a
/// line each, with its help after a tab.
pub fn completions(mut command: Command, words: &[OsString]) -> String {
    command.build();
    let (last, before) = words
        .split_last()
        .map_or(("", words), |(last, before)| (last.to_str().unwrap_or_default(), before));
    let at = before.iter().fold(&command, |at, word| at.find_subcommand(word).unwrap_or(at));
    let subcommands = at.get_subcommands().filter(|it| !it.is_hide_set());
    let subcommands = subcommands.map(|it| (it.get_name().to_owned(), it.get_about()));
    let options = at.get_arguments().filter(|it| !it.is_hide_set() && last.starts_with('-'));
    let options = options.filter_map(|it| Some((format!("--{}", it.get_long()?), it.get_help())));
    let mut lines = String::new();
    for (name, help) in subcommands.chain(options).filter(|(name, _)| name.starts_with(last)) {
        let help = help.map(|help| format!("\t{help}")).unwrap_or_default();
        lines.push_str(&format!("{name}{help}\n"));
    }
    lines + NO_FILES + "\n"
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::Arguments;

    const PLUGIN: &str = "/home/ada/.docker/cli-plugins/docker-dockbridge";

    fn reads(line: &[&str]) -> Called {
        called(line.iter().map(OsString::from).collect())
    }

    fn command(program: Option<&'static str>, line: &[&str]) -> Called {
        Called::Command { program, arguments: line.iter().map(OsString::from).collect() }
    }

    #[test]
    fn call_of_docker_is_the_same_command() {
        let docker = Some("docker dockbridge");
        for (line, expected) in [
            (&[PLUGIN, "dockbridge", "start", "-d"][..], &["dockbridge", "start", "-d"][..]),
            (&[PLUGIN, "dockbridge", "--help"], &["dockbridge", "--help"]),
            (&[PLUGIN, "help", "dockbridge", "start"], &["dockbridge", "help", "start"]),
            (&[PLUGIN, "-D", "-l", "info", "dockbridge", "why"], &["dockbridge", "why"]),
            (&[PLUGIN, "--config", "dockbridge", "dockbridge"], &["dockbridge"]),
            (&[PLUGIN, "--log-level=info", "dockbridge", "why"], &["dockbridge", "why"]),
        ] {
            assert_eq!(reads(line), command(docker, expected), "{line:?}");
        }
        for line in
            [&["/opt/dockbridge/bin/dockbridge", "dockbridge"][..], &[PLUGIN, "status"], &[PLUGIN]]
        {
            assert_eq!(reads(line), command(None, line), "{line:?}");
        }
    }

    #[test]
    fn option_that_chooses_an_engine_is_not_dropped() {
        for option in ["--context", "--context=lab", "-c", "-H", "--host=tcp://lab"] {
            let called = reads(&[PLUGIN, option, "dockbridge", "dockbridge", "server", "destroy"]);
            let option = option.split('=').next().unwrap().to_owned();
            assert_eq!(called, Called::EngineOption { option });
        }
    }

    #[test]
    fn words_are_completed_as_docker_asks() {
        let complete = |line: &[&str]| {
            let asked = [&[PLUGIN, "__complete", "dockbridge"], line].concat();
            let Called::Completion { words } = reads(&asked) else { panic!("{asked:?}") };
            completions(Arguments::command(), &words)
        };
        let names = |line: &[&str]| {
            let text = complete(line);
            text.lines().map(|it| it.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&["sta"]), ["start", "status", ":4"]);
        assert_eq!(names(&["volume", "re"]), ["resize", ":4"]);
        assert_eq!(names(&["start", "--de"]), ["--detach", ":4"]);
        assert!(complete(&["unp"]).starts_with("unpin\tRemove the pin\n"));
        assert!(!names(&[""]).contains(&"destroy".to_owned()), "it is hidden");
    }

    #[test]
    fn docker_learns_what_the_plugin_is() {
        let Called::Metadata(answer) = reads(&[PLUGIN, METADATA_COMMAND]) else { panic!() };
        let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
        assert_eq!(answer["SchemaVersion"], "0.1.0");
        assert_eq!(answer["Version"], env!("CARGO_PKG_VERSION"));
    }
}
