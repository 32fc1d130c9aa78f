//! Settings that are valid one by one but not together. Pure.

use super::duration;
use super::place::{Places, Problem, Severity};
use super::table::Settings;
use super::types::Provider;

/// Finds contradictions.
pub(super) fn check(settings: &Settings, places: &Places) -> Vec<Problem> {
    [heartbeat(settings), silent_connections(settings, places), listeners(settings), host(settings)]
        .into_iter()
        .flatten()
        .map(|Contradiction { section, key, severity, message }| Problem {
            place: places.get(&(section, key)).map(|(place, _)| place.clone()),
            setting: Some(format!("{section}.{key}")),
            message,
            severity,
        })
        .collect()
}

struct Contradiction {
    section: &'static str,
    key: &'static str,
    severity: Severity,
    message: String,
}

fn heartbeat(settings: &Settings) -> Option<Contradiction> {
    let keepalive = &settings.keepalive;
    let (interval, timeout) =
        (duration::format(keepalive.interval), duration::format(keepalive.timeout));
    let (severity, message) = if keepalive.interval >= keepalive.timeout {
        let message = format!(
            "a heartbeat every {interval} does not renew a lease of {timeout} \
             (`keepalive.timeout`): each machine would delete itself. Write a third of the lease \
             or less"
        );
        (Severity::Refused, message)
    } else if keepalive.interval > keepalive.timeout / 2 {
        let message = format!(
            "with a heartbeat every {interval}, one lost heartbeat ends a lease of {timeout} \
             (`keepalive.timeout`); a third of the lease or less is safe"
        );
        (Severity::Warned, message)
    } else {
        return None;
    };
    Some(Contradiction { section: "keepalive", key: "interval", severity, message })
}

fn silent_connections(settings: &Settings, places: &Places) -> Option<Contradiction> {
    let (section, key) = ("activity", "connection_timeout");
    let connections = settings.activity.connection_timeout?;
    let idle = settings.activity.idle_timeout?;
    (connections < idle && places.contains_key(&(section, key))).then(|| Contradiction {
        section,
        key,
        severity: Severity::Warned,
        message: format!(
            "it has no effect: connections would keep a machine for {}, but the last command keeps \
             it for {} (`activity.idle_timeout`)",
            duration::format(connections),
            duration::format(idle)
        ),
    })
}

fn listeners(settings: &Settings) -> Option<Contradiction> {
    let ports = &settings.ports;
    (ports.enabled && !ports.bind.is_loopback()).then(|| Contradiction {
        section: "ports",
        key: "bind",
        severity: Severity::Warned,
        message: format!(
            "other computers can connect to published ports, which listen on {}",
            ports.bind
        ),
    })
}

fn host(settings: &Settings) -> Option<Contradiction> {
    match (settings.machine.provider, &settings.ssh.host) {
        (Some(Provider::Hetzner), Some(_)) => Some(Contradiction {
            section: "ssh",
            key: "host",
            severity: Severity::Refused,
            message: "`machine.provider: hetzner` creates servers and does not use this host: \
                      remove one of them, or write `machine.provider: ssh`"
                .to_owned(),
        }),
        (Some(Provider::Ssh), None) => Some(Contradiction {
            section: "machine",
            key: "provider",
            severity: Severity::Warned,
            message: "no host is set: write `ssh.host: user@address`, or pass `--host` to `start`"
                .to_owned(),
        }),
        _ => None,
    }
}
