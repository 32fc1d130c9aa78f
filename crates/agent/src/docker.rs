//! The agent's client for dockerd's API, over its Unix socket.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use agent_proto::ContainerCounts;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// The largest response, in bytes: a thousand running containers take about 2 MB.
const MAX_BODY: usize = 16 * 1024 * 1024;
/// How long a query may take; a dockerd under load was seen to take seconds.
const TIMEOUT: Duration = Duration::from_secs(5);

/// dockerd at its socket.
#[derive(Debug, Clone)]
pub struct Docker {
    socket: PathBuf,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    containers: u32,
    containers_running: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    id: String,
}

/// The parts of a container's state that the agent uses.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Inspected {
    pub id: String,
    /// With a leading slash.
    pub name: String,
    /// In RFC 3339 format.
    pub created: String,
    pub state: State,
    pub host_config: HostConfig,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct State {
    pub running: bool,
    /// The id of its first process while it runs.
    #[serde(default)]
    pub pid: i32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostConfig {
    pub restart_policy: RestartPolicy,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RestartPolicy {
    /// `no` or empty, `always`, `unless-stopped` or `on-failure`.
    pub name: String,
}

impl Docker {
    /// The dockerd with this socket.
    pub fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Waits until it answers. systemd accepts connections for a dockerd that is starting, so the
    /// wait may be long.
    pub async fn ping(&self) -> io::Result<()> {
        self.request(Method::GET, "/_ping").await.map(drop)
    }

    /// Whether it answers within a few seconds.
    pub async fn is_ready(&self) -> bool {
        matches!(tokio::time::timeout(TIMEOUT, self.ping()).await, Ok(Ok(())))
    }

    /// The number of containers, from `/info`, which is fast however many there are.
    pub async fn counts(&self) -> Option<ContainerCounts> {
        let info: Info = self.ask("/info").await.ok()?;
        Some(ContainerCounts { running: info.containers_running, total: info.containers })
    }

    /// Ids of the running containers.
    pub async fn running(&self) -> io::Result<Vec<String>> {
        let containers: Vec<Container> = self.ask("/containers/json").await?;
        Ok(containers.into_iter().map(|container| container.id).collect())
    }

    /// One container.
    pub async fn inspect(&self, id: &str) -> io::Result<Inspected> {
        self.ask(&format!("/containers/{id}/json")).await
    }

    /// Starts one container.
    pub async fn start(&self, id: &str) -> io::Result<()> {
        self.request(Method::POST, &format!("/containers/{id}/start")).await.map(drop)
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str) -> io::Result<T> {
        let asked = tokio::time::timeout(TIMEOUT, self.request(Method::GET, path));
        let body = asked.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(serde_json::from_slice(&body)?)
    }

    async fn request(&self, method: Method, path: &str) -> io::Result<Bytes> {
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "docker")
            .body(Empty::<Bytes>::new());
        let request = request.map_err(io::Error::other)?;
        let answering = async {
            let response = sender.send_request(request).await.map_err(io::Error::other)?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_BODY)
                .collect()
                .await
                .map_err(io::Error::other)?
                .to_bytes();
            Ok::<_, io::Error>((status, body))
        };
        // The connection lives as long as its one request, which gets its error.
        let driving = async {
            let _ = connection.await;
            std::future::pending::<()>().await;
        };
        let (status, body) = tokio::select! {
            answer = answering => answer?,
            () = driving => return Err(io::ErrorKind::ConnectionAborted.into()),
        };
        // 304: it is running already.
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(body);
        }
        Err(io::Error::other(format!("{status}: {}", String::from_utf8_lossy(&body).trim())))
    }
}
