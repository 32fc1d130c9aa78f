//! Commands that fail: message, hint and exit code, without and with a terminal: `errors.md` beside
//! this file.

use std::fmt::Write as _;
use std::path::Path;

use crate::rig::{Desk, READ_ONLY, Ran, run};

/// What differs from a new user's computer with a valid token.
#[derive(Debug, Clone, Copy)]
enum Given {
    Nothing,
    Variable(&'static str, &'static str),
    NoVariable(&'static str),
    Settings(&'static str),
    /// A file in the user's directory.
    File(&'static str, &'static str),
    Volume,
    VolumeOnServer,
}

const NOTHING: Given = Given::Nothing;
const NO_TOKEN: Given = Given::NoVariable("HCLOUD_TOKEN");
const BAD_TOKEN: Given = Given::Variable("HCLOUD_TOKEN", "0123");
const READS: Given = Given::Variable("HCLOUD_TOKEN", READ_ONLY);
const BROKEN: Given = Given::Settings("activity: {idle_timeout: soon}\nport: 1\n");
const TYPO: Given = Given::Settings("hetzner: {volume_size: 20GB, tokn: abc}\n");
const PLUGIN: Given = Given::File("docker/cli-plugins/docker-dockbridge", "");

/// Each command, and what is given.
const CASES: &[(&str, Given)] = &[
    ("frobnicate", NOTHING),
    ("statsu", NOTHING),
    ("down", NOTHING),
    ("ps", NOTHING),
    ("login", NOTHING),
    ("list", NOTHING),
    ("run hello-world", NOTHING),
    ("server start", NOTHING),
    ("start --provider azure", NOTHING),
    ("start --provider ssh", NOTHING),
    ("start --provider hetzner --host me@lab", NOTHING),
    ("start --identity key", NOTHING),
    ("start --host me@", NOTHING),
    ("start --no-such-option", NOTHING),
    ("volume delete", NOTHING),
    ("volume resize 5", NOTHING),
    ("volume resize big", NOTHING),
    ("ports add 8080:web", NOTHING),
    ("ports remove web", NOTHING),
    ("pin --for 0s", NOTHING),
    ("pin --for soon", NOTHING),
    ("explain volumefull", NOTHING),
    ("explain xyz", NOTHING),
    ("completions tcsh", NOTHING),
    ("image build raw --name lab", NOTHING),
    ("image build raw --name lab --file disk --arch both", NOTHING),
    ("image build talos", NOTHING),
    ("image prune --keep 1", NOTHING),
    ("image delete lab", NOTHING),
    ("init --join nonsense", NOTHING),
    ("--profile My_Profile status", NOTHING),
    ("--config /nowhere.yaml start", NOTHING),
    ("init --yes", NO_TOKEN),
    ("init --yes", BAD_TOKEN),
    ("init --yes", READS),
    ("init --token-stdin", NO_TOKEN),
    ("status", NOTHING),
    ("--profile lab status", NOTHING),
    ("wake", NOTHING),
    ("stop", NOTHING),
    ("why", NOTHING),
    ("ports", NOTHING),
    ("pin", NOTHING),
    ("server status", NOTHING),
    ("server ssh", NOTHING),
    ("server list", NO_TOKEN),
    ("server list", BAD_TOKEN),
    ("server list", Given::File("home/config/owner", "nobody")),
    ("volume resize 40", NOTHING),
    ("volume delete data", NOTHING),
    ("volume delete data", Given::Volume),
    ("volume delete data", Given::VolumeOnServer),
    ("start", BROKEN),
    ("config validate", BROKEN),
    ("config validate", TYPO),
    ("start", Given::File("home/run/default/docker.sock", "")),
    ("uninstall", NOTHING),
    ("plugin install", PLUGIN),
];

impl Given {
    async fn desk(self) -> Desk {
        let mut desk = Desk::new().await;
        match self {
            Self::Nothing => {}
            Self::Variable(name, value) => {
                desk.set(name, value);
            }
            Self::NoVariable(name) => {
                desk.unset(name);
            }
            Self::Settings(text) => desk.settings(text),
            Self::File(path, text) => {
                let path = desk.path(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Self::Volume => {
                make_volume(&desk).await;
            }
            Self::VolumeOnServer => {
                let volume = make_volume(&desk).await;
                desk.make_server("server", hetzner::Labels::new(), vec![volume], true).await;
            }
        }
        desk.set("COLUMNS", "80").set("TERM", "xterm");
        desk
    }

    /// For the heading of a case.
    fn words(self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Variable(name, READ_ONLY) => format!(", {name} may only read"),
            Self::Variable(name, value) => format!(", {name}={value}"),
            Self::NoVariable(name) => format!(", no {name}"),
            Self::Settings(text) => format!(", settings `{}`", text.trim().replace('\n', "; ")),
            Self::File(path, _) => format!(", a file at {path}"),
            Self::Volume => ", the volume exists".to_owned(),
            Self::VolumeOnServer => ", the volume is attached".to_owned(),
        }
    }
}

async fn make_volume(desk: &Desk) -> u64 {
    desk.make_volume("data", desk.identity("default").labels("data")).await.id
}

/// Columns at which no message is broken.
const WIDE: usize = 1_000;

/// On a terminal of a width, by `script`: what goes to standard error.
async fn on_a_terminal(desk: &Desk, columns: usize, line: &str) -> Ran {
    let program = env!("CARGO_BIN_EXE_dockbridge");
    let mut script = desk.command("script");
    let line = format!("stty cols {columns}; {program} {line} </dev/null >/dev/null");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    let ran = run(script, "").await;
    Ran { stdout: settled(&ran.stdout), ..ran }
}

/// What stays, however long the cloud takes: a line that counts the seconds of a wait is erased in
/// the end, and another one says that the cloud is asked again.
fn settled(text: &str) -> String {
    let last = |line: &str| line.rsplit("\r\u{1b}[K").next().unwrap().to_owned();
    let lines = text.split('\n').filter(|line| !line.contains(" to answer …"));
    lines.map(last).collect::<Vec<_>>().join("\n")
}

/// Without what differs between two runs.
fn stable(desk: &Desk, text: &str) -> String {
    let directory = desk.directory.path().to_str().unwrap();
    let text = text.replace(directory, "/desk").replace(&desk.cloud.endpoint(), "http://cloud/v1");
    let lines: Vec<String> =
        text.trim_end().lines().map(|line| without_ids(line.trim_end())).collect();
    lines.join("\n")
}

/// With `N` in place of the cloud's ids.
fn without_ids(line: &str) -> String {
    let words = line.split(' ').map(|word| match word.parse::<u64>() {
        Ok(id) if id > 100_000 => "N",
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// No line has more than 80 columns, but for one word or one command that is longer, and the
/// values in errors of the parser of arguments.
#[track_caller]
fn assert_fits(text: &str) {
    let is_wide = |line: &&str| line.chars().count() > 80 && !line.starts_with("error: ");
    for line in text.lines().filter(is_wide) {
        let rest = line.trim_start();
        let rest = rest.split_once(": ").map_or(rest, |(_, rest)| rest);
        let is_one_command = rest.starts_with('`') && rest.matches('`').count() == 2;
        assert!(!rest.contains(' ') || is_one_command, "a line of over 80 columns: {line}");
    }
}

#[tokio::test]
async fn reference_of_errors_is_up_to_date() {
    if std::process::Command::new("script").arg("--version").output().is_err() {
        return testkit::passed_over!("no `script` for a terminal");
    }
    assert!(CASES.len() > 40);
    let mut text = String::new();
    for (line, given) in CASES {
        let desk = given.desk().await;
        let ran = desk.dockbridge(&line.split(' ').collect::<Vec<_>>()).await;
        let ran = Ran { stderr: settled(&ran.stderr), ..ran };
        let shown = on_a_terminal(&desk, 80, line).await;
        assert_eq!(ran.status.code(), shown.status.code(), "{ran}{shown}");
        assert!(!ran.stderr.contains('\u{1b}') && shown.stdout.contains('\u{1b}'), "{ran}{shown}");
        let without_color = anstream::adapter::strip_str(&shown.stdout).to_string();
        let same: Vec<&str> =
            without_color.lines().filter(|line| !line.starts_with("More: ")).collect();
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let added = "colors and ends of lines are all that a terminal adds";
        assert_eq!(words(&same.join("\n")), words(&ran.stderr), "{added}: {ran}");
        assert_fits(&without_color);
        let plain = stable(&desk, &ran.stderr);
        // Where a line ends depends on the length of a path.
        let shown = match plain == ran.stderr.trim_end() {
            true => shown,
            false => on_a_terminal(&desk, WIDE, line).await,
        };
        let colored = stable(&desk, &shown.stdout);
        let code = ran.status.code().unwrap();
        assert_ne!(code, 0, "{ran}");
        let colored = colored.replace('\u{1b}', "␛");
        let heading = format!("`dockbridge {line}`{}: {code}", given.words());
        write!(text, "\n## {heading}\n\n```text\n{plain}\n```\n\n```text\n{colored}\n```\n")
            .unwrap();
    }
    text.push('\n');
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/errors.md");
    testkit::compare_generated(&document, "errors", &text, "-p dockbridge --test cli reference");
}
