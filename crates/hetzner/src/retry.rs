//! What may be repeated, and after how long. Pure: the failure and the chance come in, a pause
//! comes out.
//!
//! The API has no idempotency keys. A request that may have been carried out is therefore repeated
//! only if carrying it out twice is the same as once (GET, PUT, DELETE); a POST only if it
//! certainly was not. `creation` goes further for resources with unique names.

use std::time::Duration;

use reqwest::{Method, StatusCode};

use crate::error::{Code, Error};

/// Bounds of repeating.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// Repeats after failures of the network, the gateway or the rate limit.
    pub(crate) retries: u32,
    /// Repeats because an action runs on the resource.
    pub(crate) locked_retries: u32,
    pub(crate) backoff: Backoff,
}

/// Exponential backoff with full jitter: any pause between none and a ceiling that doubles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    /// Ceiling of the first pause.
    pub(crate) base: Duration,
    /// No pause is longer.
    pub(crate) cap: Duration,
}

impl Backoff {
    /// The pause before repeat number `attempt` (from 0), for a `chance` between 0 and 1.
    pub(crate) fn pause(&self, attempt: u32, chance: f64) -> Duration {
        let ceiling = self.base.saturating_mul(2u32.saturating_pow(attempt)).min(self.cap);
        ceiling.mul_f64(chance.clamp(0.0, 1.0))
    }
}

/// What has been repeated so far, for one call.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    failures: u32,
    locked: u32,
}

impl Policy {
    /// The pause before the request is sent again, or `None` if it must not be (or not any more).
    pub(crate) fn pause(
        &self,
        repeats: &mut Repeats,
        method: &Method,
        error: &Error,
        chance: f64,
    ) -> Option<Duration> {
        let (count, most) = match wants(method, error)? {
            Wants::Unlocked => (&mut repeats.locked, self.locked_retries),
            Wants::Better => (&mut repeats.failures, self.retries),
        };
        if *count >= most {
            return None;
        }
        let pause = self.backoff.pause(*count, chance);
        *count += 1;
        Some(pause)
    }
}

/// What a repeat hopes for.
enum Wants {
    Better,
    Unlocked,
}

fn wants(method: &Method, error: &Error) -> Option<Wants> {
    if error.is_locked() {
        return Some(Wants::Unlocked);
    }
    let repeatable = *method != Method::POST;
    let safe = match error {
        Error::Transport { sent, .. } => repeatable || !sent,
        Error::Api(error) => {
            error.status == StatusCode::TOO_MANY_REQUESTS
                || error.code == Code::Conflict
                || (repeatable && error.is_gateway())
        }
        _ => false,
    };
    safe.then_some(Wants::Better)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::{ApiError, Operation};

    const POLICY: Policy = Policy {
        retries: 2,
        locked_retries: 4,
        backoff: Backoff { base: Duration::from_millis(500), cap: Duration::from_secs(30) },
    };

    fn refusal(status: u16, code: &str) -> Error {
        let body = format!(r#"{{"error":{{"code":"{code}","message":"no","details":null}}}}"#);
        let operation = Operation { method: Method::GET, path: "/servers".into() };
        let status = StatusCode::from_u16(status).unwrap();
        Error::Api(Box::new(ApiError::read(operation, status, body.as_bytes(), None, None)))
    }

    fn repeats(method: Method, error: &Error) -> usize {
        let mut repeats = Repeats::default();
        (0..100).take_while(|_| POLICY.pause(&mut repeats, &method, error, 0.5).is_some()).count()
    }

    #[test]
    fn a_busy_api_is_asked_again_whatever_the_method() {
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::POST] {
            assert_eq!(
                repeats(method.clone(), &refusal(429, "rate_limit_exceeded")),
                2,
                "{method}"
            );
            assert_eq!(repeats(method.clone(), &refusal(409, "conflict")), 2, "{method}");
        }
    }

    #[test]
    fn a_gateway_failure_never_repeats_a_post() {
        for (status, code) in [(502, "bad_gateway"), (503, "unavailable"), (504, "timeout")] {
            for method in [Method::GET, Method::PUT, Method::DELETE] {
                assert_eq!(repeats(method.clone(), &refusal(status, code)), 2, "{method} {status}");
            }
            assert_eq!(repeats(Method::POST, &refusal(status, code)), 0, "{status}");
        }
    }

    #[test]
    fn a_lock_has_a_bound_of_its_own_and_protection_is_no_lock() {
        assert_eq!(repeats(Method::POST, &refusal(423, "locked")), 4);
        assert_eq!(repeats(Method::DELETE, &refusal(423, "locked")), 4);
        assert_eq!(repeats(Method::DELETE, &refusal(423, "protected")), 0);
    }

    #[test]
    fn refusals_that_would_only_come_again_are_final() {
        for (status, code) in [
            (400, "json_error"),
            (401, "unauthorized"),
            (403, "token_readonly"),
            (404, "not_found"),
            (409, "uniqueness_error"),
            (412, "resource_unavailable"),
            (422, "invalid_input"),
            (500, "server_error"),
        ] {
            assert_eq!(repeats(Method::GET, &refusal(status, code)), 0, "{code}");
        }
    }

    #[tokio::test]
    async fn what_was_never_sent_is_sent_again_whatever_the_method() {
        // Bound, so that nobody else gets the port, but not listening.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        for (sent, post) in [(false, 2), (true, 0)] {
            let source = http
                .get(format!("http://{}", socket.local_addr().unwrap()))
                .send()
                .await
                .unwrap_err();
            assert!(source.is_connect(), "{source:?}");
            let operation = Operation { method: Method::POST, path: "/servers".into() };
            let error = Error::Transport { operation, endpoint: String::new(), sent, source };
            assert_eq!(
                (repeats(Method::POST, &error), repeats(Method::DELETE, &error)),
                (post, 2),
                "sent: {sent}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_pause_stays_between_none_and_its_ceiling(attempt in 0u32.., base in 1u64..5_000, cap in 1u64..120_000, chance in 0.0f64..=1.0) {
            let (base, cap) = (Duration::from_millis(base), Duration::from_millis(cap));
            let backoff = Backoff { base, cap };
            let pause = backoff.pause(attempt, chance);
            prop_assert!(pause <= cap);
            if attempt < 16 {
                prop_assert!(pause <= base * 2u32.pow(attempt));
            }
            prop_assert_eq!(backoff.pause(attempt, 0.0), Duration::ZERO);
        }

        #[test]
        fn the_full_range_is_used_and_ceilings_never_fall(attempt in 0u32..40, base in 1u64..5_000, cap in 1u64..120_000) {
            let backoff = Backoff { base: Duration::from_millis(base), cap: Duration::from_millis(cap) };
            let ceiling = backoff.pause(attempt, 1.0);
            let expected = (u128::from(base) << attempt).min(u128::from(cap));
            prop_assert_eq!(ceiling.as_millis(), expected);
            prop_assert!(backoff.pause(attempt + 1, 1.0) >= ceiling);
        }

        #[test]
        fn no_chance_whatever_leaves_the_bounds(attempt in 0u32..40, chance in proptest::num::f64::ANY) {
            prop_assume!(!chance.is_nan());
            prop_assert!(POLICY.backoff.pause(attempt, chance) <= POLICY.backoff.cap);
        }
    }
}
