//! The engine's events: a stream of JSON values whose pieces need not end where events do.

use std::collections::BTreeMap;

use bytes::BytesMut;
use http_body_util::BodyExt as _;
use serde::Deserialize;

use crate::error::Error;
use crate::exchange::Body;

/// The largest event, in bytes: about 1 KB is usual, labels make it longer.
const MAX_EVENT: usize = 1 << 20;

/// One event of `GET /events`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
    /// The kind of object, such as `container`.
    #[serde(default, rename = "Type")]
    pub kind: String,
    /// What happened to it, such as `die`.
    #[serde(default)]
    pub action: String,
    /// The object.
    pub actor: Actor,
}

/// The object of an event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Actor {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its labels and name, and the other objects of the event.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// The engine's event stream.
#[derive(Debug)]
pub struct Events {
    body: Body,
    buffer: BytesMut,
}

impl Events {
    pub(crate) fn new(body: Body) -> Self {
        Self { body, buffer: BytesMut::new() }
    }

    /// Waits for events; all that have arrived are returned together. `None` when the engine ends
    /// the stream. Dropping the future loses nothing.
    ///
    /// # Errors
    /// If the stream breaks off, is no JSON, or contains an event of more than 1 MiB.
    pub async fn next(&mut self) -> Result<Option<Vec<Event>>, Error> {
        loop {
            let events = self.parse()?;
            if !events.is_empty() {
                return Ok(Some(events));
            }
            if self.buffer.len() > MAX_EVENT {
                return Err(Error::Body("an event of more than 1 MiB".into()));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(Error::Exchange(error)),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
            }
        }
    }

    /// Takes complete events out of the buffer and leaves a partial one.
    fn parse(&mut self) -> Result<Vec<Event>, Error> {
        let mut whole = Vec::new();
        let mut events = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<Event>();
        let mut read = 0;
        loop {
            match events.next() {
                Some(Ok(event)) => {
                    whole.push(event);
                    read = events.byte_offset();
                }
                Some(Err(error)) if error.is_eof() => break,
                Some(Err(error)) => return Err(Error::Decode(error)),
                None => {
                    read = self.buffer.len();
                    break;
                }
            }
        }
        drop(self.buffer.split_to(read));
        Ok(whole)
    }
}
