//! Each setting is changed to a sample of its own, alone and together with others.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::super::file::load_text;
use super::super::table::variable;
use super::*;

/// A value of each setting that is not its default.
const SAMPLES: &[(&str, &str)] = &[
    ("machine.provider", "ssh"),
    ("hetzner.api_token", "abc"),
    ("hetzner.token_command", "pass show x"),
    ("hetzner.keyring", "false"),
    ("hetzner.server_types", "cax11"),
    ("hetzner.locations", "hel1"),
    ("hetzner.image", "auto"),
    ("hetzner.volume_size", "40"),
    ("hetzner.endpoint", "https://api.example/v1"),
    ("docker.socket_path", "/run/other.sock"),
    ("docker.proxy_port", "2375"),
    ("activity.idle_timeout", "10m"),
    ("activity.connection_timeout", "1h"),
    ("activity.grace_period", "5s"),
    ("activity.containers", "keep"),
    ("activity.keep_paid_hour", "false"),
    ("activity.resume", "false"),
    ("activity.max_lifetime", "8h"),
    ("activity.budget", "20"),
    ("lock.action", "ignore"),
    ("lock.grace", "10m"),
    ("keepalive.interval", "10s"),
    ("keepalive.timeout", "10m"),
    ("keepalive.self_destruct", "power-off"),
    ("ssh.private_key_path", "/keys/one"),
    ("ssh.host", "root@192.0.2.1"),
    ("ssh.remote_socket", "/run/user/1000/docker.sock"),
    ("ssh.upload_agent", "false"),
    ("ssh.port_check", "none"),
    ("ports.enabled", "false"),
    ("ports.bind", "127.0.0.2"),
    ("ports.on_conflict", "increment"),
    ("ports.include", "8080"),
    ("ports.exclude", "53/udp"),
    ("gateway.bind_mounts", "remote"),
    ("image.name", "lab"),
    ("image.talos_version", "v1.12.0"),
    ("image.schematic", "mine.yaml"),
    ("image.factory", "https://factory.example"),
    ("image.server_types", "cx23"),
    ("image.rescue_timeout", "9m"),
    ("image.stall_timeout", "90s"),
    ("desktop.notices", "false"),
    ("logging.level", "debug"),
    ("logging.json", "true"),
    ("metrics.listen", "127.0.0.1:9100"),
];

fn name((section, key): Key) -> String {
    format!("{section}.{key}")
}

/// Settings with these samples, and defaults for the rest.
fn with(samples: impl IntoIterator<Item = usize>) -> Settings {
    let variables = samples.into_iter().map(|at| {
        let (section, key) = SETTINGS[at].key;
        (variable(section, key), SAMPLES[at].1.to_owned())
    });
    load_text(Path::new("config.yaml"), "", "default", variables).settings
}

fn of(applies: Applies) -> BTreeSet<String> {
    let found = SETTINGS.iter().filter(|setting| setting.applies == applies);
    found.map(|setting| name(setting.key)).collect()
}

#[test]
fn each_setting_has_a_sample_that_differs_from_its_default() {
    let names: Vec<String> = SETTINGS.iter().map(|setting| name(setting.key)).collect();
    assert_eq!(SAMPLES.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    let defaults = Settings::default();
    for (at, (name, _)) in SAMPLES.iter().enumerate() {
        let key = SETTINGS[at].key;
        assert!(!with([at]).same(&defaults, key), "{name}");
    }
}

/// What a machine costs and contains, who may delete it and where the daemon listens.
#[test]
fn what_data_money_and_listeners_depend_on_needs_a_restart() {
    let restart = of(Applies::Restart);
    for name in [
        "machine.provider",
        "hetzner.api_token",
        "hetzner.token_command",
        "hetzner.endpoint",
        "keepalive.interval",
        "keepalive.timeout",
        "keepalive.self_destruct",
        "ssh.private_key_path",
        "ssh.host",
        "docker.socket_path",
        "docker.proxy_port",
        "metrics.listen",
        "ports.bind",
    ] {
        assert!(restart.contains(name), "{name}");
    }
    assert!(of(Applies::Now).contains("activity.idle_timeout"));
    assert!(of(Applies::NextWake).contains("hetzner.locations"));
}

#[test]
fn another_token_is_another_value_although_none_is_shown() {
    let key = ("hetzner", "api_token");
    let token = |text: &str| {
        let variable = ("HCLOUD_TOKEN".to_owned(), text.to_owned());
        load_text(Path::new("config.yaml"), "", "default", [variable].into_iter()).settings
    };
    assert!(token("a").same(&token("a"), key));
    assert!(!token("a").same(&token("b"), key));
}

proptest! {
    #[test]
    fn running_daemon_takes_over_exactly_what_needs_no_restart(
        before in proptest::collection::btree_set(0..SAMPLES.len(), 0..SAMPLES.len()),
        after in proptest::collection::btree_set(0..SAMPLES.len(), 0..SAMPLES.len()),
    ) {
        let (old, new) = (with(before.iter().copied()), with(after.iter().copied()));
        let mut running = old.clone();
        let difference = running.take_over(&new);
        let changed: BTreeSet<Key> =
            before.symmetric_difference(&after).map(|at| SETTINGS[*at].key).collect();
        for Setting { key, applies, .. } in SETTINGS {
            let listed = match applies {
                Applies::Now => &difference.now,
                Applies::NextWake => &difference.next_wake,
                Applies::Restart => &difference.restart,
            };
            prop_assert_eq!(listed.contains(key), changed.contains(key), "{:?}", key);
            let holds = if *applies == Applies::Restart { &old } else { &new };
            prop_assert!(running.same(holds, *key), "{:?}", key);
        }
        let again = running.take_over(&new);
        prop_assert!(again.now.is_empty() && again.next_wake.is_empty());
        prop_assert_eq!(again.restart, difference.restart);
    }
}
