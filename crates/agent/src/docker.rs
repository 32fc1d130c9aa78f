//! The machine's dockerd, over its Unix socket, with the agent's limits of time and size.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use agent_proto::ContainerCounts;
use engine::{Client, Connector, ContainerInspect, Error};
use tokio::net::UnixStream;

/// The largest response, in bytes: a thousand running containers take about 2 MB.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// How long a query may take; a dockerd under load was seen to take seconds.
const TIMEOUT: Duration = Duration::from_secs(5);

/// dockerd at its socket.
#[derive(Debug, Clone)]
pub struct Docker {
    socket: PathBuf,
}

impl Docker {
    /// The dockerd with this socket.
    pub fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Waits until it answers. systemd accepts connections for a dockerd that is starting, so the
    /// wait may be long.
    pub async fn ping(&self) -> Result<(), Error> {
        self.engine().ping().await
    }

    /// Whether it answers within a few seconds.
    pub async fn is_ready(&self) -> bool {
        in_time(self.ping()).await.is_ok()
    }

    /// The number of containers.
    pub async fn counts(&self) -> Option<ContainerCounts> {
        let info = in_time(self.engine().info()).await.ok()?;
        Some(ContainerCounts { running: info.containers_running?, total: info.containers? })
    }

    /// Ids of the running containers.
    pub async fn running(&self) -> io::Result<Vec<String>> {
        let containers = in_time(self.engine().containers()).await?;
        Ok(containers.into_iter().map(|container| container.id).collect())
    }

    /// One container, if it exists and dockerd answers in time.
    pub async fn inspect(&self, id: &str) -> Option<ContainerInspect> {
        in_time(self.engine().inspect(id)).await.ok().flatten()
    }

    /// Starts one container.
    pub async fn start(&self, id: &str) -> Result<(), Error> {
        self.engine().start(id).await
    }

    fn engine(&self) -> Client<impl Connector> {
        Client::new(move || UnixStream::connect(&self.socket)).with_max_answer(MAX_ANSWER)
    }
}

async fn in_time<T>(query: impl Future<Output = Result<T, Error>>) -> io::Result<T> {
    let answered = tokio::time::timeout(TIMEOUT, query).await;
    answered.map_err(|_| io::ErrorKind::TimedOut)?.map_err(io::Error::other)
}
