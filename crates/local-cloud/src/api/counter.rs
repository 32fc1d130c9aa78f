//! Counts each project's requests by method and route pattern. It counts what the rate limit
//! counts: requests with a valid token for a known route, refused ones included.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Map, Value, json};

#[derive(Debug, Default)]
pub(super) struct Counter(BTreeMap<String, BTreeMap<String, u64>>);

impl Counter {
    /// Counts one request of `project` for the route `pattern`, such as `servers/{id}`.
    pub(super) fn count(&mut self, project: &str, method: &Method, pattern: &str) {
        let routes = self.0.entry(project.to_owned()).or_default();
        *routes.entry(format!("{method} {pattern}")).or_default() += 1;
    }

    /// As in `GET /_local/state`: by project, `{total, by_route: {"GET servers": 12}}`.
    pub(super) fn json(&self) -> Value {
        let of = |routes: &BTreeMap<String, u64>| {
            let total: u64 = routes.values().sum();
            json!({"total": total, "by_route": routes})
        };
        Value::Object(
            self.0
                .iter()
                .map(|(project, routes)| (project.clone(), of(routes)))
                .collect::<Map<_, _>>(),
        )
    }

    /// Restarts at zero. Returns the previous counts.
    pub(super) fn reset(&mut self) -> Value {
        let counted = self.json();
        self.0.clear();
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_project_and_route() {
        let mut counter = Counter::default();
        for (project, method, pattern) in [
            ("p", Method::GET, "servers"),
            ("p", Method::GET, "servers"),
            ("p", Method::POST, "servers"),
            ("q", Method::GET, "volumes"),
        ] {
            counter.count(project, &method, pattern);
        }
        let expected = json!({
            "p": {"total": 3, "by_route": {"GET servers": 2, "POST servers": 1}},
            "q": {"total": 1, "by_route": {"GET volumes": 1}},
        });
        assert_eq!(counter.reset(), expected);
        assert_eq!(counter.json(), json!({}));
    }
}
