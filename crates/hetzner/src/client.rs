//! The client itself: where the API is, with which token, and how patient. What is asked lives with
//! each resource.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use crate::audit::Listener;
use crate::breaker::{Breaker, Pauses};
use crate::budget::{Budget, RateLimit};
use crate::date::ClockOffset;
use crate::error::{Error, Result};
use crate::resource::Resources;
use crate::retry::{Backoff, Policy};
use crate::{
    Firewalls, Images, Locations, Pricing, PrimaryIps, ServerTypes, Servers, SshKeys, Volumes,
};

/// The public API.
pub const DEFAULT_ENDPOINT: &str = "https://api.hetzner.cloud/v1";
/// The environment variable that names another endpoint, in all tools for this cloud.
pub const ENDPOINT_VARIABLE: &str = "HCLOUD_ENDPOINT";
/// The environment variable that holds the token, in all tools for this cloud.
pub const TOKEN_VARIABLE: &str = "HCLOUD_TOKEN";

const USER_AGENT: &str = concat!("dockbridge/", env!("CARGO_PKG_VERSION"));

/// A connection that is not there by then is not coming: the API answers a handshake in tens of
/// milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Someone who waits at a terminal hears after so long for what.
pub(crate) const SAID_AFTER: Duration = Duration::from_secs(3);

/// After a pause, a laptop may have slept or changed its network, and a kept connection may be dead
/// without anyone having said so.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// How patient a client is.
#[derive(Debug, Clone)]
pub struct Config {
    /// Pause before the first look at running actions; it doubles with each look, so that a short
    /// action is seen to end soon and a long one costs few requests.
    pub poll_interval: Duration,
    /// No pause between two looks at running actions is longer.
    pub longest_poll_interval: Duration,
    /// How long [`Client::wait`] waits for actions in all.
    pub action_timeout: Duration,
    /// How long one request may take, reply included, where the API has sent something. A timed-out
    /// request may have been carried out.
    pub request_timeout: Duration,
    /// A call whose requests get no answer at all is given up after so long, repeats included.
    pub longest_silence: Duration,
    /// How often a request is repeated after failures of the network, the gateway or the rate
    /// limit.
    pub retries: u32,
    /// How often a request is repeated because the resource is locked by an action. With the
    /// default backoff eight repeats last 45 s on average, longer than the creation of a server.
    pub locked_retries: u32,
    /// Ceiling of the first pause before a repeat; it doubles with each. The pause itself is
    /// anything between none and the ceiling.
    pub backoff: Duration,
    /// No pause before a repeat is longer.
    pub longest_backoff: Duration,
    /// Requests of the rate budget that are left to others: below it, we send only as fast as the
    /// budget refills.
    pub rate_reserve: u32,
    /// After calls in a row without an answer the API is not asked for so long; then a single
    /// request tries, and each that fails doubles the pause.
    pub outage_pause: Duration,
    /// No such pause is longer: whoever waits for a machine learns of the end of an outage within
    /// this time.
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

/// The API of one project. Clones share connections, the rate budget, and what is known of an
/// outage.
#[derive(Clone)]
pub struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) config: Config,
    pub(crate) project: Arc<Project>,
    /// Who keeps an audit log.
    pub(crate) listener: Option<Listener>,
    /// Called with the endpoint when a call has waited for an answer for [`SAID_AFTER`].
    pub(crate) waits: Option<fn(&str)>,
}

pub(crate) struct Project {
    /// Without a slash at the end.
    pub(crate) endpoint: String,
    pub(crate) token: SecretString,
    pub(crate) budgets: Mutex<Budgets>,
    pub(crate) breaker: Mutex<Breaker>,
    pub(crate) clock: ClockOffset,
}

/// The API counts requests for actions in a bucket of their own.
#[derive(Default)]
pub(crate) struct Budgets {
    pub(crate) actions: Budget,
    pub(crate) others: Budget,
}

impl Client {
    /// A client of the project that the token belongs to. Nothing is sent yet.
    pub fn new(endpoint: Url, token: SecretString) -> Result<Self> {
        if !matches!(endpoint.scheme(), "http" | "https") {
            return Err(Error::Endpoint { endpoint: endpoint.into() });
        }
        authorization(&token)?;
        // The API never redirects; following one would send requests, if not the token, to a
        // stranger.
        let mut http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false);
        // The same for a connection that is in use: without it, an unanswered request lasts until
        // its own timeout.
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
        };
        Ok(Self {
            http,
            config: Config::default(),
            project: Arc::new(project),
            listener: None,
            waits: None,
        })
    }

    /// The same client with another patience.
    pub fn with(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// The same client; every call that may have changed the cloud is reported to the listener.
    pub fn reporting_to(self, listener: Listener) -> Self {
        Self { listener: Some(listener), ..self }
    }

    /// Seconds by which this computer's clock is ahead of the cloud's, by the last answer; negative
    /// where it is behind.
    pub fn clock_offset(&self) -> Option<i64> {
        self.project.clock.seconds()
    }

    /// The same client, which calls `say` with the API's address each time that a request has
    /// waited for an answer for three seconds.
    pub fn saying(self, say: fn(&str)) -> Self {
        Self { waits: Some(say), ..self }
    }

    /// Servers.
    pub fn servers(&self) -> Servers {
        Resources::new(self)
    }

    /// Volumes.
    pub fn volumes(&self) -> Volumes {
        Resources::new(self)
    }

    /// SSH keys.
    pub fn ssh_keys(&self) -> SshKeys {
        Resources::new(self)
    }

    /// Images.
    pub fn images(&self) -> Images {
        Resources::new(self)
    }

    /// Firewalls.
    pub fn firewalls(&self) -> Firewalls {
        Resources::new(self)
    }

    /// Primary IPs.
    pub fn primary_ips(&self) -> PrimaryIps {
        Resources::new(self)
    }

    /// Server types.
    pub fn server_types(&self) -> ServerTypes {
        Resources::new(self)
    }

    /// Locations.
    pub fn locations(&self) -> Locations {
        Resources::new(self)
    }

    /// What everything costs.
    pub async fn pricing(&self) -> Result<Pricing> {
        self.read("/pricing".into(), "pricing").await
    }

    /// The rate budget as last told; of the two buckets that the API keeps, the emptier one.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.budgets(|budgets| {
            let told = [budgets.others.last(), budgets.actions.last()];
            told.into_iter().flatten().min_by_key(|limit| limit.remaining)
        })
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

/// What listens on this host is never behind a proxy.
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
    fn the_token_is_in_no_debug_output() {
        let client = Client::new(endpoint(), "wohlgehuetet".into()).unwrap();
        let shown =
            format!("{client:#?} {:?} {:?}", client.servers(), client.authorization().unwrap());
        assert!(!shown.contains("wohlgehuetet"), "{shown}");
        assert!(shown.contains(DEFAULT_ENDPOINT), "{shown}");
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_refused_without_showing_it() {
        for token in ["", "with space", "with\nbreak", "ümlaut"] {
            let error = Client::new(endpoint(), token.into()).unwrap_err();
            assert!(matches!(error, Error::Token), "{token}: {error}");
        }
    }

    #[test]
    fn an_endpoint_must_speak_http() {
        let error =
            Client::new("ftp://example.com/v1".parse().unwrap(), "token".into()).unwrap_err();
        assert!(matches!(error, Error::Endpoint { .. }), "{error}");
    }

    #[test]
    fn only_loopback_goes_round_a_proxy() {
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
