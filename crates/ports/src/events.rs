//! What the engine's events change: which containers, and whether services did.

use std::collections::BTreeSet;

use engine::{Error, Event};

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

impl Changes {
    fn add(&mut self, mut event: Event) {
        match event.kind.as_str() {
            "service" => self.services = true,
            _ if matches!(event.action.as_str(), "create" | "update" | "remove") => {}
            // The event names the network, and the container in its attributes.
            "network" => self.containers.extend(event.actor.attributes.remove("container")),
            _ => drop(self.containers.insert(event.actor.id)),
        }
    }
}

/// The engine's event stream.
pub(crate) struct Events(engine::Events);

impl Events {
    pub(crate) fn new(events: engine::Events) -> Self {
        Self(events)
    }

    /// Waits for changes; changes that arrived meanwhile are merged. `None` when the engine ends
    /// the stream. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Option<Changes>, Error> {
        while let Some(events) = self.0.next().await? {
            let mut changes = Changes::default();
            events.into_iter().for_each(|event| changes.add(event));
            if changes.services || !changes.containers.is_empty() {
                return Ok(Some(changes));
            }
        }
        Ok(None)
    }
}
