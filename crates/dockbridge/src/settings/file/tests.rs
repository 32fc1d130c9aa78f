use std::num::NonZeroU16;

use super::*;

fn load_text(text: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    load(&path, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn refusal(text: &str, variables: &[(&str, &str)]) -> String {
    let message = load_text(text, variables).unwrap_err().to_string();
    message.split_once("config.yaml: ").map_or(message.clone(), |(_, rest)| rest.to_owned())
}

#[test]
fn an_empty_file_means_the_defaults() {
    let settings = load_text("# nothing\n", &[]).unwrap();
    assert_eq!(settings.hetzner.server_types, ["cx23", "cpx22", "cax11"]);
    assert_eq!(settings.activity.idle_timeout, Duration::from_secs(300));
}

#[test]
fn the_environment_is_over_the_file() {
    let text = "hetzner:\n  location: nbg1\n  volume_size: 30\nactivity: {idle_timeout: 10m}\n";
    let settings =
        load_text(text, &[("DOCKBRIDGE_HETZNER_LOCATIONS", "hel1, fsn1"), ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "7m"), ("PATH", "/bin")])
            .unwrap();
    assert_eq!(settings.hetzner.volume_size, 30);
    assert_eq!(settings.hetzner.locations, ["hel1", "fsn1"]);
    assert_eq!(settings.activity.idle_timeout, Duration::from_secs(420));
}

#[test]
fn what_machines_are_made_from_is_a_name_an_id_or_auto() {
    let set = |text: &str| load_text(text, &[]).unwrap().hetzner.image.to_string();
    assert_eq!(set(""), "docker-ce");
    assert_eq!(set("hetzner: {image: 4711}\n"), "4711");
    assert_eq!(set("hetzner: {image: auto}\n"), "auto");
    let settings = load_text("hetzner: {image: debian-13}\n", &[("DOCKBRIDGE_HETZNER_IMAGE", "4711")]).unwrap();
    assert_eq!(settings.hetzner.image, ImageSetting::Id(4711));
}

#[test]
fn a_single_value_is_a_list_of_one() {
    let settings = load_text("hetzner: {server_type: cx33, locations: [hel1, fsn1]}\n", &[]).unwrap();
    assert_eq!(settings.hetzner.server_types, ["cx33"]);
    assert_eq!(settings.hetzner.locations, ["hel1", "fsn1"]);
}

#[test]
fn an_unknown_key_is_refused_with_line_and_nearest_name() {
    let message = refusal("activity:\n  idle_timout: 5m\n", &[]);
    assert!(message.contains("idle_timout") && message.contains("line 2") && message.contains("did you mean `idle_timeout`?"), "{message}");
    let message = refusal("hetzer:\n  volume_size: 5\n", &[]);
    assert!(message.contains("did you mean `hetzner`?"), "{message}");
    let message = refusal("", &[("DOCKBRIDGE_HETZNER_LOCATON", "fsn1")]);
    assert!(message.contains("did you mean DOCKBRIDGE_HETZNER_LOCATION?"), "{message}");
}

#[test]
fn a_wrong_value_is_refused_with_how_to_write_it() {
    let message = refusal("activity:\n  idle_timeout: soon\n", &[]);
    assert!(message.contains("write it as 90s, 5m or 1h 30m") && message.contains("line 2"), "{message}");
    let message = refusal("", &[("DOCKBRIDGE_PORTS_ENABLED", "perhaps")]);
    assert!(message.contains("DOCKBRIDGE_PORTS_ENABLED"), "{message}");
}

#[test]
fn the_endpoint_can_be_a_port_as_well_and_folders_the_machines() {
    let settings = load_text("docker: {proxy_port: 2375}\ngateway: {bind_mounts: remote}\n", &[]).unwrap();
    assert_eq!(settings.docker.proxy_port, NonZeroU16::new(2375));
    assert_eq!(settings.gateway.bind_mounts, BindMounts::Remote);
    let settings =
        load_text("docker: {proxy_port: 2375}\n", &[("DOCKBRIDGE_DOCKER_PROXY_PORT", "80"), ("DOCKBRIDGE_GATEWAY_BIND_MOUNTS", "refuse")])
            .unwrap();
    assert_eq!(settings.docker.proxy_port, NonZeroU16::new(80));
    assert_eq!(settings.gateway.bind_mounts, BindMounts::Refuse);
    for (text, words) in [
        ("docker: {proxy_port: 0}\n", "0 is no port: choose 1 to 65535"),
        ("docker: {proxy_port: 65536}\n", "65536 is no port"),
        ("gateway: {bind_mounts: local}\n", "\"local\" is neither `refuse` nor `remote`"),
    ] {
        let message = refusal(text, &[]);
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn what_keeps_a_machine_is_set_in_words_and_checked() {
    let settings = load_text("", &[]).unwrap().activity;
    let kept = (settings.containers, settings.keep_paid_hour, settings.resume, settings.max_lifetime);
    assert_eq!(kept, (Containers::Timeout, true, true, None));
    let text = "activity: {containers: ignore, keep_paid_hour: false, max_lifetime: 12h, resume: false}\n";
    let settings = load_text(text, &[("DOCKBRIDGE_ACTIVITY_CONTAINERS", "keep")]).unwrap().activity;
    assert_eq!((settings.containers, settings.keep_paid_hour, settings.resume), (Containers::Keep, false, false));
    assert_eq!(settings.max_lifetime, Some(Duration::from_secs(12 * 3_600)));
    assert_eq!(load_text(text, &[("DOCKBRIDGE_ACTIVITY_MAX_LIFETIME", "none")]).unwrap().activity.max_lifetime, None);
    for (text, budget) in [("20", Some(20_000_000)), ("12.50", Some(12_500_000)), ("none", None)] {
        assert_eq!(load_text(&format!("activity: {{budget: {text}}}\n"), &[]).unwrap().activity.budget, budget, "{text}");
        assert_eq!(
            load_text("activity: {budget: 7}\n", &[("DOCKBRIDGE_ACTIVITY_BUDGET", text)]).unwrap().activity.budget,
            budget,
            "{text}"
        );
    }
    let settings = load_text("lock: {action: shorten}\n", &[("DOCKBRIDGE_LOCK_GRACE", "90s")]).unwrap().lock;
    assert_eq!((settings.action, settings.grace), (LockAction::Shorten, Duration::from_secs(90)));
    for (text, words) in [
        ("lock: {action: suspend}\n", "\"suspend\" is none of `shutdown`, `shorten` and `ignore`"),
        ("activity: {containers: stay}\n", "\"stay\" is none of `timeout`, `keep` and `ignore`"),
        ("activity: {max_lifetime: 5m}\n", "\"5m\" is too short for a machine: choose 10m or more"),
        ("activity: {budget: much}\n", "\"much\" is no amount: write it as 20 or 12.50"),
        ("activity: {budget: 0}\n", "0 is no budget: choose 0.01 to 1000000, or none"),
        ("activity: {keep_paid_hour: often}\n", "invalid boolean"),
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
