//! How many requests a project may still make: a bucket that refills by one request a second. As
//! at Hetzner, queries of actions have a bucket of their own.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;

const SECONDS_PER_HOUR: f64 = 3600.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Quota {
    Actions,
    Everything,
}

#[derive(Debug, Default)]
pub(super) struct Budgets(BTreeMap<(String, Quota), Bucket>);

#[derive(Debug)]
struct Bucket {
    level: f64,
    at: Timestamp,
}

/// The state of a bucket after a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Allowance {
    pub(super) is_spent: bool,
    limit: u32,
    remaining: u32,
    /// Unix second at which the bucket will be full.
    reset: i64,
}

impl Budgets {
    /// Takes one request out of a project's bucket, if one is left. The bucket holds `limit`
    /// requests and refills within an hour.
    pub(super) fn spend(
        &mut self,
        project: &str,
        quota: Quota,
        limit: u32,
        now: Timestamp,
    ) -> Allowance {
        let full = f64::from(limit);
        let refill = full / SECONDS_PER_HOUR;
        let bucket =
            self.0.entry((project.to_owned(), quota)).or_insert(Bucket { level: full, at: now });
        let passed = now.duration_since(bucket.at).as_secs_f64().max(0.0);
        bucket.level = (bucket.level + passed * refill).min(full);
        bucket.at = now;
        let is_spent = bucket.level < 1.0;
        if !is_spent {
            bucket.level -= 1.0;
        }
        // With a limit of zero it never refills.
        let until_full =
            if refill > 0.0 { ((full - bucket.level) / refill).ceil() as i64 } else { 0 };
        Allowance {
            is_spent,
            limit,
            remaining: bucket.level as u32,
            reset: now.as_second() + until_full,
        }
    }
}

impl Allowance {
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        headers.insert("ratelimit-limit", HeaderValue::from(self.limit));
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
        const LIMIT: u32 = 3600;
        let mut budgets = Budgets::default();
        let now: Timestamp = "2026-10-01T00:00:00Z".parse().unwrap();
        for _ in 0..LIMIT {
            assert!(!budgets.spend("p", Quota::Everything, LIMIT, now).is_spent);
        }
        let empty = budgets.spend("p", Quota::Everything, LIMIT, now);
        assert_eq!(
            empty,
            Allowance {
                is_spent: true,
                limit: LIMIT,
                remaining: 0,
                reset: now.as_second() + i64::from(LIMIT)
            }
        );
        assert!(
            !budgets.spend("p", Quota::Actions, LIMIT, now).is_spent,
            "actions have their own bucket"
        );
        assert!(
            !budgets.spend("q", Quota::Everything, LIMIT, now).is_spent,
            "another project has its own bucket"
        );
        let later = now + Duration::from_secs(1);
        assert!(!budgets.spend("p", Quota::Everything, LIMIT, later).is_spent);
        assert!(budgets.spend("p", Quota::Everything, LIMIT, later).is_spent);
    }

    #[test]
    fn a_limit_that_changes_holds_at_once() {
        let mut budgets = Budgets::default();
        let now: Timestamp = "2026-10-01T00:00:00Z".parse().unwrap();
        budgets.spend("p", Quota::Everything, 3600, now);
        for left in [1, 0] {
            assert_eq!(budgets.spend("p", Quota::Everything, 2, now).remaining, left);
        }
        assert!(budgets.spend("p", Quota::Everything, 2, now).is_spent);
        assert!(budgets.spend("p", Quota::Everything, 2, now + Duration::from_secs(1799)).is_spent);
        assert!(
            !budgets.spend("p", Quota::Everything, 2, now + Duration::from_secs(1801)).is_spent
        );
    }
}
