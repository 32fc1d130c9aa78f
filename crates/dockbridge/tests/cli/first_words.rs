//! Commands that users type first, with the words of other tools: each works, or names the one that
//! does.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::timeout;

use crate::rig::{Desk, READ_ONLY, Ran};

/// Ceiling for the first line of a command that goes on.
const LONGEST: Duration = Duration::from_secs(60);

/// Exit code, beginning of the first line, and what else is said.
type Answer = (i32, &'static str, &'static str);

/// What new users type first, and the answers without and with a daemon. There is no machine, and
/// the token creates none.
const FIRST: &[(&str, Answer, Answer)] = &[
    (
        "logs",
        (0, "There is no log at /desk/home/state/default/daemon.log.", ""),
        (0, "2026-11-29 10:00:00.000 UTC  INFO the first line", ""),
    ),
    (
        "doctor",
        (1, "ok      Settings        there is no file", "hint    Socket          no daemon runs"),
        (1, "ok      Settings        there is no file", "ok      Socket          process "),
    ),
    ("completions", (0, "_dockbridge() {", "uninstall"), (0, "_dockbridge() {", "uninstall")),
    (
        "up",
        (3, "Error: no dockbridge serves /desk/", "Hint: start it with `dockbridge start`"),
        (1, "  looking up what there is ", "\nError: the cloud could not store the login key"),
    ),
    (
        "ssh",
        (3, "Error: no machine exists", "Hint: `dockbridge wake` creates one"),
        (3, "Error: no machine exists", "Hint: `dockbridge wake` creates one"),
    ),
    (
        "version",
        (0, concat!("dockbridge ", env!("CARGO_PKG_VERSION")), "No daemon of this profile"),
        (0, concat!("dockbridge ", env!("CARGO_PKG_VERSION")), "Daemon: process "),
    ),
    (
        "-d",
        (2, "Error: dockbridge has no option \"-d\"", "Hint: `dockbridge start -d` runs"),
        (2, "Error: dockbridge has no option \"-d\"", "Hint: `dockbridge start -d` runs"),
    ),
    (
        "status -w",
        (3, "State     off: no daemon runs", "Hint: start it with `dockbridge start`"),
        // It goes on: see below.
        (0, "", ""),
    ),
    (
        "ports ls",
        (3, "Error: no dockbridge serves /desk/", "Hint: start it with `dockbridge start`"),
        (0, "No container publishes a port.", ""),
    ),
    (
        "config set",
        (2, "error: the following required arguments", "Usage: dockbridge config set <SETTING>"),
        (2, "error: the following required arguments", "Usage: dockbridge config set <SETTING>"),
    ),
    (
        "config set activity.idle_timeout 10m",
        (0, "Set `activity.idle_timeout` to 10m (/desk/home/config/config.yaml, line 2).", ""),
        (0, "Set `activity.idle_timeout` to 10m (/desk/home/config/config.yaml, line 2).", ""),
    ),
];

/// Standard output, then standard error, without what differs between two runs.
fn said(desk: &Desk, ran: &Ran) -> String {
    let text = format!("{}{}", ran.stdout, ran.stderr);
    text.replace(desk.directory.path().to_str().unwrap(), "/desk")
}

#[track_caller]
fn answers(desk: &Desk, ran: &Ran, (code, first, part): Answer) {
    let text = said(desk, ran);
    assert_eq!(ran.status.code(), Some(code), "{ran}");
    assert!(text.starts_with(first) && text.contains(part), "{first:?}, {part:?}: {text}");
}

#[tokio::test]
async fn what_new_users_type_first_works_or_names_what_does() {
    let mut desk = Desk::new().await;
    desk.set("HCLOUD_TOKEN", READ_ONLY).set("SHELL", "/bin/bash");
    for (line, without, _) in FIRST {
        let ran = desk.dockbridge(&line.split(' ').collect::<Vec<_>>()).await;
        answers(&desk, &ran, *without);
    }
    std::fs::remove_file(desk.path("home/config/config.yaml")).unwrap();
    let state = desk.path("home/state/default");
    std::fs::create_dir_all(&state).unwrap();
    let line = r#"{"timestamp":"2026-11-29T10:00:00Z","level":"INFO","target":"x",
        "fields":{"message":"the first line"}}"#;
    std::fs::write(state.join("daemon.log"), line.replace('\n', "") + "\n").unwrap();
    let daemon = desk.start().await;
    for (line, _, with) in FIRST {
        if *line == "status -w" {
            let line = first_line(&desk, &["status", "-w"]).await;
            // What `up` led to.
            assert!(line.contains("  failed: the cloud could not store the login key"), "{line}");
            continue;
        }
        let ran = desk.dockbridge(&line.split(' ').collect::<Vec<_>>()).await;
        answers(&desk, &ran, *with);
    }
    daemon.stop().await;
    desk.nothing_was_created().await;
}

/// The first line of a command that goes on until it is ended.
async fn first_line(desk: &Desk, arguments: &[&str]) -> String {
    let mut command = desk.command(env!("CARGO_BIN_EXE_dockbridge"));
    let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(LONGEST, lines.next_line()).await.expect("no line came");
    assert_eq!(child.try_wait().unwrap(), None, "it has ended");
    child.kill().await.unwrap();
    line.unwrap().expect("the output ended")
}

#[tokio::test]
async fn words_of_other_tools_work_or_name_the_command() {
    let desk = Desk::new().await;
    let daemonless: &[&[&str]] = &[&["up"], &["ports", "ls"], &["ports", "rm", "8080"], &["ssh"]];
    for arguments in daemonless {
        // As far as without a daemon and a machine.
        desk.dockbridge(arguments).await.failed(3, &["dockbridge "]);
    }
    let nothing: &[(&[&str], &str)] = &[
        (&["server", "ls"], "No server exists."),
        (&["volume", "ls"], "No volume exists."),
        (&["image", "ls"], "This owner has no images."),
        (&["destroy"], "No server exists."),
        (&["server", "rm"], "No server exists."),
        (&["sweep", "-y"], "No orphans found."),
        (&["-v"], "dockbridge "),
        (&["-V"], "dockbridge "),
        (&["help", "start"], "-d, --detach"),
        (&["help", "up"], "Usage: dockbridge wake"),
    ];
    for (arguments, expected) in nothing {
        desk.dockbridge(arguments).await.succeeded().said(&[expected]);
    }
    let pointed: &[(&str, &str)] = &[
        ("down", "`dockbridge server destroy` deletes the machine"),
        ("ps", "`docker ps` lists containers"),
        ("list", "`dockbridge server list`"),
        ("login", "`dockbridge init` asks for an API token"),
        ("logout", "`dockbridge uninstall --purge` removes it"),
        ("run", "`docker run` works as ever"),
        ("rm", "`dockbridge volume delete`"),
    ];
    for (word, hint) in pointed {
        let message = format!("Error: dockbridge has no command {word:?}");
        desk.dockbridge(&[word]).await.failed(2, &[&message, hint]);
    }
    desk.dockbridge(&["--profile", "lab", "down"])
        .await
        .failed(2, &["`dockbridge --profile lab server destroy`"]);
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn codes_are_explained_without_settings_and_for_programs() {
    let desk = Desk::new().await;
    desk.settings("no: settings\n");
    desk.dockbridge(&["explain"]).await.succeeded().said(&["  token_invalid ", "  volume_full "]);
    desk.dockbridge(&["explain", "TOKEN-INVALID"])
        .await
        .succeeded()
        .said(&["token_invalid (error, cloud)", "Trying again"]);
    let one = desk.dockbridge(&["explain", "clock_wrong", "--json"]).await.json();
    assert_eq!(one["errors"][0]["retryable"], false, "{one}");
    assert_eq!(one["warnings"][0]["severity"], "medium", "{one}");
    let all = desk.dockbridge(&["explain", "--json"]).await.json();
    assert_eq!(all["errors"].as_array().unwrap().len(), api::Code::ALL.len());
    desk.dockbridge(&["--profile", "lab", "explain", "token_invalid"])
        .await
        .succeeded()
        .said(&["`dockbridge --profile", "lab init`"]);
}

#[tokio::test]
async fn volume_is_deleted_by_the_words_of_docker() {
    let desk = Desk::new().await;
    let identity = desk.identity("default");
    let volume = desk.make_volume("data", identity.labels("data")).await;
    desk.dockbridge(&["volume", "rm", "data"]).await.failed(1, &["no terminal to ask"]);
    desk.dockbridge(&["volume", "rm", "-f", "data"]).await.succeeded().said(&[&volume.name]);
    desk.nothing_was_created().await;
}
