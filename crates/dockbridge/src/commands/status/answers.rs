//! The three answers that `status` begins with: is it on, what does it cost, when does it go. Pure.

use api::{Bills, Cancel, MachineState, ReasonKind, Status, Summary, VolumeSummary};

use super::local_time::{LocalTime, rough};
use super::row::{Row, Tone};

/// Of a profile with a daemon.
pub fn answers(status: &Status, bills: Option<&Bills>, now: &LocalTime) -> Vec<Row> {
    let mut rows = vec![state(status, now), cost(status, now)];
    let own_host = status.machine.as_ref().is_some_and(|machine| machine.id.is_none());
    if !own_host {
        let known =
            status.machine.as_ref().or(status.last_known.as_ref().map(|last| &last.machine));
        rows.push(volume(&status.profile, known, usage(status), bills));
    }
    rows.push(Row::plain("Next", next(status, now)));
    rows
}

fn state(status: &Status, now: &LocalTime) -> Row {
    let since = now.since(status.since_seconds);
    let because = status.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let (tone, head, rest) = match status.state {
        MachineState::Absent => (Tone::Plain, "off", format!(" since {since}{because}")),
        MachineState::Waking => (Tone::Busy, "waking", format!(" since {since}")),
        MachineState::Up => (Tone::Good, "on", format!(" since {since}, {}", use_of(status, now))),
        MachineState::Lost => (Tone::Bad, "not reachable", format!(" since {since}{because}")),
        MachineState::Releasing => {
            (Tone::Busy, "being deleted", format!(" since {since}{because}"))
        }
        MachineState::Failed => (Tone::Bad, "failed", format!(" at {since}{because}")),
    };
    Row::headed("State", tone, head, rest)
}

/// `in use`, `idle`, `pinned until 23:59`, `about to go`.
fn use_of(status: &Status, now: &LocalTime) -> String {
    if status.machine.as_ref().is_some_and(|machine| machine.id.is_none()) {
        return "a host of your own".to_owned();
    }
    let reasons = &status.why.reasons;
    let in_grace = status.why.endings.iter().any(|ending| ending.grace_seconds == 0);
    let mut words = vec![match (going_on(status), in_grace) {
        (0, true) => "about to go".to_owned(),
        (0, false) => "idle".to_owned(),
        _ => "in use".to_owned(),
    }];
    if let Some(pin) = reasons.iter().find(|reason| reason.kind == ReasonKind::Pin) {
        words.push(match pin.seconds {
            Some(left) => format!("pinned until {}", now.in_another(left)),
            None => "pinned".to_owned(),
        });
    }
    words.join(", ")
}

/// Activities in progress; a pin is none.
fn going_on(status: &Status) -> usize {
    let is_activity = |kind| !matches!(kind, ReasonKind::Pin | ReasonKind::PaidHour);
    let reasons = status.why.reasons.iter();
    reasons.filter(|reason| reason.seconds.is_none() && is_activity(reason.kind)).count()
}

fn cost(status: &Status, now: &LocalTime) -> Row {
    let currency = |machine: &Summary| machine.currency.clone().unwrap_or_else(|| "EUR".to_owned());
    let last = status.last_known.as_ref().map(|last| &last.machine);
    let text = match (&status.machine, &status.cost, status.state) {
        (Some(machine), _, _) if machine.id.is_none() => "nothing by dockbridge".to_owned(),
        (Some(machine), Some(cost), _) => {
            let started = if cost.hours == 1 { "hour" } else { "hours" };
            let next = machine.created.and_then(|created| {
                Some(created.saturating_add(i64::try_from(cost.hours).ok()?.checked_mul(3_600)?))
            });
            let next = next.map(|next| format!(", the next at {}", now.at(next)));
            format!(
                "{:.4} {} net so far: {} started {started} at {:.4}{}",
                cost.so_far,
                currency(machine),
                cost.hours,
                cost.hourly,
                next.unwrap_or_default()
            )
        }
        (Some(_), None, _) => "not known yet: the price of the server is missing".to_owned(),
        (None, _, MachineState::Absent) => "nothing by the hour".to_owned(),
        (None, _, MachineState::Waking) => {
            "each started hour from the creation of the server on".to_owned()
        }
        (None, _, state) => match last.and_then(|last| Some((last, last.price_hourly?))) {
            Some((last, price)) => {
                format!("{price:.4} {} net a started hour until it is gone", currency(last))
            }
            None if state == MachineState::Failed => "nothing by the hour".to_owned(),
            None => "not known: the machine does not answer".to_owned(),
        },
    };
    Row::plain("Cost", text)
}

/// How full the volume is, in percent, by the agent's last report.
fn usage(status: &Status) -> Option<f64> {
    let disk = status.report.as_ref()?.disk?;
    #[expect(clippy::cast_precision_loss, reason = "for display only")]
    Some(disk.used as f64 / disk.total.max(1) as f64 * 100.0)
}

/// The profile's volume, with or without a machine.
fn volume(
    profile: &str,
    machine: Option<&Summary>,
    usage: Option<f64>,
    bills: Option<&Bills>,
) -> Row {
    let looked = bills.and_then(|bills| bills.look.as_ref());
    let listed = looked.and_then(|look| {
        let is_own = |named: &Option<String>| named.as_deref() == Some(profile);
        let own = look.standing.volumes.iter().find(|volume| is_own(&volume.profile));
        own.map(|own| (&own.thing, look.standing.currency.as_str()))
    });
    let attached = machine.and_then(|machine| {
        Some((machine.volume.as_ref()?, machine.currency.as_deref().unwrap_or("EUR")))
    });
    let text = match (attached.or(listed), bills) {
        (Some((volume, currency)), _) => volume_text(volume, currency, usage),
        (None, None | Some(Bills { look: Some(_), trouble: None })) => return no_volume(),
        (None, Some(_)) => "not known: the cloud does not answer".to_owned(),
    };
    Row::plain("Volume", text)
}

/// For a profile whose data is nowhere.
pub fn no_volume() -> Row {
    Row::plain("Volume", "none")
}

fn volume_text(volume: &VolumeSummary, currency: &str, usage: Option<f64>) -> String {
    let price = match volume.price_monthly {
        Some(price) => format!("{price:.2} {currency} net a month"),
        None => "price unknown".to_owned(),
    };
    let usage = usage.map(|percent| format!(", {percent:.1} % full")).unwrap_or_default();
    let VolumeSummary { name, id, size, location, .. } = volume;
    format!("{size} GB in {location}, {price}{usage}: {name} ({id})")
}

/// When it goes; without a machine that answers, what happens next.
fn next(status: &Status, now: &LocalTime) -> String {
    let why = &status.why;
    let is_own = status.machine.as_ref().is_some_and(|machine| machine.id.is_some());
    if status.state != MachineState::Up || !is_own {
        return why.next.clone();
    }
    let Some(first) = why.endings.iter().min_by_key(|ending| ending.seconds) else {
        let activities = going_on(status);
        let pinned = why.reasons.iter().any(|reason| reason.kind == ReasonKind::Pin);
        return match (activities, pinned) {
            (0, true) => "stays until `dockbridge unpin`".to_owned(),
            (0, false) => why.next.clone(),
            (1, _) => "stays while it is used: 1 activity in progress".to_owned(),
            (several, _) => format!("stays while it is used: {several} activities in progress"),
        };
    };
    let cancel = match first.cancelled_by {
        Cancel::Activity => "any activity cancels it",
        Cancel::Unlock => "unlocking the screen cancels it",
        Cancel::Nothing => "only a settings change prevents this",
    };
    let at = now.in_another(first.seconds);
    match (first.grace_seconds, first.cancelled_by) {
        (0, _) => format!("deleted at {at}, since {}; {cancel}", first.because),
        (_, Cancel::Activity) => format!("deleted at {at} unless used"),
        _ => format!("deleted at {at} at the latest: {}; {cancel}", first.because),
    }
}

/// The answers where no daemon runs: what still bills is all that counts.
pub fn without_daemon(profile: &str, seen: &Unserved<'_>) -> Vec<Row> {
    let (state, next) = match (seen.is_set_up, seen.machine) {
        (false, _) => (
            Row::headed("State", Tone::Bad, "not set up", ": there is no Hetzner API token"),
            match cfg!(all(feature = "local-cloud", target_os = "linux")) {
                true => {
                    "`dockbridge init` asks for one; `dockbridge try` needs no account".to_owned()
                }
                false => "`dockbridge init` asks for one".to_owned(),
            },
        ),
        (true, Some(machine)) => (
            Row::headed(
                "State",
                Tone::Bad,
                "on without a daemon",
                format!(": {} exists and no daemon here renews its lease", machine.name),
            ),
            format!(
                "it ends with its lease, {} after the last heartbeat or with its pin; `dockbridge \
                 start` takes it over",
                rough(seen.lease_seconds)
            ),
        ),
        (true, None) => (
            Row::headed("State", Tone::Plain, "off", ": no daemon runs, docker commands fail"),
            "`dockbridge start` serves docker commands".to_owned(),
        ),
    };
    let cost = match seen.machine.map(|machine| (machine, machine.price_hourly)) {
        Some((machine, Some(price))) => {
            let currency = machine.currency.as_deref().unwrap_or("EUR");
            format!("{price:.4} {currency} net a started hour")
        }
        Some((_, None)) => "not known: the price of the server is missing".to_owned(),
        None if seen.is_unknown => "not known: the cloud does not answer".to_owned(),
        None => "nothing by the hour".to_owned(),
    };
    let volume = volume(profile, seen.machine, None, seen.bills);
    vec![state, Row::plain("Cost", cost), volume, Row::plain("Next", next)]
}

/// What is known without a daemon.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unserved<'a> {
    /// A token or a host of the user's own is configured.
    pub is_set_up: bool,
    /// The profile's server, by the cloud.
    pub machine: Option<&'a Summary>,
    /// The cloud could not be asked for it.
    pub is_unknown: bool,
    /// How long a machine lives without heartbeats.
    pub lease_seconds: u64,
    pub bills: Option<&'a Bills>,
}
