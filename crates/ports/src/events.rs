//! The engine's events: which containers changed, and whether services did.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;

use bytes::BytesMut;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::Deserialize;
use tokio_util::task::AbortOnDropHandle;

use crate::engine_error::EngineError;

/// The largest event, in bytes: about 1 KB is usual, labels make it longer.
const MAX_EVENT: usize = 1 << 20;

/// `{"type":["container","network","service"],"event":["start","die","destroy","rename","connect",
/// "disconnect","create","update","remove"]}`, percent-encoded. A pause is not included: a paused
/// container keeps its ports. The last three are needed for services; those of other objects are
/// ignored.
pub(crate) const EVENTS: &str = "%7B%22type%22%3A%5B%22container%22%2C%22network%22%2C%22service\
                                 %22%5D%2C%22event%22%3A%5B%22start%22%2C%22die%22%2C%22destroy\
                                 %22%2C%22rename%22%2C%22connect%22%2C%22disconnect%22%2C%22create\
                                 %22%2C%22update%22%2C%22remove%22%5D%7D";

/// What has changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Ids of containers.
    pub(crate) containers: BTreeSet<String>,
    /// Services of a swarm have changed.
    pub(crate) services: bool,
}

/// The engine's event stream.
pub(crate) struct Events {
    body: Incoming,
    buffer: BytesMut,
    _connection: AbortOnDropHandle<()>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    #[serde(default, rename = "Type")]
    kind: String,
    #[serde(default)]
    action: String,
    actor: Actor,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl Event {
    fn add_to(mut self, changes: &mut Changes) {
        match self.kind.as_str() {
            "service" => changes.services = true,
            _ if matches!(self.action.as_str(), "create" | "update" | "remove") => {}
            // The event names the network, and the container in its attributes.
            "network" => changes.containers.extend(self.actor.attributes.remove("container")),
            _ => drop(changes.containers.insert(self.actor.id)),
        }
    }
}

impl Events {
    pub(crate) fn new(body: Incoming, connection: AbortOnDropHandle<()>) -> Self {
        Self { body, buffer: BytesMut::new(), _connection: connection }
    }

    /// Waits for changes; changes that arrived meanwhile are merged. `None` when the engine ends
    /// the stream. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Changes>, EngineError> {
        loop {
            let changes = self.parse()?;
            if changes.services || !changes.containers.is_empty() {
                return Ok(Some(changes));
            }
            if self.buffer.len() > MAX_EVENT {
                return Err(EngineError::Body("an event of more than 1 MiB".into()));
            }
            match Pin::new(&mut self.body).frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(EngineError::Exchange(error)),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
            }
        }
    }

    /// Takes complete events out of the buffer and leaves a partial one. Chunks need not end where
    /// events do.
    fn parse(&mut self) -> Result<Changes, EngineError> {
        let mut changes = Changes::default();
        let mut events = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<Event>();
        let mut read = 0;
        loop {
            match events.next() {
                Some(Ok(event)) => {
                    event.add_to(&mut changes);
                    read = events.byte_offset();
                }
                Some(Err(error)) if error.is_eof() => break,
                Some(Err(error)) => return Err(EngineError::Decode(error)),
                None => {
                    read = self.buffer.len();
                    break;
                }
            }
        }
        drop(self.buffer.split_to(read));
        Ok(changes)
    }
}
