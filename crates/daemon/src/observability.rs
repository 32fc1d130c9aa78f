//! What programs that watch a daemon ask: `/metrics`, `/healthz`, `/readyz`. On the control socket,
//! and on a TCP address if the settings name one; nothing there changes anything.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use gateway::Gateway;
use prometheus_client::encoding::prometheus_text;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::metrics::{self, History, Metrics, Sources};
use crate::state::DaemonState;
use crate::supervisor::Probe;

/// A supervisor that does not answer for this long is not ready. It answers in microseconds while
/// it waits; work without a wait in between takes milliseconds.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// What is answered from.
#[derive(Clone)]
pub(crate) struct Observability {
    profile: Arc<str>,
    metrics: Metrics,
    history: History,
    probe: Probe,
}

impl Observability {
    pub(crate) fn new(profile: &str, gateway: &Gateway, sources: Sources, probe: Probe) -> Self {
        let history = sources.history.clone();
        let metrics = Metrics::new(&gateway.metrics(), &history, sources);
        Self { profile: profile.into(), metrics, history, probe }
    }

    /// Counts what happens to machines, and answers on a TCP address if there is one, until the
    /// handles are dropped.
    pub(crate) fn start(
        self,
        state: watch::Receiver<DaemonState>,
        listener: Option<TcpListener>,
    ) -> Vec<AbortOnDropHandle<()>> {
        let counting = tokio::spawn(metrics::watch(self.history.clone(), state));
        let serving = listener.map(|listener| tokio::spawn(self.serve(listener)));
        [counting].into_iter().chain(serving).map(AbortOnDropHandle::new).collect()
    }

    async fn serve(self, listener: TcpListener) {
        if let Err(error) = axum::serve(listener, self.router()).await {
            tracing::warn!(%error, "the metrics are not served any more");
        }
    }

    pub(crate) fn router(self) -> Router {
        Router::new()
            .route("/metrics", get(scrape))
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .with_state(self)
    }
}

async fn scrape(Shared(observed): Shared<Observability>) -> Response {
    let text = observed.metrics.text();
    ([(CONTENT_TYPE, prometheus_text::CONTENT_TYPE)], text).into_response()
}

/// That this is answered is the answer.
async fn healthz(Shared(observed): Shared<Observability>) -> String {
    format!("ok: process {} serves profile {}\n", std::process::id(), observed.profile)
}

async fn readyz(Shared(mut observed): Shared<Observability>) -> (StatusCode, String) {
    match timeout(READY_WITHIN, observed.probe.answered()).await {
        Ok(true) => (StatusCode::OK, "ok: the supervisor answers\n".to_owned()),
        Ok(false) => (StatusCode::SERVICE_UNAVAILABLE, "the daemon is stopping\n".to_owned()),
        Err(_) => {
            let limit = READY_WITHIN.as_secs();
            let text = format!("the supervisor does not answer within {limit} s\n");
            (StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}
