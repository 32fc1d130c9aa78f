//! Sends one request: retries where `retry` allows it, waits where `budget` asks for it, and sends
//! nothing while `breaker` forbids it. Knows JSON and HTTP, no resource.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, DATE, HeaderName, LOCATION};
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::audit::Change;
use crate::breaker::{Admission, Outcome};
use crate::budget::{Budget, RateLimit};
use crate::client::{Budgets, Client, NOTICE_AFTER};
use crate::error::{Error, RequestLine, Result};
use crate::reply::Reply;
use crate::retry::Retries;

/// How often a call that waits for the breaker's trial polls its outcome.
const TRIAL_POLL: Duration = Duration::from_millis(50);

/// A request.
pub(crate) struct Request {
    pub(crate) line: RequestLine,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
}

impl Request {
    pub(crate) fn new(method: Method, path: String) -> Self {
        Self { line: RequestLine { method, path }, query: Vec::new(), body: None }
    }

    pub(crate) fn query(mut self, query: Vec<(&'static str, String)>) -> Self {
        self.query = query;
        self
    }

    pub(crate) fn body(mut self, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_value(body)
            .map_err(|source| Error::Decode { line: self.line.clone(), source })?;
        self.body = Some(body);
        Ok(self)
    }

    fn bucket<'a>(&self, budgets: &'a mut Budgets) -> &'a mut Budget {
        if self.line.path == "/actions" { &mut budgets.actions } else { &mut budgets.others }
    }
}

impl Client {
    /// GET, and the object under `key`.
    pub(crate) async fn read<T: DeserializeOwned>(&self, path: String, key: &str) -> Result<T> {
        self.ask(Request::new(Method::GET, path), key).await
    }

    /// POST, and the object under `key`.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: String,
        body: &impl Serialize,
        key: &str,
    ) -> Result<T> {
        self.ask(Request::new(Method::POST, path).body(body)?, key).await
    }

    /// Sends a request, and the object under `key` of the reply.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, request: Request, key: &str) -> Result<T> {
        let reply = self.send(&request).await?;
        take(request.line, reply, key)
    }

    /// Sends a request, and retries it while that is safe.
    pub(crate) async fn send(&self, request: &Request) -> Result<Value> {
        let is_trial = self.let_through(request).await?;
        let policy = self.config.policy();
        let mut retries = Retries::default();
        let mut silent_since = Instant::now();
        loop {
            self.admitted(request).await;
            let left = self.config.longest_silence.saturating_sub(silent_since.elapsed());
            let sent = self.send_once(request, left).await;
            self.project.calls.count(&sent);
            if let Some(listener) = &self.listener
                && let Some(change) = Change::of(&request.line, request.body.as_ref(), &sent)
            {
                listener(&change);
            }
            let error = match sent {
                Ok(reply) => {
                    self.learn(Outcome::Answered);
                    return Ok(reply);
                }
                Err(error) => error,
            };
            if !matches!(error, Error::Transport { .. }) {
                silent_since = Instant::now();
            }
            let has_time =
                |pause: &Duration| silent_since.elapsed() + *pause < self.config.longest_silence;
            let pause = policy.pause(&mut retries, &request.line.method, &error, rand::random());
            let pause = pause.filter(|pause| !is_trial && has_time(pause));
            let Some(pause) = pause else {
                self.learn(error.outcome());
                return Err(error);
            };
            tracing::debug!(%error, ?pause, "retrying the request to the cloud");
            sleep(pause).await;
        }
    }

    /// Asks the breaker. Returns whether the call is a trial, which is not retried.
    async fn let_through(&self, request: &Request) -> Result<bool> {
        loop {
            match self.breaker(|breaker| breaker.admit(self.config.pauses(), Instant::now())) {
                Admission::Free => return Ok(false),
                Admission::Trial => return Ok(true),
                Admission::Wait => sleep(TRIAL_POLL).await,
                Admission::Refused { failures, again_in } => {
                    return Err(Error::Suspended {
                        line: request.line.clone(),
                        failures,
                        again_in,
                    });
                }
            }
        }
    }

    fn learn(&self, outcome: Outcome) {
        self.breaker(|breaker| breaker.learn(outcome, self.config.pauses(), Instant::now()));
    }

    async fn admitted(&self, request: &Request) {
        while let Err(pause) = self.budgets(|budgets| {
            request.bucket(budgets).admit(self.config.rate_reserve, Instant::now())
        }) {
            let request = &request.line;
            tracing::info!(%request, ?pause, "the cloud's rate budget is nearly used up");
            sleep(pause).await;
        }
    }

    /// Sends one request, which may stay without an answer for `silence`.
    async fn send_once(&self, request: &Request, silence: Duration) -> Result<Value> {
        let line = &request.line;
        let transport = |source: reqwest::Error| Error::Transport {
            line: line.clone(),
            endpoint: self.project.endpoint.clone(),
            sent: !source.is_connect(),
            source: source.without_url(),
        };
        let mut call = self
            .http
            .request(line.method.clone(), format!("{}{}", self.project.endpoint, line.path))
            .header(AUTHORIZATION, self.authorization()?)
            .timeout(self.config.request_timeout.min(silence));
        if !request.query.is_empty() {
            call = call.query(&request.query);
        }
        if let Some(body) = &request.body {
            call = call.json(body);
        }
        let reply = self.with_notice(call.send()).await.map_err(transport)?;
        let header = |name: HeaderName| {
            reply.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        self.project.clock.learn(header(DATE).as_deref(), Timestamp::now());
        let rate_limit = RateLimit::from_headers(reply.headers());
        if let Some(rate_limit) = rate_limit {
            self.budgets(|budgets| request.bucket(budgets).learn(rate_limit, Instant::now()));
        }
        let (status, location) = (reply.status(), header(LOCATION));
        let request_id = header(HeaderName::from_static("x-correlation-id"));
        let body = reply.bytes().await.map_err(transport)?;
        let reply = Reply { status, location, request_id, rate_limit, body: &body };
        reply.read(line, &self.project.endpoint)
    }

    /// Informs the user once if the answer takes long.
    async fn with_notice<T>(&self, answer: impl Future<Output = T>) -> T {
        let mut answer = std::pin::pin!(answer);
        if let Some(say) = self.waits {
            tokio::select! {
                answer = &mut answer => return answer,
                () = sleep(NOTICE_AFTER) => say(&self.project.endpoint),
            }
        }
        answer.await
    }
}

/// The object under `key` of a reply.
pub(crate) fn take<T: DeserializeOwned>(
    line: RequestLine,
    mut reply: Value,
    key: &str,
) -> Result<T> {
    let found = reply.get_mut(key).map(Value::take);
    let read = match found {
        Some(found) => serde_json::from_value(found),
        None => Err(serde_json::Error::custom(format!("no `{key}` in it"))),
    };
    read.map_err(|source| Error::Decode { line, source })
}
