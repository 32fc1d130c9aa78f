//! The rate budget. The API counts requests per project with a bucket that refills steadily, and
//! sends its level in every reply. This file estimates the level between replies, and delays the
//! last few requests. Time comes in as an argument.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use tokio::time::Instant;

/// The bucket is full after this time, whatever its size: 3600 requests an hour refill at one a
/// second.
const REFILL: Duration = Duration::from_secs(3600);

/// The rate limit in a reply of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Size of the bucket.
    pub limit: u32,
    /// Requests left.
    pub remaining: u32,
    /// When the bucket is full again.
    pub reset: Timestamp,
}

impl RateLimit {
    /// Reads `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`; `None` unless all
    /// three are there.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
            headers.get(name)?.to_str().ok()?.trim().parse().ok()
        }
        Some(Self {
            limit: number(headers, "ratelimit-limit")?,
            remaining: number(headers, "ratelimit-remaining")?,
            reset: Timestamp::from_second(number(headers, "ratelimit-reset")?).ok()?,
        })
    }
}

/// The estimated level of one bucket.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    level: Option<Level>,
}

#[derive(Debug)]
struct Level {
    limit: RateLimit,
    /// Requests left at `at`, less those sent since.
    requests: f64,
    at: Instant,
}

impl Budget {
    /// The rate limit in the last reply.
    pub(crate) fn last(&self) -> Option<RateLimit> {
        self.level.as_ref().map(|level| level.limit)
    }

    /// Records the rate limit in a reply.
    pub(crate) fn learn(&mut self, limit: RateLimit, now: Instant) {
        self.level = Some(Level { limit, requests: f64::from(limit.remaining), at: now });
    }

    /// Takes one request out of the bucket, or returns how long to wait before the next attempt.
    /// The last `reserve` requests (but never more than a tenth of the bucket) are only used as
    /// they refill, because others work in the same project.
    pub(crate) fn admit(&mut self, reserve: u32, now: Instant) -> Result<(), Duration> {
        let Some(level) = &mut self.level else { return Ok(()) };
        let size = f64::from(level.limit.limit);
        let reserve = f64::from(reserve).min(size / 10.0);
        let per_second = size / REFILL.as_secs_f64();
        level.requests = (level.requests
            + now.saturating_duration_since(level.at).as_secs_f64() * per_second)
            .min(size);
        level.at = now;
        let missing = reserve + 1.0 - level.requests;
        if missing <= 0.0 || size == 0.0 {
            level.requests -= 1.0;
            return Ok(());
        }
        // A millisecond more, so that rounding never makes the next question come too early.
        Err(Duration::from_secs_f64(missing / per_second) + Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(limit: u32, remaining: u32) -> RateLimit {
        RateLimit { limit, remaining, reset: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn no_request_is_delayed_before_the_first_reply() {
        let mut budget = Budget::default();
        assert_eq!(budget.admit(10, Instant::now()), Ok(()));
        assert_eq!(budget.last(), None);
    }

    #[test]
    fn requests_pass_down_to_the_reserve_and_then_at_the_refill_rate() {
        let start = Instant::now();
        let mut budget = Budget::default();
        budget.learn(limit(3600, 13), start);
        for _ in 0..3 {
            assert_eq!(budget.admit(10, start), Ok(()));
        }
        let pause = budget.admit(10, start).unwrap_err();
        assert!(
            (1.0..1.01).contains(&pause.as_secs_f64()),
            "one request refills in a second, not in {pause:?}"
        );
        assert_eq!(budget.admit(10, start + pause), Ok(()));
        assert!(budget.admit(10, start + pause).is_err());
    }

    #[test]
    fn exhausted_bucket_refills_the_reserve_first() {
        let start = Instant::now();
        let mut budget = Budget::default();
        budget.learn(limit(7200, 0), start);
        let pause = budget.admit(9, start).unwrap_err();
        assert!(
            (5.0..5.01).contains(&pause.as_secs_f64()),
            "ten requests at two a second, not {pause:?}"
        );
        assert_eq!(budget.last(), Some(limit(7200, 0)));
    }

    #[test]
    fn small_bucket_is_not_all_reserve() {
        let start = Instant::now();
        let mut budget = Budget::default();
        budget.learn(limit(20, 4), start);
        assert_eq!(budget.admit(10, start), Ok(()));
        assert_eq!(budget.admit(10, start), Ok(()));
        assert!(budget.admit(10, start).is_err());
    }

    #[test]
    fn bucket_never_grows_beyond_its_size() {
        let start = Instant::now();
        let mut budget = Budget::default();
        budget.learn(limit(30, 30), start);
        let later = start + Duration::from_secs(86_400);
        let passed = (0..100).take_while(|_| budget.admit(0, later).is_ok()).count();
        assert_eq!(passed, 30);
    }

    #[test]
    fn headers_are_read_only_if_complete() {
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit-limit", "3600".parse().unwrap());
        headers.insert("ratelimit-remaining", "3599".parse().unwrap());
        assert_eq!(RateLimit::from_headers(&headers), None);
        headers.insert("ratelimit-reset", "1700000000".parse().unwrap());
        let read = RateLimit::from_headers(&headers).unwrap();
        assert_eq!(
            (read.limit, read.remaining, read.reset.as_second()),
            (3600, 3599, 1_700_000_000)
        );
    }
}
