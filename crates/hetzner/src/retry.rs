//! Decides which requests are retried, and after which pause. Pure: the failure and a random number
//! come in, a pause comes out.
//!
//! The API has no idempotency keys. A request that may have been carried out is therefore retried
//! only if it is idempotent (GET, PUT, DELETE), and a POST only if it certainly was not carried
//! out. `creation` goes further for resources with unique names.

use std::time::Duration;

use reqwest::{Method, StatusCode};

use crate::error::{Code, Error};

/// Limits of retries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    /// Retries after failures of the network, the gateway or the rate limit.
    pub(crate) retries: u32,
    /// Retries because an action runs on the resource.
    pub(crate) locked_retries: u32,
    pub(crate) backoff: Backoff,
}

/// Exponential backoff with full jitter: a random pause between none and a ceiling that doubles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    /// Ceiling of the first pause.
    pub(crate) base: Duration,
    /// The highest ceiling.
    pub(crate) cap: Duration,
}

impl Backoff {
    /// The pause before retry number `attempt` (from 0), for a random number between 0 and 1.
    pub(crate) fn pause(&self, attempt: u32, chance: f64) -> Duration {
        let ceiling = self.base.saturating_mul(2u32.saturating_pow(attempt)).min(self.cap);
        ceiling.mul_f64(chance.clamp(0.0, 1.0))
    }
}

/// The retries of one call so far.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    failures: u32,
    locked: u32,
}

impl Policy {
    /// The pause before the next retry, or `None` if there must be none.
    pub(crate) fn pause(
        &self,
        retries: &mut Retries,
        method: &Method,
        error: &Error,
        chance: f64,
    ) -> Option<Duration> {
        let (count, most) = match reason(method, error)? {
            Because::Locked => (&mut retries.locked, self.locked_retries),
            Because::Failed => (&mut retries.failures, self.retries),
        };
        if *count >= most {
            return None;
        }
        let pause = self.backoff.pause(*count, chance);
        *count += 1;
        Some(pause)
    }
}

/// Why a request is retried.
enum Because {
    Failed,
    Locked,
}

fn reason(method: &Method, error: &Error) -> Option<Because> {
    if error.is_locked() {
        return Some(Because::Locked);
    }
    let is_idempotent = *method != Method::POST;
    let safe = match error {
        Error::Transport { sent, .. } => is_idempotent || !sent,
        Error::Api(error) => {
            error.status == StatusCode::TOO_MANY_REQUESTS
                || error.code == Code::Conflict
                || (is_idempotent && error.is_gateway())
        }
        _ => false,
    };
    safe.then_some(Because::Failed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::{ApiError, RequestLine};

    const POLICY: Policy = Policy {
        retries: 2,
        locked_retries: 4,
        backoff: Backoff { base: Duration::from_millis(500), cap: Duration::from_secs(30) },
    };

    fn refusal(status: u16, code: &str) -> Error {
        let body = format!(r#"{{"error":{{"code":"{code}","message":"no","details":null}}}}"#);
        let line = RequestLine { method: Method::GET, path: "/servers".into() };
        let status = StatusCode::from_u16(status).unwrap();
        Error::Api(Box::new(ApiError::read(line, status, body.as_bytes(), None, None)))
    }

    fn retries(method: Method, error: &Error) -> usize {
        let mut retries = Retries::default();
        (0..100).take_while(|_| POLICY.pause(&mut retries, &method, error, 0.5).is_some()).count()
    }

    #[test]
    fn rate_limit_and_conflict_are_retried_for_any_method() {
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::POST] {
            assert_eq!(
                retries(method.clone(), &refusal(429, "rate_limit_exceeded")),
                2,
                "{method}"
            );
            assert_eq!(retries(method.clone(), &refusal(409, "conflict")), 2, "{method}");
        }
    }

    #[test]
    fn post_is_never_retried_after_a_gateway_failure() {
        for (status, code) in [(502, "bad_gateway"), (503, "unavailable"), (504, "timeout")] {
            for method in [Method::GET, Method::PUT, Method::DELETE] {
                assert_eq!(retries(method.clone(), &refusal(status, code)), 2, "{method} {status}");
            }
            assert_eq!(retries(Method::POST, &refusal(status, code)), 0, "{status}");
        }
    }

    #[test]
    fn locked_resource_has_a_limit_of_its_own_and_protection_is_no_lock() {
        assert_eq!(retries(Method::POST, &refusal(423, "locked")), 4);
        assert_eq!(retries(Method::DELETE, &refusal(423, "locked")), 4);
        assert_eq!(retries(Method::DELETE, &refusal(423, "protected")), 0);
    }

    #[test]
    fn permanent_refusals_are_not_retried() {
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
            assert_eq!(retries(Method::GET, &refusal(status, code)), 0, "{code}");
        }
    }

    #[tokio::test]
    async fn unsent_request_is_retried_for_any_method() {
        // Bound, so that no other process gets the port, but not listening.
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
            let line = RequestLine { method: Method::POST, path: "/servers".into() };
            let error = Error::Transport { line, endpoint: String::new(), sent, source };
            assert_eq!(
                (retries(Method::POST, &error), retries(Method::DELETE, &error)),
                (post, 2),
                "sent: {sent}"
            );
        }
    }

    proptest! {
        #[test]
        fn pause_stays_between_none_and_its_ceiling(
            attempt in 0u32..,
            base in 1u64..5_000,
            cap in 1u64..120_000,
            chance in 0.0f64..=1.0,
        ) {
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
        fn pauses_use_the_full_range_and_ceilings_never_fall(
            attempt in 0u32..40, base in 1u64..5_000, cap in 1u64..120_000,
        ) {
            let (min, max) = (Duration::from_millis(base), Duration::from_millis(cap));
            let backoff = Backoff { base: min, cap: max };
            let ceiling = backoff.pause(attempt, 1.0);
            let expected = (u128::from(base) << attempt).min(u128::from(cap));
            prop_assert_eq!(ceiling.as_millis(), expected);
            prop_assert!(backoff.pause(attempt + 1, 1.0) >= ceiling);
        }

        #[test]
        fn pause_stays_within_the_limit_for_any_number(
            attempt in 0u32..40, chance in proptest::num::f64::ANY,
        ) {
            prop_assume!(!chance.is_nan());
            prop_assert!(POLICY.backoff.pause(attempt, chance) <= POLICY.backoff.cap);
        }
    }
}
