//! The client: endpoint, token and timeouts. `resources.rs` adds the kinds of resources.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use crate::audit::Listener;
use crate::breaker::{Breaker, Pauses};
use crate::budget::{Budget, RateLimit};
use crate::calls::{ApiUse, Calls};
use crate::date::ClockOffset;
use crate::error::{Error, Result};
use crate::retry::{Backoff, Policy};

/// The public API.
pub const DEFAULT_ENDPOINT: &str = "https://api.hetzner.cloud/v1";
/// The environment variable for another endpoint, in all tools for this cloud.
pub const ENDPOINT_VARIABLE: &str = "HCLOUD_ENDPOINT";
/// The environment variable that holds the token, in all tools for this cloud.
pub const TOKEN_VARIABLE: &str = "HCLOUD_TOKEN";

const USER_AGENT: &str = concat!("dockbridge/", env!("CARGO_PKG_VERSION"));

/// The API answers a handshake in tens of milliseconds, so a connection that takes longer than this
/// fails.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// After this long without an answer a user at a terminal is informed.
pub(crate) const NOTICE_AFTER: Duration = Duration::from_secs(3);

/// After a pause a laptop may have slept or changed its network, and an idle connection may be dead
/// without notice.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Timeouts and retries of a client.
#[derive(Debug, Clone)]
pub struct Config {
    /// Pause before the first poll of running actions. It doubles with each poll: a short action is
    /// seen to end soon, and a long one costs few requests.
    pub poll_interval: Duration,
    /// The longest pause between two polls of running actions.
    pub longest_poll_interval: Duration,
    /// How long [`Client::wait`] waits for all actions together.
    pub action_timeout: Duration,
    /// How long one request may take, reply included. The cloud may have carried out a request that
    /// timed out.
    pub request_timeout: Duration,
    /// A call whose requests get no answer at all fails after this long, retries included.
    pub longest_silence: Duration,
    /// How often a request is retried after failures of the network, the gateway or the rate limit.
    pub retries: u32,
    /// How often a request is retried because an action locks the resource. With the default
    /// backoff eight retries last 45 s on average, longer than the creation of a server.
    pub locked_retries: u32,
    /// Ceiling of the pause before the first retry. It doubles with each retry. The pause itself is
    /// random between none and the ceiling.
    pub backoff: Duration,
    /// The longest ceiling of a pause before a retry.
    pub longest_backoff: Duration,
    /// Requests of the rate budget that are left to other users of the project. Below it, requests
    /// are sent only as fast as the budget refills.
    pub rate_reserve: u32,
    /// The circuit breaker's first pause: after several calls in a row without an answer no request
    /// is sent for this long. Then a single request tries, and each failure doubles the pause.
    pub outage_pause: Duration,
    /// The longest such pause: a client that waits for a machine notices the end of an outage
    /// within this time.
    pub longest_outage_pause: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_millis(200),
            longest_poll_interval: Duration::from_secs(5),
            action_timeout: Duration::from_secs(600),
            request_timeout: Duration::from_secs(30),
            longest_silence: Duration::from_secs(20),
            retries: 5,
            locked_retries: 8,
            backoff: Duration::from_millis(500),
            longest_backoff: Duration::from_secs(30),
            rate_reserve: 10,
            outage_pause: Duration::from_secs(5),
            longest_outage_pause: Duration::from_secs(30),
        }
    }
}

impl Config {
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            retries: self.retries,
            locked_retries: self.locked_retries,
            backoff: Backoff { base: self.backoff, cap: self.longest_backoff },
        }
    }

    pub(crate) fn pauses(&self) -> Pauses {
        Pauses {
            first: self.outage_pause,
            longest: self.longest_outage_pause,
            trial: self.request_timeout,
        }
    }
}

/// A client of the API of one project. Clones share connections, rate budget and circuit breaker.
#[derive(Clone)]
pub struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) config: Config,
    pub(crate) project: Arc<Project>,
    /// Receives changes for an audit log.
    pub(crate) listener: Option<Listener>,
    /// Called with the endpoint after a call has waited for an answer for [`NOTICE_AFTER`].
    pub(crate) waits: Option<fn(&str)>,
}

pub(crate) struct Project {
    /// Without a slash at the end.
    pub(crate) endpoint: String,
    pub(crate) token: SecretString,
    pub(crate) budgets: Mutex<Budgets>,
    pub(crate) breaker: Mutex<Breaker>,
    pub(crate) clock: ClockOffset,
    pub(crate) calls: Calls,
}

/// The API counts requests for actions in a separate bucket.
#[derive(Default)]
pub(crate) struct Budgets {
    pub(crate) actions: Budget,
    pub(crate) others: Budget,
}

impl Client {
    /// A client of the project that the token belongs to. Sends nothing yet.
    pub fn new(endpoint: Url, token: SecretString) -> Result<Self> {
        if !matches!(endpoint.scheme(), "http" | "https") {
            return Err(Error::Endpoint { endpoint: endpoint.into() });
        }
        authorization(&token)?;
        // The API never redirects. Following a redirect would send requests to another party.
        let mut http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false);
        // The same for a connection in use: without it, an unanswered request lasts until its own
        // timeout.
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        {
            http = http.tcp_user_timeout(CONNECT_TIMEOUT);
        }
        if is_this_host(&endpoint) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|source| Error::Setup { source })?;
        let endpoint = endpoint.as_str().trim_end_matches('/').to_owned();
        let project = Project {
            endpoint,
            token,
            budgets: Mutex::default(),
            breaker: Mutex::default(),
            clock: ClockOffset::default(),
            calls: Calls::default(),
        };
        Ok(Self {
            http,
            config: Config::default(),
            project: Arc::new(project),
            listener: None,
            waits: None,
        })
    }

    /// The same client with other timeouts and retries.
    pub fn with(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// The same client, which reports every call that may have changed the cloud to the listener.
    pub fn reporting_to(self, listener: Listener) -> Self {
        Self { listener: Some(listener), ..self }
    }

    /// Seconds by which this computer's clock is ahead of the cloud's, by the last answer; negative
    /// if it is behind.
    pub fn clock_offset(&self) -> Option<i64> {
        self.project.clock.seconds()
    }

    /// The same client, which calls `say` with the API's address each time a request has waited for
    /// an answer for 3 s.
    pub fn saying(self, say: fn(&str)) -> Self {
        Self { waits: Some(say), ..self }
    }

    /// The rate budget in the last reply; of the two buckets that the API keeps, the emptier one.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.budgets(|budgets| {
            let buckets = [budgets.others.last(), budgets.actions.last()];
            buckets.into_iter().flatten().min_by_key(|limit| limit.remaining)
        })
    }

    /// The requests that were sent so far, with the rate budget that is left.
    pub fn api_use(&self) -> ApiUse {
        ApiUse { rate: self.rate_limit(), ..self.project.calls.so_far() }
    }

    pub(crate) fn budgets<T>(&self, work: impl FnOnce(&mut Budgets) -> T) -> T {
        work(&mut self.project.budgets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn breaker<T>(&self, work: impl FnOnce(&mut Breaker) -> T) -> T {
        work(&mut self.project.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn authorization(&self) -> Result<HeaderValue> {
        authorization(&self.project.token)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.project.endpoint)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn authorization(token: &SecretString) -> Result<HeaderValue> {
    let token = token.expose_secret();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::Token);
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Error::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Requests to this computer never use a proxy.
fn is_this_host(endpoint: &Url) -> bool {
    match endpoint.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Url {
        DEFAULT_ENDPOINT.parse().unwrap()
    }

    #[test]
    fn debug_output_shows_no_token() {
        let client = Client::new(endpoint(), "wohlgehuetet".into()).unwrap();
        let shown =
            format!("{client:#?} {:?} {:?}", client.servers(), client.authorization().unwrap());
        assert!(!shown.contains("wohlgehuetet"), "{shown}");
        assert!(shown.contains(DEFAULT_ENDPOINT), "{shown}");
    }

    #[test]
    fn unusable_token_is_refused_without_showing_it() {
        for token in ["", "with space", "with\nbreak", "ümlaut"] {
            let error = Client::new(endpoint(), token.into()).unwrap_err();
            assert!(matches!(error, Error::Token), "{token}: {error}");
        }
    }

    #[test]
    fn endpoint_must_be_an_http_address() {
        let error =
            Client::new("ftp://example.com/v1".parse().unwrap(), "token".into()).unwrap_err();
        assert!(matches!(error, Error::Endpoint { .. }), "{error}");
    }

    #[test]
    fn only_loopback_bypasses_a_proxy() {
        for (address, local) in [
            ("http://127.0.0.1:80/v1", true),
            ("http://[::1]:80/v1", true),
            ("http://localhost/v1", true),
            ("http://10.0.0.1/v1", false),
            (DEFAULT_ENDPOINT, false),
        ] {
            assert_eq!(is_this_host(&address.parse().unwrap()), local, "{address}");
        }
    }
}
