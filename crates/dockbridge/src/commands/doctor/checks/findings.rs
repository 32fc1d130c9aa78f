//! All findings, as `doctor` prints them at 80 columns: `findings.md` beside this file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use api::{CheckCode, CheckState};

use super::super::found::Found;
use super::super::print::lines;
use super::super::schedule::done;
use super::{cloud, daemon, docker, files, network, program, stock, token};

/// What each check can find that is wrong.
fn all() -> BTreeMap<CheckCode, Vec<Found>> {
    let mut all: BTreeMap<CheckCode, Vec<Found>> = BTreeMap::new();
    for findings in [
        files::tests::findings(),
        token::tests::findings(),
        network::tests::findings(),
        stock::tests::findings(),
        cloud::tests::findings(),
        docker::tests::findings(),
        daemon::tests::findings(),
        program::tests::findings(),
    ] {
        findings.into_iter().for_each(|(code, found)| all.entry(code).or_default().push(found));
    }
    all
}

/// The lines of one finding, without the summary below them.
fn shown(code: CheckCode, found: Found) -> Vec<String> {
    let mut lines = lines(&[done(code, found, 0.0).check], &[]);
    let summary = lines.iter().position(String::is_empty).unwrap();
    lines.truncate(summary);
    lines
}

fn reference() -> String {
    let mut text = String::new();
    for (code, findings) in all() {
        let (mut plain, mut colored) = (Vec::new(), Vec::new());
        for found in findings {
            assert!(matches!(found.state, CheckState::Hint | CheckState::Broken), "{found:?}");
            let lines = shown(code, found);
            let without: Vec<String> =
                lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
            for line in &without {
                assert!(line.chars().count() <= 80, "{code} has a line of over 80 columns: {line}");
            }
            plain.push(without.join("\n"));
            colored.extend(lines.into_iter().filter(|line| line.contains('\x1b')));
        }
        let (plain, colored) = (plain.join("\n\n"), colored.join("\n").replace('\x1b', "␛"));
        let _ = write!(text, "\n## `{code}`\n\n```text\n{plain}\n```\n\n```text\n{colored}\n```\n");
    }
    text.push('\n');
    text
}

#[test]
fn reference_of_findings_is_up_to_date() {
    // The longest path of a socket is another one elsewhere.
    if cfg!(not(target_os = "linux")) {
        return;
    }
    let document =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands/doctor/checks/findings.md");
    let test = "-p dockbridge --bin dockbridge reference";
    testkit::compare_generated(&document, "findings", &reference(), test);
}

#[test]
fn every_check_has_a_finding_in_the_reference() {
    let shown: Vec<CheckCode> = all().into_keys().collect();
    assert_eq!(shown, CheckCode::ALL, "a check that has no finding here was never seen");
}
