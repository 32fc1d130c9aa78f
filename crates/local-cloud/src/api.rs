//! The API over HTTP. Every request passes one pipeline, in Hetzner's order: route (404 before
//! anything else), token (401), budget (429), method (405), read-only tokens (401), faults, body
//! (400), and then the route's own function, which gets a [`scope::Scope`] and changes the state
//! while the lock is held. Nothing here waits for machines.

mod absent;
mod access;
mod actions;
mod bill;
mod body;
mod budget;
mod counter;
mod error;
mod faults;
mod firewalls;
mod images;
mod list;
pub(crate) mod listener;
mod metrics;
mod ordering;
mod control;
mod primary_ips;
mod routes;
mod scope;
mod server_actions;
mod servers;
mod ssh_keys;
mod view;
mod volumes;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, LINK};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

use crate::options::{Access, Limits, Token};
use crate::state::World;
use crate::work::engine::Engine;
use crate::work::{Late, ChainFault};
use access::Tokens;
use budget::Budgets;
use counter::Counter;
use error::ApiError;
use faults::{Faults, Kind};
use list::Query;
use scope::{Reply, Scope};

/// A request with its complete body.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether it came over the loopback or the machines' bridge.
    pub(crate) is_local: bool,
}

/// Answers requests.
pub(crate) struct Api {
    pub(crate) engine: Arc<Engine>,
    tokens: Tokens,
    budgets: Mutex<Budgets>,
    counter: Mutex<Counter>,
    faults: Mutex<Faults>,
    limits: Mutex<Limits>,
}

type Answer = Response<Full<Bytes>>;

/// Headers of every recorded answer, besides those of the single answer.
const HEADERS: [(&str, &str); 4] = [
    ("strict-transport-security", "max-age=15724800; includeSubDomains"),
    ("access-control-allow-origin", "*"),
    ("access-control-allow-credentials", "true"),
    ("access-control-expose-headers", "Link, X-Correlation-ID"),
];

impl Api {
    pub(crate) fn new(engine: Arc<Engine>, tokens: &[Token], limits: Limits) -> Api {
        Api {
            engine,
            tokens: Tokens::new(tokens),
            budgets: Mutex::default(),
            counter: Mutex::default(),
            faults: Mutex::default(),
            limits: Mutex::new(limits),
        }
    }

    fn limits(&self) -> Limits {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer; `None` to cut the connection instead.
    pub(crate) async fn answer(&self, request: Request) -> Option<Answer> {
        let mut answer = if request.path.starts_with(control::PREFIX) && request.is_local {
            control::answer(self, &request).await
        } else {
            match self.answer_v1(&request).await {
                Ok(answer) => answer?,
                Err(error) => error.into_response(),
            }
        };
        for (name, value) in HEADERS {
            answer
                .headers_mut()
                .insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let correlation = format!("{:016x}", rand::random::<u64>());
        tracing::debug!(method = %request.method, path = request.path, status = answer.status().as_u16(), correlation, "answered");
        if let Ok(value) = HeaderValue::from_str(&correlation) {
            answer.headers_mut().insert("x-correlation-id", value);
        }
        Some(answer)
    }

    async fn answer_v1(&self, request: &Request) -> Result<Option<Answer>, ApiError> {
        let Some((route, params)) = routes::find(&request.path) else {
            return Ok(Some(error::no_such_route()));
        };
        let caller =
            self.tokens.check(request.headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()))?;
        let now = Timestamp::now();
        self.counter.lock().unwrap_or_else(PoisonError::into_inner).count(
            &caller.project,
            &request.method,
            route.pattern,
        );
        let allowance = {
            let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
            budgets.spend(
                &caller.project,
                routes::budget(route.pattern),
                self.limits().requests_per_hour,
                now,
            )
        };
        let reply = match allowance.is_spent {
            true => Err(ApiError::rate_limited(self.limits())),
            false => self.admitted(request, route, params, caller, now).await,
        };
        let mut answer = match reply {
            Ok(Some(reply)) => reply,
            Ok(None) => return Ok(None),
            Err(error) => error.into_response(),
        };
        allowance.write(answer.headers_mut());
        Ok(Some(answer))
    }

    async fn admitted(
        &self,
        request: &Request,
        route: &routes::Route,
        params: Vec<u64>,
        caller: &access::Caller,
        now: Timestamp,
    ) -> Result<Option<Answer>, ApiError> {
        let Some((_, handler)) = route.methods.iter().find(|(method, _)| *method == request.method)
        else {
            return Err(ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "method not allowed",
            ));
        };
        if caller.access == Access::ReadOnly && request.method != Method::GET {
            return Err(ApiError::token_readonly());
        }
        let body = body::parse(&request.body);
        let fault = {
            let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults.meet(&request.method, &request.path, body.as_ref().unwrap_or(&Value::Null))
        };
        let kind = fault.as_ref().map(|f| f.kind);
        if let Some(fault) = fault.as_ref().filter(|f| !f.kind.delays_the_work()) {
            tokio::time::sleep(fault.delay).await;
        }
        match kind {
            Some(Kind::Unavailable503) => {
                return Err(ApiError::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    "service unavailable",
                ));
            }
            Some(Kind::RateLimit) => return Err(ApiError::rate_limited(self.limits())),
            Some(Kind::ServerError) => {
                return Err(ApiError::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "server_error",
                    "internal server error",
                ));
            }
            Some(Kind::Locked) => return Err(ApiError::locked("the resource")),
            _ => {}
        }
        let late = fault.and_then(|f| match f.kind {
            Kind::SlowAttach => Some(Late { by: f.delay, wrong_disk: false }),
            Kind::WrongDevice => Some(Late { by: f.delay, wrong_disk: true }),
            _ => None,
        });
        let chain_fault = match fault.map(|f| (f.kind, f.delay)) {
            Some((Kind::ActionError, _)) => ChainFault::First,
            Some((Kind::AttachError, _)) => ChainFault::Attachments,
            Some((Kind::ActionHang, delay)) => ChainFault::Hangs(delay),
            Some((Kind::NotStarted, _)) => ChainFault::NotStarted,
            Some((Kind::LeftOff, _)) => ChainFault::LeftOff,
            Some((Kind::StartsLate, delay)) => ChainFault::StartsLate(delay),
            _ => ChainFault::None,
        };
        let call = Call {
            params,
            query: Query::parse(&request.query),
            body: body?,
            fault: kind,
            late,
            chain_fault,
        };
        let reply = match request.method {
            Method::GET => self.look(&caller.project, &call, *handler, now)?,
            _ => self.change(&caller.project, &call, *handler, now)?,
        };
        Ok((kind != Some(Kind::LostReply)).then(|| respond(request, reply)))
    }

    fn look(
        &self,
        name: &str,
        call: &Call,
        handler: routes::Handler,
        now: Timestamp,
    ) -> Result<Reply, ApiError> {
        let mut world = self.engine.world();
        let World { ids, projects } = &mut *world;
        let project = projects.entry(name.to_owned()).or_default();
        handler(&mut Scope::new(name, project, ids, &self.engine, self.limits(), call, now))
    }

    fn change(
        &self,
        name: &str,
        call: &Call,
        handler: routes::Handler,
        now: Timestamp,
    ) -> Result<Reply, ApiError> {
        let (reply, chains, effects) = {
            let mut world = self.engine.world();
            let World { ids, projects } = &mut *world;
            let project = projects.entry(name.to_owned()).or_default();
            let mut scope = Scope::new(name, project, ids, &self.engine, self.limits(), call, now);
            let reply = handler(&mut scope)?;
            // The request may have brought servers under firewalls or out of them.
            scope.settle_firewalls();
            let (chains, effects) = scope.into_work();
            (reply, chains, effects)
        };
        self.engine.spawn(chains);
        effects.into_iter().for_each(|effect| self.engine.spawn_effect(effect));
        Ok(reply)
    }
}

/// Arguments of a route's function.
pub(crate) struct Call {
    /// The ids in the path, in order.
    pub(crate) params: Vec<u64>,
    pub(crate) query: Query,
    pub(crate) body: Value,
    /// The fault injected into this request.
    pub(crate) fault: Option<Kind>,
    /// How late the device of an attachment appears.
    pub(crate) late: Option<Late>,
    /// The fault of the actions that it starts.
    pub(crate) chain_fault: ChainFault,
}

fn respond(request: &Request, reply: Reply) -> Answer {
    let Some(body) = reply.body else {
        let mut answer = Response::new(Full::default());
        *answer.status_mut() = reply.status;
        return answer;
    };
    let mut answer = json_response(reply.status, &body);
    let host = request.headers.get(HOST).and_then(|h| h.to_str().ok()).unwrap_or("localhost");
    if let Some(link) = reply.page.and_then(|page| page.link(host, &request.path, &request.query))
        && let Ok(link) = HeaderValue::from_str(&link)
    {
        answer.headers_mut().insert(LINK, link);
    }
    answer
}

pub(crate) fn json_response(status: StatusCode, body: &Value) -> Answer {
    json_text(status, body.to_string())
}

fn json_text(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
