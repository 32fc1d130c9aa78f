//! Fault injection: which requests get which fault, and how often.

use std::time::Duration;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    StockOut,
    UnsupportedLocation,
    ImageGone,
    #[serde(rename = "unavailable_503")]
    Unavailable503,
    RateLimit,
    LostReply,
    ServerError,
    Locked,
    SlowAttach,
    WrongDevice,
    ActionError,
    ActionHang,
    AttachError,
    NotStarted,
    LeftOff,
    StartsLate,
    TypeDeprecated,
    LocationDisabled,
    NoSpaceLeft,
}

/// A fault to inject.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    kind: Kind,
    #[serde(default, rename = "match")]
    matching: Matching,
    /// How many requests get it.
    #[serde(default = "once")]
    times: u64,
    #[serde(default)]
    delay_ms: u64,
}

/// Which requests; a missing field matches all.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Matching {
    method: Option<String>,
    /// A prefix of the path; `*` matches one segment.
    path: Option<String>,
    /// Fields of the body that must be equal, such as `{"location": "fsn1"}`.
    #[serde(default)]
    body: Map<String, Value>,
}

fn once() -> u64 {
    1
}

/// A fault that applies to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) kind: Kind,
    pub(super) delay: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Faults(pub(super) Vec<Fault>);

impl Faults {
    /// The oldest fault that applies to this request, if any; it is counted.
    pub(super) fn meet(&mut self, method: &Method, path: &str, body: &Value) -> Option<Met> {
        let at = self.0.iter().position(|f| {
            f.kind.applies_to(method, path) && f.matching.matches(method, path, body)
        })?;
        let fault = &mut self.0[at];
        let met = Met { kind: fault.kind, delay: Duration::from_millis(fault.delay_ms) };
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 {
            self.0.remove(at);
        }
        Some(met)
    }
}

impl Kind {
    /// Whether `delay_ms` delays the work that the request starts, instead of the answer.
    pub(super) fn delays_the_work(self) -> bool {
        matches!(self, Kind::SlowAttach | Kind::WrongDevice | Kind::ActionHang | Kind::StartsLate)
    }

    /// Some faults apply to certain requests only; counting others would use them up.
    fn applies_to(self, method: &Method, path: &str) -> bool {
        let is_post = method == Method::POST;
        match self {
            Kind::StockOut
            | Kind::UnsupportedLocation
            | Kind::TypeDeprecated
            | Kind::ImageGone
            | Kind::NotStarted
            | Kind::LeftOff
            | Kind::StartsLate => is_post && path == "/v1/servers",
            Kind::LocationDisabled => is_post && matches!(path, "/v1/servers" | "/v1/volumes"),
            Kind::NoSpaceLeft => is_post && path == "/v1/volumes",
            Kind::SlowAttach | Kind::WrongDevice | Kind::AttachError => {
                is_post
                    && (matches!(path, "/v1/servers" | "/v1/volumes")
                        || path.starts_with("/v1/volumes/") && path.ends_with("/attach"))
            }
            Kind::ActionError | Kind::ActionHang | Kind::Locked => method != Method::GET,
            Kind::Unavailable503 | Kind::ServerError | Kind::RateLimit | Kind::LostReply => true,
        }
    }
}

impl Matching {
    fn matches(&self, method: &Method, path: &str, body: &Value) -> bool {
        self.method.as_deref().is_none_or(|m| m.eq_ignore_ascii_case(method.as_str()))
            && self.path.as_deref().is_none_or(|pattern| starts_with(path, pattern))
            && self.body.iter().all(|(name, value)| body[name] == *value)
    }
}

fn starts_with(path: &str, pattern: &str) -> bool {
    if !pattern.contains('*') {
        return path.starts_with(pattern);
    }
    let mut segments = path.split('/');
    pattern
        .split('/')
        .all(|wanted| segments.next().is_some_and(|segment| wanted == "*" || wanted == segment))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(order: Value) -> Faults {
        Faults(vec![serde_json::from_value(order).unwrap()])
    }

    #[test]
    fn a_fault_applies_as_often_as_requested() {
        let mut it = faults(json!({
            "kind": "unavailable_503",
            "match": {"method": "get", "path": "/v1/servers/*/actions"},
            "times": 2,
        }));
        let mut meets = |method: &Method, path: &str| it.meet(method, path, &Value::Null).is_some();
        assert!(!meets(&Method::GET, "/v1/servers/5"));
        assert!(!meets(&Method::POST, "/v1/servers/5/actions/poweron"));
        assert!(meets(&Method::GET, "/v1/servers/5/actions"));
        assert!(meets(&Method::GET, "/v1/servers/6/actions/7"));
        assert!(!meets(&Method::GET, "/v1/servers/5/actions"));
    }

    #[test]
    fn a_lock_or_a_hanging_action_applies_to_changes_only() {
        for kind in ["locked", "action_hang", "action_error"] {
            let mut it = faults(json!({"kind": kind}));
            assert!(it.meet(&Method::GET, "/v1/servers", &Value::Null).is_none(), "{kind}");
            assert!(it.meet(&Method::DELETE, "/v1/servers/5", &Value::Null).is_some(), "{kind}");
        }
        for kind in ["attach_error", "wrong_device"] {
            let mut it = faults(json!({"kind": kind}));
            assert!(
                it.meet(&Method::POST, "/v1/volumes/5/actions/detach", &Value::Null).is_none(),
                "{kind}"
            );
            assert!(
                it.meet(&Method::POST, "/v1/volumes/5/actions/attach", &Value::Null).is_some(),
                "{kind}"
            );
        }
    }

    #[test]
    fn a_stock_fault_hits_only_the_server_that_it_is_meant_for() {
        let mut it =
            faults(json!({"kind": "stock_out", "match": {"body": {"server_type": "cx23"}}}));
        assert!(it.meet(&Method::POST, "/v1/volumes", &json!({"server_type": "cx23"})).is_none());
        assert!(it.meet(&Method::POST, "/v1/servers", &json!({"server_type": "cpx22"})).is_none());
        assert_eq!(
            it.meet(&Method::POST, "/v1/servers", &json!({"server_type": "cx23"})).map(|m| m.kind),
            Some(Kind::StockOut)
        );
    }
}
