//! A client of the daemon's control socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::code::Code;
use crate::control::{Answer, SettingsReport, control_socket};
use crate::error::Error;
use crate::forward::{ByHand, Local};
use crate::machine::VolumeSummary;
use crate::port::PortStatus;
use crate::status::Status;

/// A daemon answers at once; destroying a machine takes as long as its containers take to stop.
const LONGEST_ANSWER: Duration = Duration::from_secs(10 * 60);

/// The daemon that serves a Docker socket.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// Why a daemon did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No daemon serves the socket.
    #[error("no dockbridge serves {}", socket.display())]
    NotRunning {
        /// The Docker socket.
        socket: PathBuf,
    },
    /// The daemon refused.
    #[error("{}", .0.message)]
    Refused(Box<Error>),
    /// The connection broke, or the answer cannot be read.
    #[error("the daemon does not answer")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ClientError {
    /// The code of this error.
    pub fn code(&self) -> Code {
        match self {
            ClientError::NotRunning { .. } => Code::DaemonNotRunning,
            ClientError::Refused(error) => error.code,
            ClientError::Broken(_) => Code::DaemonSilent,
        }
    }
}

impl Client {
    /// The daemon of this Docker socket, running or not.
    pub fn of(docker_socket: &Path) -> Self {
        Self { socket: docker_socket.to_owned() }
    }

    /// The present status.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.ask(Method::GET, "/status").await
    }

    /// Orders a machine; answered when the wake has begun.
    pub async fn wake(&self) -> Result<Answer, ClientError> {
        self.ask(Method::POST, "/wake").await
    }

    /// Pins the machine, for a time or without an end.
    pub async fn pin(&self, length: Option<Duration>) -> Result<Answer, ClientError> {
        let query =
            length.map_or_else(String::new, |length| format!("?seconds={}", length.as_secs()));
        self.ask(Method::POST, &format!("/pin{query}")).await
    }

    /// Removes the pin.
    pub async fn unpin(&self) -> Result<Answer, ClientError> {
        self.ask(Method::POST, "/unpin").await
    }

    /// Takes the machine down; answered when it is gone.
    pub async fn destroy(&self) -> Result<Answer, ClientError> {
        self.ask(Method::POST, "/destroy").await
    }

    /// Takes the machine down and ends the daemon with it; answered when the machine is gone.
    pub async fn destroy_and_stop(&self) -> Result<Answer, ClientError> {
        self.ask(Method::POST, "/destroy?stop=true").await
    }

    /// Reports that the volume has another size now.
    pub async fn volume_is(&self, volume: &VolumeSummary) -> Result<Answer, ClientError> {
        self.send(Method::PUT, "/volume", Some(volume)).await
    }

    /// Has the settings read again; answered when they hold.
    pub async fn read_settings(&self) -> Result<SettingsReport, ClientError> {
        self.ask(Method::POST, "/settings").await
    }

    /// Ends the daemon. A wake that goes on is called off first, and its server deleted; the answer
    /// says what became of it.
    pub async fn stop(&self) -> Result<Answer, ClientError> {
        self.ask(Method::POST, "/stop").await
    }

    /// Adds a manual forward; answered with its entry in `status`, if it has one already.
    pub async fn add_forward(&self, forward: &ByHand) -> Result<Option<PortStatus>, ClientError> {
        self.send(Method::POST, "/ports", Some(forward)).await
    }

    /// Removes a manual forward.
    pub async fn remove_forward(&self, local: &Local) -> Result<Answer, ClientError> {
        self.send(Method::DELETE, "/ports", Some(local)).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, ClientError> {
        self.send(method, path, None::<&()>).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let mut request = Request::builder().method(method).uri(path).header("Host", "dockbridge");
        let body = match body {
            Some(body) => {
                request = request.header("Content-Type", "application/json");
                serde_json::to_vec(body).map_err(broken)?
            }
            None => Vec::new(),
        };
        let request = request.body(Full::new(Bytes::from(body))).map_err(broken)?;
        let stream = self.connect().await?;
        tokio::time::timeout(LONGEST_ANSWER, exchange(stream, request)).await.map_err(broken)?
    }

    pub(crate) async fn connect(&self) -> Result<UnixStream, ClientError> {
        UnixStream::connect(control_socket(&self.socket))
            .await
            .map_err(|_| ClientError::NotRunning { socket: self.socket.clone() })
    }
}

async fn exchange<T: DeserializeOwned>(
    stream: UnixStream,
    request: Request<Full<Bytes>>,
) -> Result<T, ClientError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(broken)?.to_bytes();
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(broken);
        }
        Err(refused(status, &body))
    };
    // If the connection ends first, the request has the error, or the answer came with the last
    // bytes.
    let driven = async {
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        answer = answer => answer,
        never = driven => never,
    }
}

/// The error in an answer that is no success.
pub(crate) fn refused(status: StatusCode, body: &[u8]) -> ClientError {
    let answer = serde_json::from_slice::<Answer>(body).unwrap_or_default();
    ClientError::Refused(answer.error.unwrap_or_else(|| {
        let message = answer.message.unwrap_or_else(|| format!("the daemon answered {status}"));
        Box::new(Error::new(Code::DaemonRefused, message))
    }))
}

pub(crate) fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
    ClientError::Broken(error.into())
}
