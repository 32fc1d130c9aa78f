//! Settings that are understood one by one and make no sense together. Pure.

use super::layer::Places;
use super::place::{Problem, Severity};
use super::{Provider, Settings, duration};

/// What does not fit together.
pub(super) fn check(settings: &Settings, places: &Places) -> Vec<Problem> {
    let mut problems = Vec::new();
    let place = |section, key| places.get(&(section, key)).map(|(place, _)| place.clone());
    let problem = |section: &'static str, key: &'static str, severity, message: String| Problem {
        place: place(section, key),
        setting: Some(format!("{section}.{key}")),
        message,
        severity,
    };
    let keepalive = &settings.keepalive;
    let (interval, timeout) =
        (duration::format(keepalive.interval), duration::format(keepalive.timeout));
    if keepalive.interval >= keepalive.timeout {
        problems.push(problem(
            "keepalive",
            "interval",
            Severity::Refused,
            format!(
                "a heartbeat every {interval} renews no lease of {timeout} (`keepalive.timeout`): \
                 each machine would end itself. Write a third of the lease or less"
            ),
        ));
    } else if keepalive.interval > keepalive.timeout / 2 {
        problems.push(problem(
            "keepalive",
            "interval",
            Severity::Warned,
            format!(
                "one lost heartbeat in {interval} ends a machine with a lease of {timeout} \
                 (`keepalive.timeout`); a third of the lease or less is safe"
            ),
        ));
    }
    let activity = &settings.activity;
    if let (Some(connections), Some(idle)) = (activity.connection_timeout, activity.idle_timeout)
        && connections < idle
        && places.contains_key(&("activity", "connection_timeout"))
    {
        problems.push(problem(
            "activity",
            "connection_timeout",
            Severity::Warned,
            format!(
                "it has no effect: connections would keep a machine for {}, and the last command \
                 keeps it for {} (`activity.idle_timeout`)",
                duration::format(connections),
                duration::format(idle)
            ),
        ));
    }
    if settings.ports.enabled && !settings.ports.bind.is_loopback() {
        problems.push(problem(
            "ports",
            "bind",
            Severity::Warned,
            format!(
                "other computers can connect to published ports, which listen on {}",
                settings.ports.bind
            ),
        ));
    }
    match (settings.machine.provider, &settings.ssh.host) {
        (Some(Provider::Hetzner), Some(_)) => problems.push(problem(
            "ssh",
            "host",
            Severity::Refused,
            "`machine.provider: hetzner` creates servers and would not use this host: leave one \
             of both out, or write `machine.provider: ssh`"
                .to_owned(),
        )),
        (Some(Provider::Ssh), None) => problems.push(problem(
            "machine",
            "provider",
            Severity::Warned,
            "no host is set: write `ssh.host: user@address`, or give `--host` to \
                `start`"
                .to_owned(),
        )),
        _ => {}
    }
    problems
}
