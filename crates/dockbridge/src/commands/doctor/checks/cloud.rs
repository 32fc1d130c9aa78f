//! The cloud project: its rate limit, orphans, and volumes without a machine.

use api::{Bills, Look, Standing};
use hetzner::RateLimit;
use machine::Profile;

use crate::commands::doctor::found::Found;
use crate::commands::doctor::surroundings::Surroundings;
use crate::commands::{bills, sweep};
use crate::failure::Outcome;

pub async fn rate_limit(around: &Surroundings) -> Found {
    match around.project().await {
        Ok(project) => judge_rate_limit(project.client.rate_limit()),
        Err(error) => Found::of_error(error),
    }
}

fn judge_rate_limit(limit: Option<RateLimit>) -> Found {
    let Some(RateLimit { limit, remaining, .. }) = limit else {
        return Found::not_run("the API does not report it");
    };
    let message = format!("{remaining} of {limit} requests are left in this hour");
    match u64::from(remaining) * 10 < u64::from(limit) {
        true => Found::hint(message),
        false => Found::ok(message),
    }
}

pub async fn orphans(around: &Surroundings) -> Found {
    let find = async || -> Outcome<Option<Vec<String>>> {
        let resolved = &around.resolved;
        // Without an owner id nothing in the cloud is this user's.
        let (Ok(project), Some(owner)) = (around.project().await, resolved.known_owner()?) else {
            return Ok(None);
        };
        let cloud = resolved.looking_with(project.client.clone(), project.token.clone())?;
        let found = sweep::find(resolved, &cloud, &project.client, &owner).await?;
        Ok(Some(found.iter().map(sweep::Left::words).collect()))
    };
    match find().await {
        Ok(found) => judge_orphans(&found.unwrap_or_default()),
        Err(failure) => Found::of_error(failure.error()),
    }
}

fn judge_orphans(found: &[String]) -> Found {
    match found {
        [] => Found::ok("none"),
        [one] => Found::hint(one),
        several => Found::hint(format!("{}: {}", several.len(), several.join("; "))),
    }
}

pub async fn volumes(around: &Surroundings) -> Found {
    let paths = &around.resolved.paths;
    let is_known = |name: &str| {
        let profile = Profile::parse(name).ok();
        profile.is_some_and(|it| {
            it == around.resolved.profile
                || paths.profile_state(&it).exists()
                || paths.token(&it).exists()
        })
    };
    match around.standing().await {
        Ok(standing) => judge_volumes(standing, &around.resolved.profile.to_string(), is_known),
        Err(error) => Found::of_error(error),
    }
}

/// A volume without a machine is what a profile has between two machines. More than one, or one of
/// a profile that this computer does not know, may be forgotten.
fn judge_volumes(standing: &Standing, own: &str, is_known: impl Fn(&str) -> bool) -> Found {
    let unattached: Vec<_> =
        standing.volumes.iter().filter(|it| it.thing.server.is_none()).cloned().collect();
    if unattached.is_empty() {
        return Found::ok("none without a machine");
    }
    let of = |profile: &Option<String>| {
        unattached.iter().filter(|other| other.profile == *profile).count()
    };
    let is_forgotten = unattached
        .iter()
        .any(|it| of(&it.profile) > 1 || !it.profile.as_deref().is_some_and(&is_known));
    let part = Standing {
        currency: standing.currency.clone(),
        volumes: unattached,
        ..Standing::default()
    };
    let look = Look { at: jiff::Timestamp::now().as_second(), of: String::new(), standing: part };
    let known = Bills { look: Some(look), trouble: None };
    let lines = bills::lines(&known, own);
    if !is_forgotten {
        return Found::ok(lines.join("; "));
    }
    let found = Found::hint(lines.join("; "))
        .cause("More than one of a profile, or a profile that this computer does not know.");
    bills::endings_of(&known).into_iter().fold(found, Found::cure)
}

#[cfg(test)]
pub(super) mod tests {
    use api::CheckState::{Hint, NotRun, Ok as Fine};
    use api::{CheckCode, Owned, VolumeSummary};
    use jiff::Timestamp;

    use super::*;

    /// What can be wrong.
    pub fn findings() -> Vec<(CheckCode, Found)> {
        let left = RateLimit { limit: 3600, remaining: 12, reset: Timestamp::UNIX_EPOCH };
        let orphans = ["server a (1, off)", "SSH key b (2)"].map(str::to_owned);
        vec![
            (CheckCode::RateLimit, judge_rate_limit(Some(left))),
            (CheckCode::Orphans, judge_orphans(&orphans[..1])),
            (CheckCode::Orphans, judge_orphans(&orphans)),
            (CheckCode::Volumes, judged(vec![volume(1, "lost", None)])),
        ]
    }

    #[test]
    fn rate_limit_is_a_hint_when_a_tenth_is_left() {
        let limit =
            |remaining| Some(RateLimit { limit: 3600, remaining, reset: Timestamp::UNIX_EPOCH });
        assert_eq!(judge_rate_limit(limit(360)).state, Fine);
        let found = judge_rate_limit(limit(359));
        assert_eq!(
            (found.state, &*found.message),
            (Hint, "359 of 3600 requests are left in this hour")
        );
        assert_eq!(judge_rate_limit(None).state, NotRun);
    }

    #[test]
    fn orphans_are_listed_with_their_reason() {
        assert_eq!(judge_orphans(&[]), Found::ok("none"));
        let found =
            judge_orphans(&["server a (1): off".to_owned(), "SSH key b (2): unused".into()]);
        assert_eq!(
            (found.state, &*found.message),
            (Hint, "2: server a (1): off; SSH key b (2): unused")
        );
    }

    fn volume(id: u64, profile: &str, server: Option<u64>) -> Owned<VolumeSummary> {
        Owned {
            profile: Some(profile.to_owned()),
            thing: VolumeSummary {
                id,
                name: format!("v{id}"),
                size: 20,
                location: "fsn1".to_owned(),
                server,
                price_monthly: Some(1.144),
                created: None,
            },
        }
    }

    fn judged(volumes: Vec<Owned<VolumeSummary>>) -> Found {
        let standing = Standing { currency: "EUR".to_owned(), volumes, ..Standing::default() };
        judge_volumes(&standing, "default", |name| name != "lost")
    }

    #[test]
    fn volume_between_two_machines_is_fine_and_has_its_price() {
        assert_eq!(judged(vec![volume(1, "default", Some(7))]).message, "none without a machine");
        let found = judged(vec![volume(1, "default", None), volume(2, "m", None)]);
        let own = "volume v1 (1, 20 GB in fsn1, not attached): 1.14 EUR a month";
        assert_eq!(found.state, Fine);
        assert!(found.message.starts_with(own), "{}", found.message);
    }

    #[test]
    fn second_volume_of_a_profile_and_one_of_an_unknown_profile_are_hints() {
        for volumes in [
            vec![volume(1, "default", None), volume(2, "default", None)],
            vec![volume(1, "lost", None)],
        ] {
            let found = judged(volumes);
            assert_eq!(found.state, Hint);
            assert!(found.cures[0].contains("volume delete v1`"), "{:?}", found.cures);
        }
    }
}
