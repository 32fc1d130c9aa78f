//! Findings as text of at most 80 columns: one line for what is fine, and for the rest what was
//! found, why, and what to do. Pure.

use anstyle::{AnsiColor, Style};
use api::{Check, CheckState, Repair};

use crate::output::with_arguments;

/// Columns of a terminal that was never made larger.
const WIDTH: usize = 80;
/// Columns of the state and of the title.
const STATE: usize = 8;
const TITLE: usize = 16;

/// The word of a state, with its color.
type State = (&'static str, Option<AnsiColor>);
const OK: State = ("ok", Some(AnsiColor::Green));
const NOT_RUN: State = ("-", None);
const HINT: State = ("hint", Some(AnsiColor::Yellow));
const BROKEN: State = ("broken", Some(AnsiColor::Red));
const FIXED: State = ("fixed", Some(AnsiColor::Green));
const FAILED: State = ("failed", Some(AnsiColor::Red));

/// All checks, and what was repaired before, as lines with escape sequences for a terminal.
pub fn lines(checks: &[Check], repairs: &[Repair]) -> Vec<String> {
    let mut lines = Vec::new();
    for repair in repairs {
        let state = if repair.done { FIXED } else { FAILED };
        lines.extend(row(state, repair.code.entry().title, &repair.message));
    }
    lines.extend(checks.iter().flat_map(finding));
    lines.push(String::new());
    lines.extend(wrapped(&with_arguments(&summary(checks)), WIDTH));
    lines
}

/// One check.
fn finding(check: &Check) -> Vec<String> {
    let state = match check.state {
        CheckState::Ok => return vec![one_line(OK, &check.title, &check.message)],
        CheckState::NotRun => return vec![one_line(NOT_RUN, &check.title, &check.message)],
        CheckState::Hint => HINT,
        CheckState::Broken => BROKEN,
    };
    let mut lines = row(state, &check.title, &check.message);
    lines.extend(check.cause.iter().flat_map(|cause| note("Cause", cause)));
    lines.extend(check.cure.iter().flat_map(|cure| note("Cure", cure)));
    lines
}

fn summary(checks: &[Check]) -> String {
    let of = |state| checks.iter().filter(move |check| check.state == state);
    let broken = match of(CheckState::Broken).count() {
        0 => "Nothing is broken".to_owned(),
        1 => "1 check found something broken".to_owned(),
        many => format!("{many} checks found something broken"),
    };
    let hints = match of(CheckState::Hint).count() {
        0 => String::new(),
        1 => ", 1 has a hint".to_owned(),
        many => format!(", {many} have a hint"),
    };
    let fixable: Vec<&str> =
        checks.iter().filter(|check| check.fixable).map(|check| check.title.as_str()).collect();
    match fixable.is_empty() {
        true => format!("{broken}{hints}."),
        false => {
            format!("{broken}{hints}. `dockbridge doctor --fix` repairs: {}.", fixable.join(", "))
        }
    }
}

/// A line that is cut at the width, for what needs no attention.
fn one_line(state: State, title: &str, message: &str) -> String {
    let room = WIDTH - STATE - TITLE;
    let cut = match message.chars().count() > room {
        true => message.chars().take(room - 1).chain(['…']).collect(),
        false => message.to_owned(),
    };
    format!("{}{title:<TITLE$}{cut}", styled(state))
}

/// The state in its column.
fn styled((word, color): State) -> String {
    match color {
        Some(color) => {
            let style = Style::new().fg_color(Some(color.into()));
            format!("{style}{word}{style:#}{:<1$}", "", STATE - word.len())
        }
        None => format!("{word:<STATE$}"),
    }
}

fn row(state: State, title: &str, message: &str) -> Vec<String> {
    let mut begin = format!("{}{title:<TITLE$}", styled(state));
    let mut lines = Vec::new();
    for part in wrapped(message, WIDTH - STATE - TITLE) {
        lines.push(begin + &part);
        begin = " ".repeat(STATE + TITLE);
    }
    lines
}

fn note(name: &str, text: &str) -> Vec<String> {
    let indent = STATE + TITLE;
    let mut begin = format!("{:<indent$}{:<7}", "", format!("{name}:"));
    let mut lines = Vec::new();
    for part in wrapped(text, WIDTH - indent - 7) {
        lines.push(begin + &part);
        begin = " ".repeat(indent + 7);
    }
    lines
}

/// Words in lines of a width; a word that is longer, such as a path, stays whole.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use api::CheckCode;

    use super::*;

    /// As a file gets it.
    fn text(checks: &[Check], repairs: &[Repair]) -> String {
        anstream::adapter::strip_str(&lines(checks, repairs).join("\n")).to_string()
    }

    fn check(code: CheckCode, state: CheckState, message: &str) -> Check {
        let has_advice = matches!(state, CheckState::Hint | CheckState::Broken);
        Check {
            code,
            title: code.entry().title.to_owned(),
            state,
            message: message.to_owned(),
            cause: has_advice.then(|| code.entry().cause.to_owned()),
            cure: if has_advice { vec![code.entry().cure.to_owned()] } else { Vec::new() },
            depends_on: Vec::new(),
            not_run_because: None,
            fixable: code == CheckCode::Files,
            seconds: 0.0,
        }
    }

    #[test]
    fn findings_have_cause_and_cure_and_the_rest_has_one_line() {
        let long = "/home/ada/a directory with a long name/and one more/config/config.yaml";
        let checks = [
            check(CheckCode::Settings, CheckState::Ok, long),
            check(CheckCode::Files, CheckState::Broken, "other users may read /c (mode 0755)"),
            check(CheckCode::NameLookup, CheckState::Broken, "api.example cannot be looked up"),
            check(CheckCode::Https, CheckState::NotRun, "not run, because Name lookup failed"),
            check(CheckCode::Service, CheckState::Hint, "not installed"),
        ];
        let repairs =
            [(CheckCode::Socket, true, "removed /run/s"), (CheckCode::Files, false, "no")]
                .map(|(code, done, message)| Repair { code, done, message: message.to_owned() });
        let text = text(&checks, &repairs);
        insta::assert_snapshot!(text, @"
        fixed   Socket          removed /run/s
        failed  Files           no
        ok      Settings        /home/ada/a directory with a long name/and one more/con…
        broken  Files           other users may read /c (mode 0755)
                                Cause: A copy, a backup or another program changed the
                                       mode, or the disk is read-only.
                                Cure:  Run `dockbridge doctor --fix`, which restores the
                                       modes.
        broken  Name lookup     api.example cannot be looked up
                                Cause: This computer is offline, its DNS does not
                                       answer, or the name is wrong.
                                Cure:  Check the network, and that `hetzner.endpoint` or
                                       HCLOUD_ENDPOINT is the API's address.
        -       HTTPS           not run, because Name lookup failed
        hint    Service         not installed
                                Cause: It was never installed, or its daemon has failed.
                                Cure:  Run `dockbridge service install`; the first
                                       docker command then starts the daemon.

        2 checks found something broken, 1 has a hint. `dockbridge doctor --fix`
        repairs: Files.
        ");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        let colored = lines(&checks, &repairs).join("\n").replace('\x1b', "^");
        let colored: Vec<&str> = colored.lines().filter(|line| line.contains('^')).collect();
        insta::assert_snapshot!(colored.join("\n"), @"
        ^[32mfixed^[0m   Socket          removed /run/s
        ^[31mfailed^[0m  Files           no
        ^[32mok^[0m      Settings        /home/ada/a directory with a long name/and one more/con…
        ^[31mbroken^[0m  Files           other users may read /c (mode 0755)
        ^[31mbroken^[0m  Name lookup     api.example cannot be looked up
        ^[33mhint^[0m    Service         not installed
        ");
    }

    #[test]
    fn every_finding_of_the_registry_fits_the_width() {
        for code in CheckCode::ALL {
            let text = text(&[check(*code, CheckState::Broken, "it is broken")], &[]);
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        }
    }

    #[test]
    fn path_that_is_longer_than_a_line_stays_whole() {
        let path = format!("/{}", "x".repeat(90));
        let checks = [check(CheckCode::Files, CheckState::Broken, &format!("cannot read {path}"))];
        assert!(text(&checks, &[]).contains(&path));
    }
}
