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
mod call;
mod control;
mod counter;
mod error;
mod faults;
mod firewalls;
mod images;
mod list;
pub(crate) mod listener;
mod metrics;
mod new_server;
mod ordering;
mod page;
mod primary_ips;
mod reply;
mod response;
mod route;
mod routes;
mod scope;
mod server_actions;
mod servers;
mod shared;
mod ssh_keys;
mod view;
mod volumes;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST, HeaderName, HeaderValue, LINK};
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::Full;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};

use crate::options::{Access, Limits, Token};
use crate::state::World;
use crate::work::engine::Engine;
use crate::work::{ChainFault, Late};
use access::Tokens;
use budget::Budgets;
use call::Call;
use error::ApiError;
use faults::{Kind, Met};
use page::Query;
use reply::Reply;
use response::{Answer, json_response};
use scope::Scope;
use shared::Shared;

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
    shared: Shared,
    tokens: Tokens,
    budgets: Mutex<Budgets>,
}

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
            shared: Shared::new(engine, limits),
            tokens: Tokens::new(tokens),
            budgets: Mutex::default(),
        }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.shared.engine
    }

    /// The answer; `None` to cut the connection instead.
    pub(crate) async fn answer(&self, request: Request) -> Option<Answer> {
        let mut answer = if request.path.starts_with(control::PREFIX) && request.is_local {
            control::answer(&self.shared, &request.method, &request.path, &request.body).await
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
        tracing::debug!(
            method = %request.method,
            path = request.path,
            status = answer.status().as_u16(),
            correlation,
            "answered"
        );
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
        self.shared.counter().count(&caller.project, &request.method, route.pattern);
        let allowance = {
            let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
            budgets.spend(
                &caller.project,
                routes::budget(route.pattern),
                self.shared.limits().requests_per_hour,
                now,
            )
        };
        let reply = match allowance.is_spent {
            true => Err(ApiError::rate_limited(self.shared.limits())),
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
        route: &route::Route,
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
        let fault = self.shared.faults().meet(
            &request.method,
            &request.path,
            body.as_ref().unwrap_or(&Value::Null),
        );
        let kind = fault.as_ref().map(|f| f.kind);
        if let Some(fault) = fault.as_ref().filter(|f| !f.kind.delays_the_work()) {
            tokio::time::sleep(fault.delay).await;
        }
        if let Some(error) = kind.and_then(|kind| self.injected(kind)) {
            return Err(error);
        }
        let (late, chain_fault) = fault.map_or((None, ChainFault::None), work_fault);
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

    /// The error that a fault answers in place of the route.
    fn injected(&self, kind: Kind) -> Option<ApiError> {
        let error = |status, code, message| Some(ApiError::new(status, code, message));
        match kind {
            Kind::Unavailable503 => {
                error(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "service unavailable")
            }
            Kind::RateLimit => Some(ApiError::rate_limited(self.shared.limits())),
            Kind::ServerError => {
                error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "internal server error")
            }
            Kind::Locked => Some(ApiError::locked("the resource")),
            _ => None,
        }
    }

    fn look(
        &self,
        name: &str,
        call: &Call,
        handler: route::Handler,
        now: Timestamp,
    ) -> Result<Reply, ApiError> {
        let mut world = self.shared.engine.world();
        let World { ids, projects } = &mut *world;
        let project = projects.entry(name.to_owned()).or_default();
        handler(&mut Scope::new(
            name,
            project,
            ids,
            &self.shared.engine,
            self.shared.limits(),
            call,
            now,
        ))
    }

    fn change(
        &self,
        name: &str,
        call: &Call,
        handler: route::Handler,
        now: Timestamp,
    ) -> Result<Reply, ApiError> {
        let (reply, chains, effects) = {
            let mut world = self.shared.engine.world();
            let World { ids, projects } = &mut *world;
            let project = projects.entry(name.to_owned()).or_default();
            let mut scope = Scope::new(
                name,
                project,
                ids,
                &self.shared.engine,
                self.shared.limits(),
                call,
                now,
            );
            let reply = handler(&mut scope)?;
            // The request may have brought servers under firewalls or out of them.
            scope.settle_firewalls();
            let (chains, effects) = scope.into_work();
            (reply, chains, effects)
        };
        self.shared.engine.spawn(chains);
        effects.into_iter().for_each(|effect| self.shared.engine.spawn_effect(effect));
        Ok(reply)
    }
}

/// The faults of the work that the request starts.
fn work_fault(fault: Met) -> (Option<Late>, ChainFault) {
    let late = |wrong_disk| (Some(Late { by: fault.delay, wrong_disk }), ChainFault::None);
    let chain = |chain_fault| (None, chain_fault);
    match fault.kind {
        Kind::SlowAttach => late(false),
        Kind::WrongDevice => late(true),
        Kind::ActionError => chain(ChainFault::First),
        Kind::AttachError => chain(ChainFault::Attachments),
        Kind::ActionHang => chain(ChainFault::Hangs(fault.delay)),
        Kind::NotStarted => chain(ChainFault::NotStarted),
        Kind::LeftOff => chain(ChainFault::LeftOff),
        Kind::StartsLate => chain(ChainFault::StartsLate(fault.delay)),
        _ => chain(ChainFault::None),
    }
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
