//! What costs money now, for the first screen of `status` and for `sweep`: everything that this
//! owner has in the project, in all profiles, with its price. The result is cached for a short
//! time, so that a `status` in a loop does not use up the project's requests. Where the cloud does
//! not answer, an older result is shown with its age.

use std::time::Duration;

use api::{Bills, Look, Standing};
use daemon::json_file;
use jiff::Timestamp;
use machine::{Billed, Posting};
use tokio::time::timeout;

use crate::failure::with_causes;
use crate::resolved::Resolved;
use crate::settings::duration;

/// Ceiling for one price query.
const LONGEST_LOOK: Duration = Duration::from_secs(4);
/// Seconds for which a cached result is used. One query is five requests; one every 30 s makes 600
/// of the project's 3,600 requests an hour.
const FRESH_FOR: i64 = 30;

/// Queries the cloud, or takes the cached result. `None` without an owner id or a token: then
/// nothing in the cloud is this user's. Creates nothing.
pub async fn look(resolved: &Resolved, wants_fresh: bool) -> Option<Bills> {
    if !resolved.paths.owner().exists() {
        return None;
    }
    let (owner, token) = (resolved.owner().ok()?, resolved.token().ok()?);
    let client = resolved.client(token).ok()?;
    let path = resolved.paths.profile_state(&resolved.profile).join("bills.json");
    let (now, of) = (Timestamp::now().as_second(), format!("{owner} {}", resolved.endpoint()));
    let last = json_file::read::<Look>(&path).filter(|last| last.of == of);
    if let Some(last) =
        last.as_ref().filter(|last| !wants_fresh && (0..FRESH_FOR).contains(&(now - last.at)))
    {
        return Some(Bills { look: Some(last.clone()), trouble: None });
    }
    match timeout(LONGEST_LOOK, machine::standing(&client, &owner)).await {
        Ok(Ok(standing)) => {
            enter(resolved, &standing);
            let look = Look { at: now, of, standing };
            // A result that cannot be cached (full disk) is queried again next time.
            let _ = json_file::write(&path, &look);
            Some(Bills { look: Some(look), trouble: None })
        }
        Ok(Err(error)) => Some(Bills { look: last, trouble: Some(with_causes(&error)) }),
        Err(_) => {
            let waited =
                format!("the cloud does not answer within {}", duration::format(LONGEST_LOOK));
            Some(Bills { look: last, trouble: Some(waited) })
        }
    }
}

/// Records what was found in this profile's books, including what another computer created or what
/// was deleted in the cloud's console.
fn enter(resolved: &Resolved, standing: &Standing) {
    let (books, profile) = (resolved.books(), resolved.profile.to_string());
    let is_own = |named: &Option<String>| named.as_deref() == Some(profile.as_str());
    let servers = standing.machines.iter().filter(|machine| is_own(&machine.profile));
    let volumes: Vec<_> =
        standing.volumes.iter().filter(|volume| is_own(&volume.profile)).collect();
    let ids = servers.chain(&standing.builders).filter_map(|server| server.thing.id).collect();
    let post = |event| books.post(Posting { profile: Some(profile.clone()), event });
    for volume in &volumes {
        post(Billed::Volume(volume.thing.clone()));
    }
    post(Billed::Only {
        servers: ids,
        volumes: volumes.iter().map(|volume| volume.thing.id).collect(),
    });
}

/// One line for each command that ends the costs of an item.
pub fn endings_of(bills: &Bills) -> Vec<String> {
    bills.look.as_ref().map(|look| endings(&look.standing)).unwrap_or_default()
}

/// One line for each item that costs money, or the reason why that is unknown.
pub fn lines(bills: &Bills, own: &str) -> Vec<String> {
    let now = Timestamp::now().as_second();
    let age = bills.look.as_ref().map(|look| u64::try_from(now - look.at).unwrap_or(0));
    let mut lines = match (&bills.trouble, age) {
        (Some(trouble), Some(age)) => {
            let age = duration::format(Duration::from_secs(age));
            vec![format!("unknown ({trouble}); {age} ago it was:")]
        }
        (Some(trouble), None) => return vec![format!("unknown ({trouble})")],
        (None, _) => Vec::new(),
    };
    match &bills.look {
        Some(look) if look.standing.is_empty() => lines.push("nothing".to_owned()),
        Some(look) => lines.extend(all(&look.standing, own)),
        None => {}
    }
    lines
}

/// The commands that end the costs of what is listed.
fn endings(standing: &Standing) -> Vec<String> {
    let of = |profile: &Option<String>| match profile.as_deref() {
        None | Some("default") => String::new(),
        Some(profile) => format!("--profile {profile} "),
    };
    let mut lines = Vec::new();
    for server in &standing.machines {
        let (profile, name) = (of(&server.profile), &server.thing.name);
        lines.push(format!("`dockbridge {profile}server destroy` deletes server {name}"));
    }
    for volume in &standing.volumes {
        let (profile, name) = (of(&volume.profile), &volume.thing.name);
        lines.push(format!("`dockbridge {profile}volume delete {name}` deletes it with its data"));
    }
    for snapshot in &standing.snapshots {
        lines.push(format!("`dockbridge image delete {}` deletes {}", snapshot.id, snapshot.name));
    }
    if !standing.builders.is_empty() || !standing.addresses.is_empty() {
        lines.push("`dockbridge sweep --yes` removes the rest".to_owned());
    }
    lines
}

fn all(standing: &Standing, own: &str) -> Vec<String> {
    let currency = &standing.currency;
    let hourly = |price: Option<f64>| {
        price.map_or("price unknown".to_owned(), |price| {
            format!("{price:.4} {currency} a started hour")
        })
    };
    let monthly = |price: Option<f64>| {
        price.map_or("price unknown".to_owned(), |price| format!("{price:.2} {currency} a month"))
    };
    let of = |profile: &Option<String>| match profile.as_deref() {
        Some(profile) if profile != own => format!(" of profile {profile}"),
        _ => String::new(),
    };
    let mut lines = Vec::new();
    for (what, servers) in [("server", &standing.machines), ("image builder", &standing.builders)] {
        for server in servers {
            let (machine, profile) = (&server.thing, of(&server.profile));
            let id = machine.id.map(|id| id.to_string()).unwrap_or_default();
            let kind = machine.server_type.as_deref().unwrap_or("unknown type");
            let location = machine.location.as_deref().unwrap_or("unknown location");
            lines.push(format!(
                "{what} {}{profile} ({id}, {kind} in {location}): {}",
                machine.name,
                hourly(machine.price_hourly)
            ));
        }
    }
    for volume in &standing.volumes {
        let (disk, profile) = (&volume.thing, of(&volume.profile));
        let attached = if disk.server.is_some() { "" } else { ", not attached" };
        let price = monthly(disk.price_monthly);
        lines.push(format!(
            "volume {}{profile} ({}, {} GB in {}{attached}): {price}",
            disk.name, disk.id, disk.size, disk.location
        ));
    }
    for (what, kept) in
        [("unused primary IP", &standing.addresses), ("snapshot", &standing.snapshots)]
    {
        lines.extend(kept.iter().map(|kept| {
            format!("{what} {} ({}): {}", kept.name, kept.id, monthly(kept.price_monthly))
        }));
    }
    lines
}
