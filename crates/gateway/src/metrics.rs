//! What the gateway counts: each request once, by the class of its endpoint and the status of its
//! answer, and how long the head of the answer took. Labels are resolved when the counters are
//! made: a request costs two atomic operations and a short lock.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use lifecycle::Kind;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use crate::rules::endpoint::WithoutMachine;
use crate::rules::route::Route;

/// In seconds: from an answer without a machine to a wake.
const DURATIONS: [f64; 11] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0, 20.0, 60.0, 180.0];

/// What kind of endpoint a request has, by its row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndpointClass {
    /// `_ping` and `version`, which need no engine.
    Ping,
    /// Reads that an idle client may repeat.
    Read,
    /// Other short requests.
    Command,
    /// Builds.
    Build,
    /// Images and files.
    Transfer,
    /// Answers without an end, and connections that the engine takes over.
    Stream,
    /// Paths that are not Docker's.
    Other,
}

/// Their labels, in the order of the enum.
const CLASSES: [&str; 7] = ["ping", "read", "command", "build", "transfer", "stream", "other"];
/// The classes of status codes. `none`: the client left before the head of the answer.
const STATUSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl EndpointClass {
    pub(crate) fn of(route: &Route) -> Self {
        match (route.without_machine, route.kind) {
            _ if route.endpoint == "other" => Self::Other,
            (WithoutMachine::Ping | WithoutMachine::Version, _) => Self::Ping,
            (_, Kind::Build) => Self::Build,
            (_, Kind::Transfer) => Self::Transfer,
            (WithoutMachine::Follow, _) => Self::Stream,
            _ if route.lasting || route.hijack => Self::Stream,
            (WithoutMachine::Stale(_), _) => Self::Read,
            (WithoutMachine::Wake, _) => Self::Command,
        }
    }
}

/// Names with values, all of them known at compile time.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// The counters of one class.
struct Class {
    answered: [Counter; STATUSES.len()],
    duration: Histogram,
}

/// The requests of a gateway. Clones share the counters.
#[derive(Clone)]
pub struct RequestMetrics(Arc<Inner>);

struct Inner {
    classes: [Class; CLASSES.len()],
    requests: Family<Labels<2>, Counter>,
    durations: Family<Labels<1>, Histogram, fn() -> Histogram>,
}

impl std::fmt::Debug for RequestMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestMetrics").finish_non_exhaustive()
    }
}

impl Default for RequestMetrics {
    fn default() -> Self {
        let requests = Family::<Labels<2>, Counter>::default();
        let durations: Family<Labels<1>, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(DURATIONS));
        let classes = CLASSES.map(|class| Class {
            answered: STATUSES.map(|status| {
                requests.get_or_create_owned(&[("endpoint", class), ("status", status)])
            }),
            duration: durations.get_or_create_owned(&[("endpoint", class)]),
        });
        Self(Arc::new(Inner { classes, requests, durations }))
    }
}

impl RequestMetrics {
    /// Adds the metrics to a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "requests",
            "Requests of Docker clients, by the class of the endpoint and of the status",
            self.0.requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "Time until the head of the answer, wakes included",
            Unit::Seconds,
            self.0.durations.clone(),
        );
    }

    /// A request begins. It is counted when the value is dropped.
    pub(crate) fn begin(&self, class: EndpointClass) -> Timed {
        Timed { metrics: self.clone(), class, begun: Instant::now(), status: None }
    }

    fn count(&self, class: EndpointClass, status: Option<StatusCode>, took: Duration) {
        let Class { answered, duration } = &self.0.classes[class as usize];
        let status = status.map_or(0, |status| usize::from(status.as_u16() / 100));
        // A code of six hundred and more is of no class.
        answered[if status < STATUSES.len() { status } else { 0 }].inc();
        duration.observe(took.as_secs_f64());
    }
}

/// A request that is being answered.
pub(crate) struct Timed {
    metrics: RequestMetrics,
    class: EndpointClass,
    begun: Instant,
    status: Option<StatusCode>,
}

impl Timed {
    pub(crate) fn answered(mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        self.metrics.count(self.class, self.status, self.begun.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};
    use prometheus_client::encoding::prometheus_text::encode;

    use super::*;

    fn class(method: &Method, uri: &str) -> EndpointClass {
        EndpointClass::of(&Route::of(method, &uri.parse().unwrap(), &HeaderMap::new()))
    }

    #[test]
    fn class_of_an_endpoint_is_that_of_its_row() {
        for (method, uri, expected) in [
            (Method::GET, "/_ping", EndpointClass::Ping),
            (Method::GET, "/v1.41/version", EndpointClass::Ping),
            (Method::GET, "/v1.41/containers/json", EndpointClass::Read),
            (Method::POST, "/containers/web/start", EndpointClass::Command),
            (Method::POST, "/build", EndpointClass::Build),
            (Method::POST, "/images/create?fromImage=a", EndpointClass::Transfer),
            (Method::GET, "/events", EndpointClass::Stream),
            (Method::GET, "/containers/web/logs?follow=1", EndpointClass::Stream),
            (Method::GET, "/containers/web/logs", EndpointClass::Read),
            (Method::POST, "/exec/e/start", EndpointClass::Stream),
            (Method::GET, "/libpod/info", EndpointClass::Other),
        ] {
            assert_eq!(class(&method, uri), expected, "{method} {uri}");
        }
    }

    #[test]
    fn request_is_counted_once_and_its_duration_once() {
        let metrics = RequestMetrics::default();
        metrics.begin(EndpointClass::Command).answered(StatusCode::NO_CONTENT);
        drop(metrics.begin(EndpointClass::Command));
        metrics.begin(EndpointClass::Other).answered(StatusCode::from_u16(999).unwrap());
        let mut registry = Registry::with_prefix("t");
        metrics.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "t_requests_total{endpoint=\"command\",status=\"2xx\"} 1",
            "t_requests_total{endpoint=\"command\",status=\"none\"} 1",
            "t_requests_total{endpoint=\"other\",status=\"none\"} 1",
            "t_requests_total{endpoint=\"read\",status=\"2xx\"} 0",
            "t_request_duration_seconds_count{endpoint=\"command\"} 2",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
        let total = text.lines().filter(|line| line.starts_with("t_requests_total{"));
        let count = |line: &str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        assert_eq!(total.map(count).sum::<u64>(), 3);
    }
}
