//! Findings as text of at most 80 columns: one line for what is fine, and for the rest what was
//! found, why, and what to do. Pure.

use api::{Check, CheckState, Repair};

/// Columns of a terminal that was never made larger.
const WIDTH: usize = 80;
/// Columns of the state and of the title.
const STATE: usize = 8;
const TITLE: usize = 16;

/// All checks, and what was repaired before.
pub fn text(checks: &[Check], repairs: &[Repair]) -> String {
    let mut lines = Vec::new();
    for repair in repairs {
        let state = if repair.done { "fixed" } else { "failed" };
        row(&mut lines, state, repair.code.entry().title, &repair.message);
    }
    for check in checks {
        match check.state {
            CheckState::Ok => lines.push(one_line("ok", &check.title, &check.message)),
            CheckState::NotRun => lines.push(one_line("-", &check.title, &check.message)),
            CheckState::Hint | CheckState::Broken => {
                row(&mut lines, check.state.word(), &check.title, &check.message);
                if let Some(cause) = &check.cause {
                    note(&mut lines, "Cause", cause);
                }
                for cure in &check.cure {
                    note(&mut lines, "Cure", cure);
                }
            }
        }
    }
    lines.push(String::new());
    lines.extend(wrapped(&summary(checks), WIDTH));
    lines.push(String::new());
    lines.join("\n")
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
fn one_line(state: &str, title: &str, message: &str) -> String {
    let line = format!("{state:<STATE$}{title:<TITLE$}{message}");
    match line.chars().count() > WIDTH {
        true => line.chars().take(WIDTH - 1).chain(['…']).collect(),
        false => line,
    }
}

fn row(lines: &mut Vec<String>, state: &str, title: &str, message: &str) {
    for (index, part) in wrapped(message, WIDTH - STATE - TITLE).into_iter().enumerate() {
        let (state, title) = if index == 0 { (state, title) } else { ("", "") };
        lines.push(format!("{state:<STATE$}{title:<TITLE$}{part}"));
    }
}

fn note(lines: &mut Vec<String>, name: &str, text: &str) {
    let indent = STATE + TITLE + 7;
    for (index, part) in wrapped(text, WIDTH - indent).into_iter().enumerate() {
        let name = if index == 0 { format!("{name}:") } else { String::new() };
        lines.push(format!("{:<1$}{name:<7}{part}", "", STATE + TITLE));
    }
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
        let repair =
            Repair { code: CheckCode::Socket, done: true, message: "removed /run/s".to_owned() };
        let text = text(&checks, &[repair]);
        insta::assert_snapshot!(text, @"
        fixed   Socket          removed /run/s
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
