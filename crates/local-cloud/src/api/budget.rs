//! How many requests a project may still make: a bucket that refills by one each second. Asking for actions has a bucket of its own, as at the original.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;

/// Requests per hour, which is also what the bucket holds.
const LIMIT: u32 = 3600;

/// Requests that come back each second.
const REFILL: f64 = 1.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purse {
    Actions,
    Everything,
}

#[derive(Debug, Default)]
pub(super) struct Budgets(BTreeMap<(String, Purse), Bucket>);

#[derive(Debug)]
struct Bucket {
    level: f64,
    at: Timestamp,
}

/// What a request may know of its budget.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    pub(super) is_spent: bool,
    remaining: u32,
    /// Unix second at which the bucket will be full.
    reset: i64,
}

impl Budgets {
    /// Takes one request out of a project's bucket, if there is one left.
    pub(super) fn spend(&mut self, project: &str, purse: Purse, now: Timestamp) -> Allowance {
        let full = f64::from(LIMIT);
        let bucket = self.0.entry((project.to_owned(), purse)).or_insert(Bucket { level: full, at: now });
        let passed = now.duration_since(bucket.at).as_secs_f64().max(0.0);
        bucket.level = (bucket.level + passed * REFILL).min(full);
        bucket.at = now;
        let is_spent = bucket.level < 1.0;
        if !is_spent {
            bucket.level -= 1.0;
        }
        Allowance { is_spent, remaining: bucket.level as u32, reset: now.as_second() + ((full - bucket.level) / REFILL).ceil() as i64 }
    }
}

impl Allowance {
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        headers.insert("ratelimit-limit", HeaderValue::from(LIMIT));
        headers.insert("ratelimit-remaining", HeaderValue::from(self.remaining));
        headers.insert("ratelimit-reset", HeaderValue::from(self.reset));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_empty_bucket_refuses_until_a_second_has_passed() {
        let mut budgets = Budgets::default();
        let now: Timestamp = "2026-10-01T00:00:00Z".parse().unwrap();
        for _ in 0..LIMIT {
            assert!(!budgets.spend("p", Purse::Everything, now).is_spent);
        }
        let empty = budgets.spend("p", Purse::Everything, now);
        assert_eq!(empty, Allowance { is_spent: true, remaining: 0, reset: now.as_second() + i64::from(LIMIT) });
        assert!(!budgets.spend("p", Purse::Actions, now).is_spent, "actions have their own bucket");
        assert!(!budgets.spend("q", Purse::Everything, now).is_spent, "another project has its own bucket");
        let later = now + Duration::from_secs(1);
        assert!(!budgets.spend("p", Purse::Everything, later).is_spent);
        assert!(budgets.spend("p", Purse::Everything, later).is_spent);
    }
}
