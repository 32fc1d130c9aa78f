//! Settings, their sources, and the messages about invalid ones.

use crate::rig::{Desk, TOKEN, has_docker, mode};

#[tokio::test]
async fn an_unknown_setting_is_reported_with_its_line_and_the_nearest_name() {
    let mut desk = Desk::new().await;
    desk.settings("hetzner:\n  image: docker-ce\nactivity:\n  idle_timout: 5m\n");
    let hint = "Hint: `dockbridge config show` prints all settings with their values";
    for command in
        [&["start"][..], &["init", "--yes"], &["config", "validate"], &["config", "show"]]
    {
        desk.dockbridge(command).await.failed(
            1,
            &["config.yaml: ", "line 4", "`idle_timout`", "did you mean `idle_timeout`?", hint],
        );
    }
    desk.settings("");
    desk.set("DOCKBRIDGE_HETZNER_LOCATON", "fsn1");
    let expected = [
        "environment variable DOCKBRIDGE_HETZNER_LOCATON",
        "did you mean DOCKBRIDGE_HETZNER_LOCATION?",
        hint,
    ];
    desk.dockbridge(&["start"]).await.failed(1, &expected);
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn an_invalid_value_is_reported_with_the_valid_ones() {
    let desk = Desk::new().await;
    let cases = [
        ("activity: {idle_timeout: 5}", "\"5\" is not a duration: write it as 90s, 5m or 1h 30m"),
        ("keepalive: {timeout: never}", "\"never\" is not a duration"),
        ("keepalive: {self_destruct: maybe}", "\"maybe\" is neither `token` nor `power-off`"),
        ("hetzner: {volume_size: 5}", "no volume has 5 GB: choose 10 to 10240"),
        ("hetzner: {volume_size: 20000}", "no volume has 20000 GB: choose 10 to 10240"),
        ("hetzner: {server_types: []}", "at least one name is needed"),
        ("ports: {on_conflict: perhaps}", "\"perhaps\" is neither `error` nor `increment`"),
        (
            "ports: {exclude: [80, 90-80]}",
            "\"90-80\" is no rule for ports: the range ends before it begins; write \
             [CONTAINER:]PORT[-PORT][/tcp|/udp]",
        ),
        (
            "ports: {include: 70000}",
            "\"70000\" is no rule for ports: a port is a number from 1 to 65535",
        ),
        ("hetzner: [", "config.yaml: "),
    ];
    for (text, expected) in cases {
        desk.settings(text);
        desk.dockbridge(&["start"]).await.failed(1, &[expected]);
        desk.dockbridge(&["config", "validate"]).await.failed(1, &[expected]);
    }
    desk.settings("logging: {level: loud=quiet=1}");
    desk.dockbridge(&["start"]).await.failed(
        1,
        &["`logging.level` is invalid", "Hint: write error, warn, info, debug or trace"],
    );
    assert!(!desk.socket().exists(), "nothing is served");
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn environment_variables_are_reported_by_name() {
    let mut desk = Desk::new().await;
    for (name, value, expected) in [
        (
            "DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT",
            "soon",
            "\"soon\" is not a duration: write it as 90s, 5m or 1h 30m",
        ),
        ("DOCKBRIDGE_HETZNER_VOLUME_SIZE", "9", "no volume has 9 GB: choose 10 to 10240"),
        ("DOCKBRIDGE_PORTS_BIND", "nowhere", "IP address"),
    ] {
        desk.set(name, value);
        desk.dockbridge(&["start"])
            .await
            .failed(1, &[&format!("environment variable {name}: "), expected]);
        desk.unset(name);
    }
}

#[tokio::test]
async fn config_shows_all_settings_without_the_token() {
    let desk = Desk::new().await;
    desk.settings(
        "hetzner: {location: nbg1}\nactivity: {idle_timeout: 90s}\nports: {on_conflict: increment, \
         include: [8080, 'web-*:80-90/tcp'], exclude: 53/udp}\n",
    );
    let path = desk.path("home/config/config.yaml");
    assert_eq!(
        desk.dockbridge(&["config", "path"]).await.succeeded().stdout.trim(),
        path.to_str().unwrap()
    );
    desk.dockbridge(&["config", "validate"])
        .await
        .succeeded()
        .said(&[&format!("{} is valid.", path.display())]);
    let shown = desk.dockbridge(&["config", "show"]).await;
    shown.succeeded().said(&[
        "on_conflict: increment",
        "include: [\"8080\", \"web-*:80-90/tcp\"]",
        "exclude: [\"53/udp\"]",
    ]);
    shown.said(&[
        "locations: [nbg1]",
        "idle_timeout: 1m 30s",
        "# api_token: set, not shown",
        &desk.cloud.endpoint(),
    ]);
    assert!(!shown.stdout.contains(TOKEN), "{shown}");

    // The output is a settings file with the same meaning.
    desk.settings(&shown.stdout);
    assert_eq!(desk.dockbridge(&["config", "show"]).await.succeeded().stdout, shown.stdout);

    let absent = desk.path("absent.yaml");
    let absent = absent.to_str().unwrap();
    desk.dockbridge(&["--config", absent, "config", "show"])
        .await
        .failed(1, &[&format!("the settings file {absent} does not exist")]);
    std::fs::remove_file(path).unwrap();
    desk.dockbridge(&["config", "validate"])
        .await
        .succeeded()
        .said(&["does not exist: dockbridge uses its defaults."]);
}

#[tokio::test]
async fn init_keeps_the_token_to_itself() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN");
    let ran = desk.dockbridge_with_input(&["init", "--token-stdin"], &format!("{TOKEN}\n")).await;
    ran.succeeded().said(&[
        "The token is valid",
        "readable by you alone",
        "Owner id: ",
        "Next: `dockbridge start`",
    ]);
    assert!(!ran.stdout.contains(TOKEN) && !ran.stderr.contains(TOKEN), "{ran}");
    let config = desk.path("home/config");
    assert_eq!(std::fs::read_to_string(config.join("token")).unwrap(), TOKEN);
    for name in ["token", "owner", "ssh_ed25519"] {
        assert_eq!(mode(&config.join(name)), 0o600, "{name}");
    }
    assert_eq!(mode(&config), 0o700);
    desk.dockbridge(&["config", "show"])
        .await
        .succeeded()
        .said(&["# api_token: saved by init, not shown"]);
    if has_docker() {
        ran.said(&["docker context use dockbridge"]);
        let host = format!("unix://{}", desk.socket().display());
        let context = desk
            .docker(&["context", "inspect", "dockbridge", "--format", "{{.Endpoints.docker.Host}}"])
            .await
            .unwrap();
        assert_eq!(context.succeeded().stdout.trim(), host);
    }

    // A second `init` changes neither owner id nor login key.
    let before = ["owner", "ssh_ed25519"].map(|name| std::fs::read(config.join(name)).unwrap());
    desk.dockbridge_with_input(&["init", "--token-stdin"], TOKEN).await.succeeded();
    assert_eq!(
        ["owner", "ssh_ed25519"].map(|name| std::fs::read(config.join(name)).unwrap()),
        before
    );
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn init_refuses_a_token_that_does_not_work() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN");
    let console = "Hint: create one with Read & Write in the Hetzner Cloud console";
    desk.dockbridge_with_input(&["init", "--token-stdin"], "wrong\n")
        .await
        .failed(1, &["Error: the cloud rejected this token", console]);
    desk.dockbridge_with_input(&["init", "--token-stdin"], "\n")
        .await
        .failed(1, &["Error: standard input contains no token"]);
    desk.dockbridge(&["init", "--yes"])
        .await
        .failed(1, &["Error: no Hetzner API token is configured", console]);
    desk.set("HCLOUD_ENDPOINT", "http://127.0.0.1:1/v1");
    desk.dockbridge_with_input(&["init", "--token-stdin"], TOKEN)
        .await
        .failed(1, &["Error: cannot check the token"]);
    assert!(!desk.path("home/config/token").exists(), "it was kept");
}

#[tokio::test]
async fn an_unwritable_directory_is_named() {
    let mut desk = Desk::new().await;
    let home = desk.path("closed/home");
    std::fs::create_dir(desk.path("closed")).unwrap();
    std::fs::set_permissions(
        desk.path("closed"),
        std::os::unix::fs::PermissionsExt::from_mode(0o555),
    )
    .unwrap();
    desk.set("DOCKBRIDGE_HOME", home.to_str().unwrap());
    let hint = "Hint: set DOCKBRIDGE_HOME to a writable directory";
    for (command, path) in [
        (&["start"][..], "state/default"),
        (&["start", "--detach"], "state/default"),
        (&["init", "--yes"], "config/owner"),
    ] {
        let expected = format!("Error: cannot write {}: ", home.join(path).display());
        desk.dockbridge_without_root(command).await.failed(1, &[&expected, hint]);
    }
}
