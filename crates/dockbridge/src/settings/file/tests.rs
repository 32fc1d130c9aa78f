use std::num::NonZeroU16;
use std::time::Duration;

use daemon::BindMounts;
use lifecycle::{Containers, LockAction};
use machine::ImageSetting;

use super::super::table::SETTINGS;
use super::super::types::Provider;
use super::*;

fn load_for(profile: &str, text: &str, variables: &[(&str, &str)]) -> Loaded {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    load(&path, profile, variables.iter().map(owned))
}

fn load_text(text: &str, variables: &[(&str, &str)]) -> Result<Settings, String> {
    let Loaded { settings, problems, .. } = load_for("default", text, variables);
    if problems.is_empty() { Ok(settings) } else { Err(lines(&problems).join("\n")) }
}

fn lines(problems: &[Problem]) -> Vec<String> {
    let line = |problem: &Problem| {
        let text = problem.to_string();
        text.split_once("config.yaml: ").map_or(text.clone(), |(_, rest)| rest.to_owned())
    };
    problems.iter().map(line).collect()
}

fn refusal(text: &str, variables: &[(&str, &str)]) -> String {
    load_text(text, variables).unwrap_err()
}

#[test]
fn an_empty_file_means_the_defaults() {
    let settings = load_text("# nothing\n", &[]).unwrap();
    assert_eq!(settings.hetzner.server_types, ["cx23", "cpx22", "cax11"]);
    assert_eq!(settings.activity.idle_timeout, Some(Duration::from_secs(300)));
}

#[test]
fn each_default_as_shown_is_read_from_the_variable_of_its_setting() {
    let defaults = Settings::default();
    for setting in SETTINGS {
        let (section, key) = setting.key;
        let shown = defaults.show(setting.key);
        let text = shown.as_deref().unwrap_or_default().trim_matches(['[', ']']);
        let read = load_text("", &[(&variable(section, key), text)]);
        let read = read.unwrap_or_else(|error| panic!("{section}.{key}: {error}"));
        assert_eq!(read.show(setting.key), shown, "{section}.{key}");
        assert_eq!(find(section, key), Some(setting.key));
    }
}

#[test]
fn the_environment_is_over_the_file() {
    let text = "hetzner:\n  location: nbg1\n  volume_size: 30\nactivity: {idle_timeout: 10m}\n";
    let settings = load_text(
        text,
        &[
            ("DOCKBRIDGE_HETZNER_LOCATIONS", "hel1, fsn1"),
            ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "7m"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(settings.hetzner.volume_size, 30);
    assert_eq!(settings.hetzner.locations, ["hel1", "fsn1"]);
    assert_eq!(settings.activity.idle_timeout, Some(Duration::from_secs(420)));
}

#[test]
fn what_machines_are_made_from_is_a_name_an_id_or_auto() {
    let set = |text: &str| load_text(text, &[]).unwrap().hetzner.image.to_string();
    assert_eq!(set(""), "docker-ce");
    assert_eq!(set("hetzner: {image: 4711}\n"), "4711");
    assert_eq!(set("hetzner: {image: auto}\n"), "auto");
    let settings =
        load_text("hetzner: {image: debian-13}\n", &[("DOCKBRIDGE_HETZNER_IMAGE", "4711")])
            .unwrap();
    assert_eq!(settings.hetzner.image, ImageSetting::Id(4711));
}

#[test]
fn a_single_value_is_a_list_of_one() {
    let settings =
        load_text("hetzner: {server_type: cx33, locations: [hel1, fsn1]}\n", &[]).unwrap();
    assert_eq!(settings.hetzner.server_types, ["cx33"]);
    assert_eq!(settings.hetzner.locations, ["hel1", "fsn1"]);
}

#[test]
fn an_unknown_key_is_refused_with_line_and_nearest_name() {
    let message = refusal("activity:\n  idle_timout: 5m\n", &[]);
    assert!(
        message.contains("idle_timout")
            && message.contains("line 2")
            && message.contains("did you mean `idle_timeout`?"),
        "{message}"
    );
    let message = refusal("hetzer:\n  volume_size: 5\n", &[]);
    assert!(message.contains("did you mean `hetzner`?"), "{message}");
    let message = refusal("", &[("DOCKBRIDGE_HETZNER_LOCATON", "fsn1")]);
    assert!(message.contains("did you mean DOCKBRIDGE_HETZNER_LOCATION?"), "{message}");
}

#[test]
fn a_wrong_value_is_refused_with_how_to_write_it() {
    let message = refusal("activity:\n  idle_timeout: soon\n", &[]);
    assert!(
        message.contains("write it as 90s, 5m or 1h 30m") && message.contains("line 2"),
        "{message}"
    );
    let message = refusal("", &[("DOCKBRIDGE_PORTS_ENABLED", "perhaps")]);
    assert!(message.contains("DOCKBRIDGE_PORTS_ENABLED"), "{message}");
}

#[test]
fn docker_endpoint_can_be_a_port_and_bind_mounts_remote() {
    let settings =
        load_text("docker: {proxy_port: 2375}\ngateway: {bind_mounts: remote}\n", &[]).unwrap();
    assert_eq!(settings.docker.proxy_port, NonZeroU16::new(2375));
    assert_eq!(settings.gateway.bind_mounts, BindMounts::Remote);
    let settings = load_text(
        "docker: {proxy_port: 2375}\n",
        &[("DOCKBRIDGE_DOCKER_PROXY_PORT", "80"), ("DOCKBRIDGE_GATEWAY_BIND_MOUNTS", "refuse")],
    )
    .unwrap();
    assert_eq!(settings.docker.proxy_port, NonZeroU16::new(80));
    assert_eq!(settings.gateway.bind_mounts, BindMounts::Refuse);
    for (text, words) in [
        ("docker: {proxy_port: 0}\n", "\"0\" is not a port: choose 1 to 65535"),
        ("docker: {proxy_port: 65536}\n", "\"65536\" is not a port"),
        ("docker: {proxy_port: http}\n", "\"http\" is not a port"),
        ("gateway: {bind_mounts: local}\n", "\"local\" is neither `refuse` nor `remote`"),
    ] {
        let message = refusal(text, &[]);
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn what_keeps_a_machine_is_set_in_words_and_checked() {
    let settings = load_text("", &[]).unwrap().activity;
    let kept =
        (settings.containers, settings.keep_paid_hour, settings.resume, settings.max_lifetime);
    assert_eq!(kept, (Containers::Timeout, true, true, None));
    let text = "activity: {containers: ignore, keep_paid_hour: false, max_lifetime: 12h, resume: \
     false}\n";
    let settings = load_text(text, &[("DOCKBRIDGE_ACTIVITY_CONTAINERS", "keep")]).unwrap().activity;
    assert_eq!(
        (settings.containers, settings.keep_paid_hour, settings.resume),
        (Containers::Keep, false, false)
    );
    assert_eq!(settings.max_lifetime, Some(Duration::from_secs(12 * 3_600)));
    assert_eq!(
        load_text(text, &[("DOCKBRIDGE_ACTIVITY_MAX_LIFETIME", "none")])
            .unwrap()
            .activity
            .max_lifetime,
        None
    );
    for (text, budget) in [("20", Some(20_000_000)), ("12.50", Some(12_500_000)), ("none", None)] {
        assert_eq!(
            load_text(&format!("activity: {{budget: {text}}}\n"), &[]).unwrap().activity.budget,
            budget,
            "{text}"
        );
        assert_eq!(
            load_text("activity: {budget: 7}\n", &[("DOCKBRIDGE_ACTIVITY_BUDGET", text)])
                .unwrap()
                .activity
                .budget,
            budget,
            "{text}"
        );
    }
    let settings =
        load_text("lock: {action: shorten}\n", &[("DOCKBRIDGE_LOCK_GRACE", "90s")]).unwrap().lock;
    assert_eq!((settings.action, settings.grace), (LockAction::Shorten, Duration::from_secs(90)));
    for (text, words) in [
        ("lock: {action: suspend}\n", "\"suspend\" is none of `shutdown`, `shorten` and `ignore`"),
        ("activity: {containers: stay}\n", "\"stay\" is none of `timeout`, `keep` and `ignore`"),
        ("activity: {max_lifetime: 5m}\n", "\"5m\" is too short for a machine: choose 10m or more"),
        ("activity: {budget: much}\n", "\"much\" is not an amount: write it as 20 or 12.50"),
        ("activity: {budget: 0}\n", "0 is not a budget: choose 0.01 to 1000000, or none"),
        ("activity: {keep_paid_hour: often}\n", "\"often\" is neither `true` nor `false`"),
    ] {
        let message = refusal(text, &[]);
        assert!(message.contains(words) && message.contains("line 1"), "{message}");
    }
}

#[test]
fn a_token_is_never_printed() {
    let settings = load_text("hetzner: {api_token: s3cret}\n", &[]).unwrap();
    assert!(!format!("{settings:?}").contains("s3cret"));
}

#[test]
fn all_that_is_wrong_is_said_at_once_and_the_rest_holds() {
    let text = "activity: {idle_timeout: 0s, budget: 7, containers: stay}\nhetzner:\n  endpoint: \
     api.example/v1\n  volume_size: 40\n  locaton: fsn1\nkeepalive: {interval: 10m, timeout: \
     5m}\nlogging: {level: verbose}\n";
    let Loaded { settings, problems, .. } =
        load_for("default", text, &[("DOCKBRIDGE_PORTS_ENABLED", "perhaps")]);
    let found = lines(&problems);
    for (line, words) in [
        ("line 1: `activity.idle_timeout`: ", "or none to switch it off"),
        ("line 1: `activity.containers`: ", "\"stay\" is none of"),
        ("line 3: `hetzner.endpoint`: ", "such as https://api.example/v1"),
        ("line 5: ", "did you mean `location`?"),
        ("line 6: `keepalive.interval`: ", "does not renew a lease of 5m"),
        ("line 7: `logging.level` is invalid", "\"verbose\""),
        ("environment variable DOCKBRIDGE_PORTS_ENABLED: `ports.enabled`: ", "\"perhaps\""),
    ] {
        assert!(found.iter().any(|one| one.starts_with(line) && one.contains(words)), "{found:#?}");
    }
    assert_eq!(problems.len(), 7, "{found:#?}");
    assert!(problems.iter().all(|problem| problem.severity == Severity::Refused), "{found:#?}");
    assert_eq!(settings.activity.budget, Some(7_000_000), "what is right holds");
    assert_eq!(settings.hetzner.volume_size, 40);
    assert_eq!(settings.activity.idle_timeout, Some(Duration::from_secs(300)));
}

#[test]
fn each_senseless_value_is_refused_by_name() {
    for (text, setting, words) in [
        ("activity: {idle_timeout: 0s}", "activity.idle_timeout", "write 1s or more, or none"),
        ("activity: {connection_timeout: 0m}", "activity.connection_timeout", "or none"),
        ("activity: {idle_timeout: 9000h}", "activity.idle_timeout", "longer than a year"),
        ("activity: {grace_period: -5s}", "activity.grace_period", "is not a positive duration"),
        ("keepalive: {interval: 0s}", "keepalive.interval", "too short: write 1s or more"),
        ("keepalive: {timeout: 0s}", "keepalive.timeout", "too short: write 1s or more"),
        ("image: {stall_timeout: 0s}", "image.stall_timeout", "too short"),
        ("image: {rescue_timeout: 0s}", "image.rescue_timeout", "too short"),
        ("docker: {socket_path: ~/x.sock}", "docker.socket_path", "only shells expand `~`"),
        ("docker: {socket_path: x.sock}", "docker.socket_path", "is relative"),
        ("docker: {socket_path: ''}", "docker.socket_path", "it is empty"),
        ("ssh: {private_key_path: ~/.ssh/id}", "ssh.private_key_path", "only shells expand"),
        ("hetzner: {endpoint: 'localhost:80/v1'}", "hetzner.endpoint", "http://localhost:80/v1"),
        ("hetzner: {token_command: ' '}", "hetzner.token_command", "it is empty"),
        ("hetzner: {location: fsn1, locations: [nbg1]}", "hetzner.locations", "the same setting"),
        ("hetzner: {server_types: [a], server_type: b}", "hetzner.server_type", "the same setting"),
        ("hetzner: {volume_size: [20]}", "hetzner.volume_size", "cannot be a list"),
        ("hetzner: {volume_size: big}", "hetzner.volume_size", "\"big\" is not a size"),
        ("keepalive: {interval: 5m}", "keepalive.interval", "does not renew a lease of 5m"),
        ("machine: {provider: azure}", "machine.provider", "neither `hetzner` nor `ssh`"),
        ("{machine: {provider: hetzner}, ssh: {host: a@b}}", "ssh.host", "does not use this host"),
        ("logging: {level: quiet}", "logging.level", "is invalid"),
        ("metrics: {listen: localhost}", "metrics.listen", "is no address"),
        ("logging: {json: perhaps}", "logging.json", "neither `true` nor `false`"),
    ] {
        let loaded = load_for("default", &format!("{text}\n"), &[]);
        let found = lines(&loaded.problems);
        let one = loaded.problems.first().unwrap_or_else(|| panic!("{text} passes"));
        assert_eq!((found.len(), one.severity), (1, Severity::Refused), "{text}: {found:#?}");
        assert_eq!(one.setting.as_deref(), Some(setting), "{text}");
        assert!(found[0].contains(words), "{text}: {found:#?}");
    }
}

#[test]
fn what_works_and_is_hardly_meant_is_a_warning() {
    for (text, words) in [
        ("keepalive: {interval: 4m}", "one lost heartbeat"),
        ("activity: {idle_timeout: 1h, connection_timeout: 5m}", "it has no effect"),
        ("hetzner: {api_token: a, token_command: b}", "it is not used"),
        ("ports: {bind: 0.0.0.0}", "other computers can connect"),
        ("machine: {provider: ssh}", "no host is set"),
    ] {
        let loaded = load_for("default", &format!("{text}\n"), &[]);
        let found = lines(&loaded.problems);
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        assert_eq!(loaded.problems[0].severity, Severity::Warned, "{text}");
        assert!(found[0].contains(words), "{text}: {found:#?}");
    }
    let loaded = load_for("default", "", &[("DOCKBRIDGE_ACTIVTY_IDLE_TIMEOUT", "1h")]);
    assert!(lines(&loaded.problems)[0].contains("did you mean DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT?"));
    for (name, value) in [("DOCKBRIDGE_HOME", "/x"), ("DOCKBRIDGE_TEST_SUITES", "x")] {
        assert!(load_for("default", "", &[(name, value)]).problems.is_empty(), "{name}");
    }
}

#[test]
fn none_switches_idleness_off() {
    let text = "activity: {idle_timeout: none, connection_timeout: none}\n";
    let activity = load_text(text, &[]).unwrap().activity;
    assert_eq!((activity.idle_timeout, activity.connection_timeout), (None, None));
}

#[test]
fn token_readable_by_others_is_reported_with_chmod() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    std::fs::write(&path, "hetzner: {api_token: s3cret}\n").unwrap();
    for (mode, count) in [(0o644, 1), (0o640, 1), (0o600, 0)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let found = lines(&load(&path, "default", std::iter::empty()).problems);
        assert_eq!(found.len(), count, "{mode:o}: {found:#?}");
        assert!(found.iter().all(|one| one.contains("chmod 600 ")), "{found:#?}");
    }
}

#[test]
fn a_section_of_a_profile_is_over_the_rest_and_holds_for_no_other_profile() {
    let text = "hetzner: {endpoint: 'http://a/v1', volume_size: 30}\nprofiles:\n  m:\n    hetzner: \
     {endpoint: 'http://b/v1', api_token: t}\n    machine: {provider: ssh}\n    ssh: {host: \
     root@x}\n";
    let of = |profile: &str, variables: &[(&str, &str)]| load_for(profile, text, variables);
    let endpoint = |loaded: &Loaded| {
        let endpoint = loaded.settings.hetzner.endpoint.clone().unwrap();
        (endpoint.url, endpoint.origin)
    };
    let (default, m) = (of("default", &[]), of("m", &[]));
    assert!(default.problems.is_empty() && m.problems.is_empty(), "{:?}", m.problems);
    assert_eq!(endpoint(&default), ("http://a/v1".to_owned(), Origin::File));
    assert_eq!(endpoint(&m), ("http://b/v1".to_owned(), Origin::Profile));
    let variable = of("m", &[("HCLOUD_ENDPOINT", "http://c/v1")]);
    assert_eq!(endpoint(&variable), ("http://c/v1".to_owned(), Origin::Variable));
    assert_eq!(
        (m.settings.hetzner.volume_size, m.settings.machine.provider),
        (30, Some(Provider::Ssh))
    );
    assert!(default.settings.hetzner.api_token.is_none() && default.settings.ssh.host.is_none());

    let wrong = "profiles:\n  Bad_Name: {}\n  m:\n    activity: {idle_timeout: 0s}\n";
    let found = lines(&load_for("default", wrong, &[]).problems);
    assert!(found[0].contains("\"Bad_Name\" is no profile name"), "{found:#?}");
    assert!(found[1].starts_with("line 4: `profiles.m.activity.idle_timeout`: "), "{found:#?}");
}

#[test]
fn an_error_in_the_syntax_leaves_what_stands_on_other_lines() {
    let text = "hetzner:\n  endpoint: http://x/v1\nactivity: [\n";
    let Loaded { settings, problems, .. } = load_for("default", text, &[]);
    assert_eq!(problems[0].severity, Severity::Refused);
    assert_eq!(settings.hetzner.endpoint.unwrap().url, "http://x/v1");
}
