//! The calls that dockbridge makes, and how their answers are read.

use bytes::Bytes;
use http::{Method, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::connector::Connector;
use crate::container::{ContainerInspect, ContainerSummary};
use crate::error::Error;
use crate::events::Events;
use crate::exchange::{Body, request, send};
use crate::info::Info;
use crate::network::Network;
use crate::service::Service;

/// The largest answer, in bytes, unless the caller sets another limit. 10,000 containers in a list
/// are about 10 MB.
const MAX_ANSWER: usize = 64 << 20;

/// The largest refusal, in bytes; it is a sentence.
const MAX_REFUSAL: usize = 1 << 20;

/// The engine behind a connector. Each call opens a stream of its own and takes as long as the
/// engine takes; a dropped call closes its stream.
#[derive(Debug, Clone, Copy)]
pub struct Client<C> {
    connector: C,
    max_answer: usize,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl<C: Connector> Client<C> {
    /// The engine that `connector` opens streams to.
    pub fn new(connector: C) -> Self {
        Self { connector, max_answer: MAX_ANSWER }
    }

    /// Reads no answer of more bytes than this.
    pub fn with_max_answer(self, bytes: usize) -> Self {
        Self { max_answer: bytes, ..self }
    }

    /// `GET /_ping`. systemd accepts connections for a dockerd that is starting, so the answer may
    /// take long.
    pub async fn ping(&self) -> Result<(), Error> {
        let body = self.call(Method::GET, "/_ping").await?;
        read(body, self.max_answer).await.map(drop)
    }

    /// `GET /info`, which is fast however many containers there are.
    pub async fn info(&self) -> Result<Info, Error> {
        self.get("/info").await
    }

    /// `GET /containers/json`: the running containers.
    pub async fn containers(&self) -> Result<Vec<ContainerSummary>, Error> {
        self.get("/containers/json").await
    }

    /// `GET /containers/{id}/json`. `reference` is an id, its beginning, or a name. Returns `None`
    /// if there is no such container.
    pub async fn inspect(&self, reference: &str) -> Result<Option<ContainerInspect>, Error> {
        match self.get(&format!("/containers/{reference}/json")).await {
            Ok(inspected) => Ok(Some(inspected)),
            Err(Error::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `POST /containers/{id}/start`. It succeeds for a container that runs already.
    pub async fn start(&self, reference: &str) -> Result<(), Error> {
        match self.call(Method::POST, &format!("/containers/{reference}/start")).await {
            Ok(_) | Err(Error::Refused { status: StatusCode::NOT_MODIFIED, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// `POST /containers/{id}/kill`
    pub async fn kill(&self, reference: &str) -> Result<(), Error> {
        self.call(Method::POST, &format!("/containers/{reference}/kill")).await.map(drop)
    }

    /// `GET /services`. An engine that manages no swarm refuses it.
    pub async fn services(&self) -> Result<Vec<Service>, Error> {
        self.get("/services").await
    }

    /// `GET /networks`: all networks, without their containers.
    pub async fn networks(&self) -> Result<Vec<Network>, Error> {
        self.get("/networks").await
    }

    /// `GET /networks/{id}`: one network, with its containers. An engine that has none of that name
    /// refuses it.
    pub async fn network(&self, reference: &str) -> Result<Network, Error> {
        self.get(&format!("/networks/{reference}")).await
    }

    /// `GET /events`. `filters` is JSON of the API, percent-encoded. Returns when the engine has
    /// subscribed the stream.
    pub async fn events(&self, filters: &str) -> Result<Events, Error> {
        let body = self.call(Method::GET, &format!("/events?filters={filters}")).await?;
        Ok(Events::new(body))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let body = self.call(Method::GET, path).await?;
        serde_json::from_slice(&read(body, self.max_answer).await?).map_err(Error::Decode)
    }

    /// Sends a request. Returns the body of a success, unread.
    async fn call(&self, method: Method, path: &str) -> Result<Body, Error> {
        let uri: Uri = path.parse().map_err(|_| Error::Refused {
            status: StatusCode::BAD_REQUEST,
            message: format!("{path:?} is not a path of the Docker API"),
        })?;
        let stream = self.connector.connect().await.map_err(|error| Error::Open(error.into()))?;
        let response = send(stream, request(method, uri)).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response.into_body());
        }
        let body = read(response.into_body(), MAX_REFUSAL).await?;
        Err(Error::Refused { status, message: message(&body) })
    }
}

async fn read(body: Body, max: usize) -> Result<Bytes, Error> {
    Ok(Limited::new(body, max).collect().await.map_err(Error::Body)?.to_bytes())
}

/// Docker's message, or the text of a proxy in between.
fn message(body: &[u8]) -> String {
    serde_json::from_slice(body).map_or_else(
        |_| String::from_utf8_lossy(body).trim().to_owned(),
        |refusal: Refusal| refusal.message,
    )
}
