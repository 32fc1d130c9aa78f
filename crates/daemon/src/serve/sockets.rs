//! The tasks that serve the daemon's sockets, and the order in which they end.

use std::io;

use gateway::Gateway;
use ports::Ports;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::ownership::Ownership;

/// The tasks that serve the sockets.
pub(super) struct Serving {
    ending: CancellationToken,
    gateways: JoinSet<()>,
    control_ending: CancellationToken,
    control: JoinHandle<io::Result<()>>,
}

impl Serving {
    pub(super) fn start(
        gateway: &Gateway,
        docker: tokio::net::UnixListener,
        proxies: Vec<TcpListener>,
        control: tokio::net::UnixListener,
        router: axum::Router,
    ) -> Self {
        let (ending, control_ending) = (CancellationToken::new(), CancellationToken::new());
        let mut gateways = JoinSet::new();
        let (own, until) = (gateway.clone(), ending.clone());
        gateways.spawn(async move { own.serve(docker, until).await });
        for listener in proxies {
            let (own, until) = (gateway.clone(), ending.clone());
            gateways.spawn(async move { own.serve(listener, until).await });
        }
        let until = control_ending.clone().cancelled_owned();
        let control = tokio::spawn(async move {
            axum::serve(control, router).with_graceful_shutdown(until).await
        });
        Self { ending, gateways, control_ending, control }
    }

    /// The control socket answers last: the command that ordered the end asks until nothing
    /// answers, and by then nothing of the daemon may be left.
    pub(super) async fn end(mut self, ports: Option<Ports>, ownership: Ownership) {
        self.ending.cancel();
        // One that panicked must not keep the others from their end.
        while self.gateways.join_next().await.is_some() {}
        if let Some(ports) = ports {
            ports.close().await;
        }
        drop(ownership);
        self.control_ending.cancel();
        let _ = self.control.await;
    }
}
