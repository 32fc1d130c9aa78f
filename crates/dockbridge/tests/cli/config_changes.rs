//! `config get`, `set`, `unset`, `edit` and `show --origin`: what they print at 80 columns, and
//! what they make of the file.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use crate::rig::{Desk, Ran, TOKEN, mode};

const FILE: &str = "\
# Mine.
activity:
  idle_timeout: 10m  # long builds
  # budget: 20

hetzner:
  location: nbg1
profiles:
  lab: {activity: {idle_timeout: 1h}}
";

/// What a command printed, without what differs between two runs.
fn printed(desk: &Desk, ran: &Ran) -> String {
    let mut text = ran.stdout.clone();
    for line in ran.stderr.lines() {
        let _ = writeln!(text, "stderr: {line}");
    }
    let text = text.replace(desk.directory.path().to_str().unwrap(), "/desk");
    let text = text.replace(&desk.cloud.endpoint(), "http://cloud/v1");
    let wide = text.lines().find(|line| line.chars().count() > 100);
    assert!(wide.is_none(), "a long line: {wide:?}");
    text
}

impl Desk {
    fn file(&self) -> String {
        std::fs::read_to_string(self.path("home/config/config.yaml")).unwrap()
    }

    /// Several commands, each with what it prints.
    async fn session(&self, commands: &[&[&str]]) -> String {
        let mut text = String::new();
        for command in commands {
            let _ = writeln!(text, "$ dockbridge {}", command.join(" "));
            text += &printed(self, &self.dockbridge(command).await);
        }
        text
    }
}

#[tokio::test]
async fn a_setting_is_read_written_and_removed() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_ENDPOINT").settings(FILE);
    let session = desk
        .session(&[
            &["config", "get", "activity.idle_timeout"],
            &["config", "set", "activity.idle_timeout", "5m"],
            &["config", "set", "activity.idle_timeout", "5m"],
            &["config", "set", "hetzner.locations", "hel1, fsn1"],
            &["config", "get", "hetzner.locations"],
            &["config", "set", "hetzner.volume_size", "40"],
            &["config", "get", "ssh.host"],
            &["config", "get", "hetzner.api_token"],
            &["config", "unset", "activity.idle_timeout"],
            &["config", "unset", "activity.idle_timeout"],
            &["--profile", "lab", "config", "set", "activity.idle_timeout", "2h"],
            &["--profile", "lab", "config", "get", "activity.idle_timeout"],
        ])
        .await;
    insta::assert_snapshot!(session, @r"
    $ dockbridge config get activity.idle_timeout
    10m
    $ dockbridge config set activity.idle_timeout 5m
    Set `activity.idle_timeout` to 5m (/desk/home/config/config.yaml, line 3).
    The next `dockbridge start` uses it.
    $ dockbridge config set activity.idle_timeout 5m
    `activity.idle_timeout` is 5m already (/desk/home/config/config.yaml, line 3).
    $ dockbridge config set hetzner.locations hel1, fsn1
    Set `hetzner.locations` to hel1, fsn1 (/desk/home/config/config.yaml, line 7).
    The next `dockbridge start` uses it.
    $ dockbridge config get hetzner.locations
    [hel1, fsn1]
    $ dockbridge config set hetzner.volume_size 40
    Set `hetzner.volume_size` to 40 (/desk/home/config/config.yaml, line 8).
    It is for a new volume; `dockbridge volume resize` grows one that exists.
    The next `dockbridge start` uses it.
    $ dockbridge config get ssh.host
    stderr: Note: `ssh.host` is not set.
    $ dockbridge config get hetzner.api_token
    stderr: Note: `hetzner.api_token` is set, not shown.
    $ dockbridge config unset activity.idle_timeout
    Removed `activity.idle_timeout` (it was in /desk/home/config/config.yaml, line 3).
    Now it is 5m.
    The next `dockbridge start` uses it.
    $ dockbridge config unset activity.idle_timeout
    `activity.idle_timeout` is not set in /desk/home/config/config.yaml.
    $ dockbridge --profile lab config set activity.idle_timeout 2h
    Set `activity.idle_timeout` to 2h for profile lab (/desk/home/config/config.yaml, line 9).
    The next `dockbridge --profile lab start` uses it.
    $ dockbridge --profile lab config get activity.idle_timeout
    2h
    ");
    insta::assert_snapshot!(desk.file(), @r"
    # Mine.
    activity:
      # budget: 20

    hetzner:
      location: [hel1, fsn1]
      volume_size: 40
    profiles:
      lab: {activity: {idle_timeout: 2h}}
    ");
    assert_eq!(mode(&desk.path("home/config/config.yaml")), 0o600);
}

#[tokio::test]
async fn a_change_that_is_not_valid_leaves_the_file_as_it_was() {
    let desk = Desk::new().await;
    desk.settings(FILE);
    let session = desk
        .session(&[
            &["config", "set", "logging.levle", "debug"],
            &["config", "get", "budget"],
            &["config", "set", "profiles.lab.activity.budget", "5"],
            &["config", "set", "activity.resume", "5"],
        ])
        .await;
    insta::assert_snapshot!(session, @r#"
    $ dockbridge config set logging.levle debug
    stderr: Error: there is no setting `logging.levle`; did you mean `logging.level`?
    stderr: Hint: `dockbridge config show` prints all settings with their values
    $ dockbridge config get budget
    stderr: Error: there is no setting `budget`; did you mean `activity.budget`?
    stderr: Hint: `dockbridge config show` prints all settings with their values
    $ dockbridge config set profiles.lab.activity.budget 5
    stderr: Error: there is no setting `profiles.lab.activity.budget`
    stderr: Hint: write `--profile lab` and `activity.budget` in place of it
    $ dockbridge config set activity.resume 5
    stderr: Error: `activity.resume`: "5" is neither `true` nor `false`
    "#);
    assert_eq!(desk.file(), FILE);
}

#[tokio::test]
async fn a_file_that_would_contradict_itself_is_not_written() {
    let desk = Desk::new().await;
    desk.settings(FILE);
    desk.dockbridge(&["config", "set", "keepalive.interval", "10m"]).await.failed(
        1,
        &[
            "Error: the settings file stays as it was: ",
            "line 11: `keepalive.interval`: a heartbeat every 10m does not renew a lease of 5m",
        ],
    );
    let ran = desk.dockbridge(&["config", "set", "hetzner.api_token", TOKEN]).await;
    ran.failed(1, &["Error: an API token in an argument could be read by other programs"]);
    assert!(!ran.stderr.contains(TOKEN), "{ran}");
    // The profile's own section is checked although it is not the profile of the command.
    desk.settings("profiles: {lab: {keepalive: {timeout: 1m}}}\n");
    let before = desk.file();
    desk.dockbridge(&["config", "set", "keepalive.interval", "2m"])
        .await
        .failed(1, &["a heartbeat every 2m does not renew a lease of 1m"]);
    // Neither is a form that cannot be changed safely.
    let anchors = "activity: &a {budget: 5}\nprofiles: {lab: {activity: *a}}\n";
    assert_eq!(desk.file(), before);
    desk.settings(anchors);
    desk.dockbridge(&["config", "set", "activity.budget", "6"]).await.failed(
        1,
        &[
            "the file is written in a form in which one value cannot be changed safely",
            "Hint: `dockbridge config edit` opens it in an editor",
        ],
    );
    assert_eq!(desk.file(), anchors);
}

#[tokio::test]
async fn what_overrides_a_value_and_what_runs_with_the_old_one_is_reported() {
    let mut desk = Desk::new().await;
    desk.set("DOCKBRIDGE_ACTIVITY_BUDGET", "7");
    let daemon = desk.start().await;
    let ran = desk.dockbridge(&["config", "set", "activity.budget", "20"]).await;
    let process = daemon.child.id().unwrap();
    let text = printed(&desk, &ran).replace(&process.to_string(), "4711");
    insta::assert_snapshot!(text, @r"
    Set `activity.budget` to 20 (/desk/home/config/config.yaml, line 2).
    stderr: Note: the environment variable DOCKBRIDGE_ACTIVITY_BUDGET overrides it.
    ");
    let ran = desk.dockbridge(&["config", "set", "docker.proxy_port", "23750"]).await;
    let text = printed(&desk, &ran).replace(&process.to_string(), "4711");
    insta::assert_snapshot!(text, @r"
    Set `docker.proxy_port` to 23750 (/desk/home/config/config.yaml, line 4).
    The daemon (process 4711) uses the old value until it starts again:
    `dockbridge stop`, then `dockbridge start`. The machine runs on meanwhile.
    ");
    let ran = desk.dockbridge(&["config", "set", "image.name", "lab"]).await;
    ran.succeeded().said(&["The next `dockbridge image build` uses it."]);
    daemon.stop().await;
}

#[tokio::test]
async fn origin_of_each_value_is_shown() {
    let mut desk = Desk::new().await;
    desk.settings(FILE);
    desk.set("DOCKBRIDGE_LOGGING_JSON", "true");
    let ran = desk.dockbridge(&["--profile", "lab", "config", "show", "--origin"]).await;
    let shown = printed(&desk, &ran);
    let some: Vec<&str> = shown
        .lines()
        .filter(|line| {
            let some = ["Lines", "timeout", "locations", "size", "json", "token", "endpoint"];
            some.iter().any(|key| line.contains(key))
        })
        .collect();
    insta::assert_snapshot!(some.join("\n"), @r"
    # Lines are those of /desk/home/config/config.yaml.
      # api_token: set, not shown (variable HCLOUD_TOKEN)
      # token_command: not set
      locations: [nbg1]  # line 7
      volume_size: 20  # default
      endpoint: http://cloud/v1  # variable HCLOUD_ENDPOINT
      idle_timeout: 1h  # line 9, profile lab
      connection_timeout: 30m  # default
      containers: timeout  # default
      timeout: 5m  # default
      self_destruct: token  # default
      rescue_timeout: 5m  # default
      stall_timeout: 1m  # default
      json: true  # variable DOCKBRIDGE_LOGGING_JSON
    ");
    // With its comments it is a settings file with the same meaning.
    desk.settings(&ran.stdout);
    desk.dockbridge(&["config", "validate"]).await.succeeded();
}

/// An editor that replaces one text by another, once for each time that it is opened.
fn editor(desk: &Desk, steps: &[&str]) -> String {
    let directory = desk.path("editor");
    std::fs::create_dir_all(&directory).unwrap();
    for (at, step) in steps.iter().enumerate() {
        std::fs::write(directory.join(at.to_string()), step).unwrap();
    }
    let script = directory.join("edit");
    let text = format!(
        "#!/bin/sh\ncd {}\nstep=$(ls | grep -x '[0-9]*' | head -n 1)\n\
         sed -i \"$(cat $step)\" \"$1\" && rm $step\n",
        directory.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script.display().to_string()
}

#[tokio::test]
async fn an_edited_file_replaces_the_old_one_once_it_is_valid() {
    let mut desk = Desk::new().await;
    desk.settings(FILE);
    let program = editor(&desk, &["s/10m/15m/", "s/15m/soon/", ""]);
    desk.set("EDITOR", &program);
    let ran = desk.dockbridge(&["config", "edit"]).await;
    insta::assert_snapshot!(printed(&desk, &ran), @r"
    Changed /desk/home/config/config.yaml.
    The next `dockbridge start` uses it.
    ");
    let edited = FILE.replace("10m", "15m");
    assert_eq!(desk.file(), edited);
    let copy = desk.path("home/config/config.edited.yaml");
    assert!(!copy.exists(), "the copy is left");

    // Without a terminal nobody can be asked: the text is kept beside the file.
    let ran = desk.dockbridge(&["config", "edit"]).await;
    ran.failed(1, &["stays as it was: ", "line 3: ", "\"soon\" is not a duration"]);
    ran.failed(1, &[&format!("Hint: what you wrote is in {}", copy.display())]);
    assert_eq!(desk.file(), edited);
    assert!(std::fs::read_to_string(&copy).unwrap().contains("soon"));

    desk.dockbridge(&["config", "edit"]).await.succeeded().said(&["Nothing was changed."]);
    assert!(!copy.exists(), "the copy is left");
    desk.set("VISUAL", "false").dockbridge(&["config", "edit"]).await.failed(
        1,
        &["Error: the editor \"false\" failed", "Hint: set VISUAL or EDITOR to your editor"],
    );
    assert!(!copy.exists(), "the copy is left");
}

#[tokio::test]
async fn an_invalid_text_can_be_edited_again_on_a_terminal() {
    let mut desk = Desk::new().await;
    desk.settings(FILE);
    let program = editor(&desk, &["s/10m/soon/", "s/soon/20m/"]);
    desk.set("EDITOR", &program);
    let command = format!("{} config edit", env!("CARGO_BIN_EXE_dockbridge"));
    let mut terminal = desk.command("script");
    terminal.args(["-qec", &command, "/dev/null"]);
    let ran = crate::rig::run(terminal, "y\n").await;
    ran.succeeded().said(&["\"soon\" is not a duration", "Edit again? [Y/n]", "Changed "]);
    assert_eq!(desk.file(), FILE.replace("10m", "20m"));
}

#[tokio::test]
async fn a_link_in_place_of_the_file_stays_a_link() {
    let desk = Desk::new().await;
    desk.settings("");
    let (link, target) = (desk.path("home/config/config.yaml"), desk.path("dotfile.yaml"));
    std::fs::write(&target, FILE).unwrap();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    desk.dockbridge(&["config", "set", "activity.idle_timeout", "5m"]).await.succeeded();
    assert!(link.is_symlink());
    assert_eq!(std::fs::read_to_string(&target).unwrap(), FILE.replace("10m", "5m"));
}
