//! The generated part of docs/commands.md: every command with its arguments, as clap knows them,
//! and the exit codes. It has the commands of Linux.

mod man;

use std::fmt::Write as _;
use std::path::Path;

use clap::builder::PossibleValue;
use clap::{Arg, Command, CommandFactory as _};

use crate::Arguments;
use crate::failure::{BAD_SOURCE, INTERRUPTED, NO_STOCK, NOT_RUNNING};

const EXIT_CODES: &[(u8, &str)] = &[
    (0, "done"),
    (1, "it failed; standard error says what happened and what to do"),
    (2, "invalid arguments"),
    (NOT_RUNNING, "no daemon answers, or no machine exists"),
    (BAD_SOURCE, "`image build`: the source cannot be fetched, or is not as expected"),
    (NO_STOCK, "`image build`: no server to build on is in stock"),
    (INTERRUPTED, "`image build`: interrupted; what it created is removed"),
];

/// A text in a Markdown table or paragraph, where `<X>` would be HTML.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', " ")
}

/// The words that an argument takes, each with its help if it has any.
fn values(argument: &Arg) -> Option<String> {
    let values = argument.get_possible_values();
    let values: Vec<_> = values.iter().filter(|value| !value.is_hide_set()).collect();
    if values.is_empty() || !argument.get_action().takes_values() {
        return None;
    }
    let name = |value: &&PossibleValue| format!("`{}`", value.get_name());
    if values.iter().all(|value| value.get_help().is_none()) {
        return Some(values.iter().map(name).collect::<Vec<_>>().join(", "));
    }
    let line = |value: &&PossibleValue| {
        let help = value.get_help().map(ToString::to_string).unwrap_or_default();
        format!("{}: {}", name(value), escaped(&help))
    };
    Some(values.iter().map(line).collect::<Vec<_>>().join("<br>"))
}

/// A row for an argument: how it is written, its help and values, its default and variable.
fn row(argument: &Arg) -> String {
    let short = argument.get_short().filter(|_| argument.get_long().is_some());
    let written = short.map_or_else(|| argument.to_string(), |it| format!("-{it}, {argument}"));
    let help = argument.get_help().map(|help| escaped(&help.to_string()));
    let meaning: Vec<String> = help.into_iter().chain(values(argument)).collect();
    let default = match argument.get_action().takes_values() {
        true => argument.get_default_values().iter().map(|it| it.to_string_lossy()).collect(),
        false => Vec::new(),
    };
    let default = default.iter().map(|value| format!("`{value}`"));
    let variable = argument.get_env().map(|name| format!("`{}`", name.to_string_lossy()));
    format!(
        "| `{}` | {} | {} |\n",
        written.replace('|', "\\|"),
        meaning.join("<br>"),
        default.chain(variable).collect::<Vec<_>>().join(", ")
    )
}

fn table<'a>(arguments: impl Iterator<Item = &'a Arg>) -> String {
    let rows: String = arguments
        .filter(|argument| !argument.is_hide_set())
        .filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
        .map(row)
        .collect();
    match rows.as_str() {
        "" => String::new(),
        rows => format!("| argument | meaning | default, variable |\n|---|---|---|\n{rows}\n"),
    }
}

fn subcommands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|it| !it.is_hide_set() && it.get_name() != "help")
}

fn about(command: &Command) -> String {
    let about = command.get_long_about().or_else(|| command.get_about());
    about.map(|about| escaped(&about.to_string())).unwrap_or_default()
}

/// A command, then its subcommands.
fn section(command: &mut Command, path: &str, text: &mut String) {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").lines().map(str::trim);
    let usage = usage.collect::<Vec<_>>().join("\n");
    let about = testkit::wrapped(&format!("{}.", about(command)), "");
    let _ = write!(text, "### {path}\n\n{about}\n\n```\n{usage}\n```\n\n");
    text.push_str(&table(command.get_arguments().filter(|argument| !argument.is_global_set())));
    for subcommand in command.get_subcommands_mut() {
        if !subcommand.is_hide_set() && subcommand.get_name() != "help" {
            let path = format!("{path} {}", subcommand.get_name());
            section(subcommand, &path, text);
        }
    }
}

fn reference() -> String {
    let mut command = Arguments::command();
    command.build();
    let mut text = "\n| command | what it does |\n|---|---|\n".to_owned();
    for command in subcommands(&command) {
        let name = command.get_name();
        let anchor = format!("dockbridge-{name}");
        let _ = writeln!(text, "| [`dockbridge {name}`](#{anchor}) | {} |", about(command));
    }
    let _ = write!(
        text,
        "\n## Arguments of all commands\n\n{}## Each command\n\n",
        table(command.get_arguments().filter(|argument| argument.is_global_set()))
    );
    let shown = |it: &&mut Command| !it.is_hide_set() && it.get_name() != "help";
    for command in command.get_subcommands_mut().filter(shown) {
        let path = format!("dockbridge {}", command.get_name());
        section(command, &path, &mut text);
    }
    text.push_str("## Exit codes\n\n| code | meaning |\n|---|---|\n");
    for (code, meaning) in EXIT_CODES {
        let _ = writeln!(text, "| {code} | {meaning} |");
    }
    text.push('\n');
    text
}

#[test]
fn reference_of_commands_is_up_to_date() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
    let test = "-p dockbridge --bin dockbridge reference";
    testkit::compare_generated(&document, "commands", &reference(), test);
}
