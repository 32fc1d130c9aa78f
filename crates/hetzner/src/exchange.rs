//! One request and its reply, repeated where `retry` allows it, held back where `budget` asks for
//! it and not sent where `breaker` forbids it. Knows JSON and HTTP, no resource.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::audit::Change;
use crate::breaker::{Admission, Came};
use crate::budget::{Budget, RateLimit};
use crate::client::{Budgets, Client, SAID_AFTER};
use crate::error::{ApiError, Error, Operation, Result};
use crate::retry::Repeats;

/// How often whoever waits for a trial looks for its outcome.
const TRIAL_LOOK: Duration = Duration::from_millis(50);

/// What is sent.
pub(crate) struct Request {
    pub(crate) operation: Operation,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
}

impl Request {
    pub(crate) fn new(method: Method, path: String) -> Self {
        Self { operation: Operation { method, path }, query: Vec::new(), body: None }
    }

    pub(crate) fn query(mut self, query: Vec<(&'static str, String)>) -> Self {
        self.query = query;
        self
    }

    pub(crate) fn body(mut self, body: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_value(body)
            .map_err(|source| Error::Decode { operation: self.operation.clone(), source })?;
        self.body = Some(body);
        Ok(self)
    }

    fn bucket<'a>(&self, budgets: &'a mut Budgets) -> &'a mut Budget {
        if self.operation.path == "/actions" { &mut budgets.actions } else { &mut budgets.others }
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

    /// Sends a request and reads the object under `key` of the reply.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, request: Request, key: &str) -> Result<T> {
        let reply = self.send(&request).await?;
        take(request.operation, reply, key)
    }

    /// Sends a request, as often as is safe and needed.
    pub(crate) async fn send(&self, request: &Request) -> Result<Value> {
        let is_trial = self.let_through(request).await?;
        let policy = self.config.policy();
        let mut repeats = Repeats::default();
        let mut silent_since = Instant::now();
        loop {
            self.admitted(request).await;
            let left = self.config.longest_silence.saturating_sub(silent_since.elapsed());
            let sent = self.send_once(request, left).await;
            if let Some(listener) = &self.listener
                && let Some(change) = Change::of(&request.operation, request.body.as_ref(), &sent)
            {
                listener(&change);
            }
            let error = match sent {
                Ok(reply) => {
                    self.learn(Came::Answered);
                    return Ok(reply);
                }
                Err(error) => error,
            };
            if !matches!(error, Error::Transport { .. }) {
                silent_since = Instant::now();
            }
            let has_time =
                |pause: &Duration| silent_since.elapsed() + *pause < self.config.longest_silence;
            let pause =
                policy.pause(&mut repeats, &request.operation.method, &error, rand::random());
            let pause = pause.filter(|pause| !is_trial && has_time(pause));
            let Some(pause) = pause else {
                self.learn(error.came());
                return Err(error);
            };
            tracing::debug!(%error, ?pause, "asking the cloud again");
            sleep(pause).await;
        }
    }

    /// Whether the call is a trial, which is not repeated.
    async fn let_through(&self, request: &Request) -> Result<bool> {
        loop {
            match self.breaker(|breaker| breaker.admit(self.config.pauses(), Instant::now())) {
                Admission::Free => return Ok(false),
                Admission::Trial => return Ok(true),
                Admission::Wait => sleep(TRIAL_LOOK).await,
                Admission::Refused { failures, again_in } => {
                    return Err(Error::Suspended {
                        operation: request.operation.clone(),
                        failures,
                        again_in,
                    });
                }
            }
        }
    }

    fn learn(&self, came: Came) {
        self.breaker(|breaker| breaker.learn(came, self.config.pauses(), Instant::now()));
    }

    async fn admitted(&self, request: &Request) {
        while let Err(pause) = self.budgets(|budgets| {
            request.bucket(budgets).admit(self.config.rate_reserve, Instant::now())
        }) {
            tracing::info!(operation = %request.operation, ?pause, "the rate budget of the cloud is nearly used up");
            sleep(pause).await;
        }
    }

    /// One request, which may stay without an answer for `silence`.
    async fn send_once(&self, request: &Request, silence: Duration) -> Result<Value> {
        let operation = &request.operation;
        let transport = |source: reqwest::Error| Error::Transport {
            operation: operation.clone(),
            endpoint: self.project.endpoint.clone(),
            sent: !source.is_connect(),
            source: source.without_url(),
        };
        let mut call = self
            .http
            .request(
                operation.method.clone(),
                format!("{}{}", self.project.endpoint, operation.path),
            )
            .header(reqwest::header::AUTHORIZATION, self.authorization()?)
            .timeout(self.config.request_timeout.min(silence));
        if !request.query.is_empty() {
            call = call.query(&request.query);
        }
        if let Some(body) = &request.body {
            call = call.json(body);
        }
        let reply = self.said(call.send()).await.map_err(transport)?;
        let status = reply.status();
        let date = reply.headers().get(reqwest::header::DATE).and_then(|date| date.to_str().ok());
        self.project.clock.learn(date, Timestamp::now());
        let rate_limit = RateLimit::from_headers(reply.headers());
        if let Some(rate_limit) = rate_limit {
            self.budgets(|budgets| request.bucket(budgets).learn(rate_limit, Instant::now()));
        }
        let location = reply
            .headers()
            .get(reqwest::header::LOCATION)
            .and_then(|to| to.to_str().ok())
            .map(str::to_owned);
        let request_id = reply
            .headers()
            .get("x-correlation-id")
            .and_then(|id| id.to_str().ok())
            .map(str::to_owned);
        let body = reply.bytes().await.map_err(transport)?;
        let other = |what: String| Error::NotTheApi {
            operation: operation.clone(),
            endpoint: self.project.endpoint.clone(),
            what,
        };
        if status.is_redirection() {
            let to = location.map(|to| format!(" to {to}")).unwrap_or_default();
            return Err(other(format!("it redirects{to} (status {})", status.as_u16())));
        }
        if let Some(page) = page(&body) {
            let is_gateway = matches!(
                status,
                StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            );
            if !is_gateway {
                return Err(other(format!(
                    "it sent a web page{page} (status {})",
                    status.as_u16()
                )));
            }
        }
        if !status.is_success() {
            return Err(Error::Api(Box::new(ApiError::read(
                operation.clone(),
                status,
                &body,
                request_id,
                rate_limit,
            ))));
        }
        if status == StatusCode::NO_CONTENT || body.is_empty() {
            return Ok(Value::Null);
        }
        match serde_json::from_slice(&body) {
            Ok(read) => Ok(read),
            Err(source) if body.first().is_some_and(|first| *first == b'{' || *first == b'[') => {
                Err(Error::Decode { operation: operation.clone(), source })
            }
            Err(_) => Err(other("its reply is not JSON".to_owned())),
        }
    }

    /// Says once what is waited for, if that takes long.
    async fn said<T>(&self, answer: impl Future<Output = T>) -> T {
        let mut answer = std::pin::pin!(answer);
        if let Some(say) = self.waits {
            tokio::select! {
                answer = &mut answer => return answer,
                () = sleep(SAID_AFTER) => say(&self.project.endpoint),
            }
        }
        answer.await
    }
}

/// The title of a web page, in words that go behind "a web page"; `None` for what is none.
fn page(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(body.get(..body.len().min(4096)).unwrap_or_default());
    let lower = text.trim_start().to_ascii_lowercase();
    if !(lower.starts_with("<!doctype html")
        || lower.starts_with("<html")
        || lower.starts_with("<head"))
    {
        return None;
    }
    let title = lower
        .split_once("<title>")
        .and_then(|(_, rest)| rest.split_once("</title>"))
        .map(|(title, _)| title.trim().to_owned());
    // In the page's own spelling: both texts have the same length in bytes.
    let own = title.filter(|title| !title.is_empty()).and_then(|title| {
        let at = lower.find(&title)?;
        text.trim_start()
            .get(at..at + title.len())
            .map(|own| own.chars().take(60).collect::<String>())
    });
    Some(own.map(|title| format!(" titled {title:?}")).unwrap_or_default())
}

/// The object under `key` of a reply.
pub(crate) fn take<T: DeserializeOwned>(
    operation: Operation,
    mut reply: Value,
    key: &str,
) -> Result<T> {
    let found = reply.get_mut(key).map(Value::take);
    let read = match found {
        Some(found) => serde_json::from_value(found),
        None => Err(serde_json::Error::custom(format!("no `{key}` in it"))),
    };
    read.map_err(|source| Error::Decode { operation, source })
}
