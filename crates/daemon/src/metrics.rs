//! The daemon's metrics, in the text format of Prometheus. What happens is counted as it happens;
//! what holds is read when it is asked for. `docs/metrics.md` is generated from the registry.

mod history;
mod snapshot;
mod sources;

use std::sync::Arc;

use gateway::RequestMetrics;
use prometheus_client::encoding::prometheus_text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub(crate) use self::history::{History, watch};
pub(crate) use self::sources::Sources;

/// All metrics of a daemon. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Metrics(Arc<Registry>);

impl Metrics {
    pub(crate) fn new(requests: &RequestMetrics, history: &History, sources: Sources) -> Self {
        let mut registry = registry(requests, history);
        registry.register_collector(Box::new(sources));
        Self(Arc::new(registry))
    }

    /// The text of a scrape.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.0);
        text
    }
}

/// What is counted as it happens.
fn registry(requests: &RequestMetrics, history: &History) -> Registry {
    let mut registry = Registry::with_prefix("dockbridge");
    let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The version of dockbridge; always 1", version);
    requests.register(&mut registry);
    history.register(&mut registry);
    registry
}

#[cfg(test)]
#[path = "metrics/tests.rs"]
mod tests;
