//! Which conditions hold and since when: the daemon's warnings. An observer reports everything that
//! holds; what it no longer reports is cleared. A warning is shown once it has
//! held for its delay, and not while one that it depends on is shown.
//!
//! This file does not know how anything is observed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::{Condition, Severity, Warning, WarningCode};
use jiff::Timestamp;
use lifecycle::Moment;

use crate::hints::Hints;

/// A condition that holds.
#[derive(Debug)]
struct Held {
    condition: Condition,
    since: Moment,
    /// Once per condition; it is logged again after it was cleared.
    is_logged: bool,
}

/// All conditions that hold. Pure.
#[derive(Debug, Default)]
struct Conditions(BTreeMap<WarningCode, Held>);

impl Conditions {
    /// A condition that holds already keeps its beginning.
    fn set(&mut self, condition: Condition, now: Moment) {
        let code = condition.code();
        let (since, is_logged) =
            self.0.get(&code).map_or((now, false), |held| (held.since, held.is_logged));
        self.0.insert(code, Held { condition, since, is_logged });
    }

    /// `observed` is everything that holds now.
    fn observe(&mut self, observed: Vec<Condition>, now: Moment) {
        self.0.retain(|code, _| observed.iter().any(|condition| condition.code() == *code));
        observed.into_iter().for_each(|condition| self.set(condition, now));
    }

    /// Whether it has held for long enough, and no other explains it.
    fn is_shown(&self, code: WarningCode, now: Moment) -> bool {
        let entry = code.entry();
        let delay = Duration::from_secs(entry.delay_seconds);
        self.0.get(&code).is_some_and(|held| now.since(held.since) >= delay)
            && !entry.depends_on.iter().any(|other| self.is_shown(*other, now))
    }

    /// The severest first.
    fn shown(&self, now: Moment) -> Vec<(WarningCode, &Held)> {
        let shown = self.0.iter().filter(|(code, _)| self.is_shown(**code, now));
        let mut shown: Vec<_> = shown.map(|(code, held)| (*code, held)).collect();
        shown.sort_by_key(|(code, _)| std::cmp::Reverse(code.entry().severity));
        shown
    }
}

/// The warnings of one daemon, for all its parts.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    conditions: Arc<Mutex<Conditions>>,
    hints: Hints,
}

impl Health {
    pub(crate) fn new(hints: Hints) -> Self {
        Self { conditions: Arc::default(), hints }
    }

    /// `observed` is everything that holds now. Logs what is shown from now on.
    pub(crate) fn observe(&self, observed: Vec<Condition>, now: Moment) {
        let mut conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        conditions.observe(observed, now);
        let shown: Vec<WarningCode> =
            conditions.shown(now).into_iter().map(|(code, _)| code).collect();
        for (code, held) in &mut conditions.0 {
            if shown.contains(code) && !held.is_logged {
                held.is_logged = true;
                self.log(*code, &held.condition);
            }
        }
    }

    /// What the user should know, the severest first.
    pub(crate) fn warnings(&self, now: Moment, wall: Timestamp) -> Vec<Warning> {
        let conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = conditions.shown(now).into_iter();
        shown.map(|(_, held)| self.warning(held, now, wall)).collect()
    }

    fn warning(&self, held: &Held, now: Moment, wall: Timestamp) -> Warning {
        let age = now.since(held.since).as_secs();
        let since = u64::try_from(wall.as_second()).unwrap_or(0).saturating_sub(age);
        Warning::of(&held.condition, since).hints(self.hints.of_condition(&held.condition))
    }

    fn log(&self, code: WarningCode, condition: &Condition) {
        let warning = Warning::of(condition, 0).hints(self.hints.of_condition(condition));
        match warning.severity {
            Severity::High => tracing::error!(%code, "{warning}"),
            Severity::Medium => tracing::warn!(%code, "{warning}"),
            Severity::Low => tracing::info!(%code, "{warning}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hints::HintTexts;

    const FULL: Condition = Condition::VolumeFull { left: 1 << 20, size: 10, larger: Some(20) };
    const NEARLY: Condition =
        Condition::VolumeNearlyFull { percent: 99, left: 1 << 20, larger: Some(20) };

    fn price() -> Condition {
        Condition::PriceUnknown { machine: "m".to_owned(), has_part: false }
    }

    fn health() -> Health {
        let warning = |condition: &Condition| match condition {
            Condition::VolumeFull { .. } => vec!["grow it".to_owned()],
            _ => Vec::new(),
        };
        Health::new(Hints::new(HintTexts { error: |_| None, warning }, "default"))
    }

    fn at(seconds: u64) -> Moment {
        Moment::default().plus(Duration::from_secs(seconds))
    }

    fn shown(health: &Health, seconds: u64) -> Vec<(WarningCode, u64)> {
        let wall = Timestamp::from_second(1_000 + i64::try_from(seconds).unwrap()).unwrap();
        let warnings = health.warnings(at(seconds), wall);
        warnings.into_iter().map(|warning| (warning.code, warning.since)).collect()
    }

    #[test]
    fn warning_has_the_time_at_which_its_condition_began() {
        let health = health();
        health.observe(vec![NEARLY], at(10));
        health.observe(vec![NEARLY], at(40));
        assert_eq!(shown(&health, 40), [(WarningCode::VolumeNearlyFull, 1_010)]);
        health.observe(Vec::new(), at(50));
        assert_eq!(shown(&health, 50), []);
        health.observe(vec![NEARLY], at(60));
        assert_eq!(shown(&health, 60), [(WarningCode::VolumeNearlyFull, 1_060)]);
    }

    #[test]
    fn warning_that_another_one_explains_is_not_shown() {
        let health = health();
        health.observe(vec![NEARLY], at(10));
        health.observe(vec![NEARLY, FULL], at(20));
        assert_eq!(shown(&health, 20), [(WarningCode::VolumeFull, 1_020)]);
        health.observe(vec![NEARLY], at(30));
        assert_eq!(shown(&health, 30), [(WarningCode::VolumeNearlyFull, 1_010)]);
    }

    #[test]
    fn warning_that_may_clear_by_itself_is_shown_after_its_delay() {
        let health = health();
        health.observe(vec![price()], at(0));
        assert_eq!(shown(&health, 59), []);
        assert_eq!(shown(&health, 60), [(WarningCode::PriceUnknown, 1_000)]);
    }

    #[test]
    fn severest_warning_is_first_and_has_its_hint() {
        let health = health();
        health.observe(vec![Condition::ClockWrong { offset: 400 }, FULL], at(0));
        let warnings = health.warnings(at(0), Timestamp::UNIX_EPOCH);
        let said: Vec<_> = warnings.iter().map(|warning| warning.code).collect();
        assert_eq!(said, [WarningCode::VolumeFull, WarningCode::ClockWrong]);
        assert_eq!(warnings[0].to_string(), "the volume is full, with 1 MB left of 10 GB: grow it");
    }
}
