//! `--help` of every command, as a terminal of 80 columns shows it.

mod cloud;
mod daily;
mod images;
mod setup;

use std::collections::BTreeSet;
use std::process::Command;

fn help(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_dockbridge"))
        .env_clear()
        .env("COLUMNS", "80")
        .args(command)
        .arg("--help")
        .output()
        .unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    for line in &lines {
        assert!(line.chars().count() <= 80, "{command:?} has a line of over 80 columns: {line}");
    }
    lines.join("\n")
}

/// All commands, by the lists of subcommands in their help.
fn commands(command: &[&str], all: &mut BTreeSet<String>) {
    all.insert(format!("{command:?}"));
    let text = help(command);
    let Some((_, list)) = text.split_once("\nCommands:\n") else { return };
    let names = list.lines().take_while(|line| !line.is_empty());
    for name in names.filter_map(|line| line.strip_prefix("  ")) {
        let name = name.split(' ').next().unwrap();
        if !matches!(name, "" | "help") {
            commands(&[command, &[name]].concat(), all);
        }
    }
}

#[test]
fn every_command_has_a_snapshot() {
    let tests = [
        include_str!("help/cloud.rs"),
        include_str!("help/daily.rs"),
        include_str!("help/images.rs"),
        include_str!("help/setup.rs"),
    ];
    let mut all = BTreeSet::new();
    commands(&[], &mut all);
    assert!(all.len() > 30, "{all:?}");
    let missing: Vec<&String> = all
        .iter()
        .filter(|command| !tests.iter().any(|test| test.contains(&format!("help(&{command})"))))
        .collect();
    assert!(missing.is_empty(), "no snapshot of {missing:?}");
}
