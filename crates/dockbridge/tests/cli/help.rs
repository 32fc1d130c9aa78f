//! `--help` of every command, as a terminal of 80 columns shows it: `help.md` beside this file.

use std::fmt::Write as _;
use std::path::Path;
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
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    for line in &lines {
        assert!(line.chars().count() <= 80, "{command:?} has a line of over 80 columns: {line}");
    }
    lines.join("\n")
}

/// The help of a command and of each command in its list.
fn collect(command: &[&str], all: &mut Vec<(String, String)>) {
    let text = help(command);
    all.push(([&["dockbridge"][..], command].concat().join(" "), text.clone()));
    let Some((_, list)) = text.split_once("\nCommands:\n") else { return };
    let names = list.lines().take_while(|line| !line.is_empty());
    for name in names.filter_map(|line| line.strip_prefix("  ")) {
        let name = name.split(' ').next().unwrap();
        if !matches!(name, "" | "help") {
            collect(&[command, &[name]].concat(), all);
        }
    }
}

#[test]
fn reference_of_help_is_up_to_date() {
    let mut all = Vec::new();
    collect(&[], &mut all);
    assert!(all.len() > 30, "{all:?}");
    let mut text = String::new();
    for (command, help) in all {
        write!(text, "\n## {command}\n\n```text\n{help}\n```\n").unwrap();
    }
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/help.md");
    testkit::compare_generated(&document, "help", &text, "-p dockbridge --test cli reference");
}
