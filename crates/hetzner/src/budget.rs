//! How many requests may still be sent. The API counts per project with a bucket that refills
//! steadily and tells its level in every reply; here the level between replies is estimated, and
//! whoever would spend the last few waits. Time comes in as an argument.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;
use tokio::time::Instant;

/// The bucket is full after this time, whatever its size: 3600 requests an hour refill at one a
/// second.
const REFILL: Duration = Duration::from_secs(3600);

/// What the API tells about its rate limit in every reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Size of the bucket.
    pub limit: u32,
    /// Requests that are left.
    pub remaining: u32,
    /// When the bucket is full again.
    pub reset: Timestamp,
}

impl RateLimit {
    /// Reads `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset`; none without all
    /// three.
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
    told: Option<Told>,
}

#[derive(Debug)]
struct Told {
    limit: RateLimit,
    /// Requests left at `at`, less those sent since.
    level: f64,
    at: Instant,
}

impl Budget {
    /// What the last reply told.
    pub(crate) fn last(&self) -> Option<RateLimit> {
        self.told.as_ref().map(|told| told.limit)
    }

    /// Takes in what a reply told.
    pub(crate) fn learn(&mut self, limit: RateLimit, now: Instant) {
        self.told = Some(Told { limit, level: f64::from(limit.remaining), at: now });
    }

    /// Takes one request out of the bucket, or tells how long to wait before asking again. The last
    /// `reserve` requests (but never more than a tenth of the bucket) are only touched as they
    /// refill: others work in the same project too.
    pub(crate) fn admit(&mut self, reserve: u32, now: Instant) -> Result<(), Duration> {
        let Some(told) = &mut self.told else { return Ok(()) };
        let size = f64::from(told.limit.limit);
        let reserve = f64::from(reserve).min(size / 10.0);
        let per_second = size / REFILL.as_secs_f64();
        told.level = (told.level
            + now.saturating_duration_since(told.at).as_secs_f64() * per_second)
            .min(size);
        told.at = now;
        let missing = reserve + 1.0 - told.level;
        if missing <= 0.0 || size == 0.0 {
            told.level -= 1.0;
            return Ok(());
        }
        // A millisecond more, so that rounding never makes the next question come too early.
        Err(Duration::from_secs_f64(missing / per_second) + Duration::from_millis(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(limit: u32, remaining: u32) -> RateLimit {
        RateLimit { limit, remaining, reset: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn nothing_is_held_back_before_the_first_reply() {
        let mut budget = Budget::default();
        assert_eq!(budget.admit(10, Instant::now()), Ok(()));
        assert_eq!(budget.last(), None);
    }

    #[test]
    fn requests_pass_down_to_the_reserve_and_then_at_the_pace_of_the_refill() {
        let start = Instant::now();
        let mut budget = Budget::default();
        budget.learn(told(3600, 13), start);
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
    fn an_exhausted_bucket_waits_for_the_reserve_too() {
        let start = Instant::now();
        let mut budget = Budget::default();
        budget.learn(told(7200, 0), start);
        let pause = budget.admit(9, start).unwrap_err();
        assert!(
            (5.0..5.01).contains(&pause.as_secs_f64()),
            "ten requests at two a second, not {pause:?}"
        );
        assert_eq!(budget.last(), Some(told(7200, 0)));
    }

    #[test]
    fn a_small_bucket_is_not_all_reserve() {
        let start = Instant::now();
        let mut budget = Budget::default();
        budget.learn(told(20, 4), start);
        assert_eq!(budget.admit(10, start), Ok(()));
        assert_eq!(budget.admit(10, start), Ok(()));
        assert!(budget.admit(10, start).is_err());
    }

    #[test]
    fn a_bucket_never_grows_beyond_its_size() {
        let start = Instant::now();
        let mut budget = Budget::default();
        budget.learn(told(30, 30), start);
        let later = start + Duration::from_secs(86_400);
        let passed = (0..100).take_while(|_| budget.admit(0, later).is_ok()).count();
        assert_eq!(passed, 30);
    }

    #[test]
    fn headers_are_read_only_when_complete() {
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
