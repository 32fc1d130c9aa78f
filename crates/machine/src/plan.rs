//! The next step towards a machine, as a pure function of the settings and of what exists. It
//! returns one step at a time: the caller carries it out and observes again, so a step may be cut
//! off anywhere and repeated.

use crate::ladder::{Rung, ladder};
use crate::observed::{Catalogue, Observed, Server, Volume, is_young};
use crate::problem::Problem;
use crate::spec::Spec;
use api::ServerStatus;

/// The next step towards a machine.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Create what is missing, down the ladder until the cloud has a server in stock.
    Create {
        /// The volume, where one exists; all rungs are then in its location.
        volume: Option<Volume>,
        /// Never empty.
        ladder: Vec<Rung>,
    },
    /// Attach the volume to the server.
    Attach {
        /// The volume.
        volume: u64,
        /// The server.
        server: u64,
    },
    /// Start a new server that the cloud has created and left off: it is paid for.
    PowerOn {
        /// The server.
        server: u64,
    },
    /// Delete a server that cannot become the machine. The data is on the volume.
    Delete {
        /// The server.
        server: u64,
        /// Human-readable.
        because: String,
    },
    /// Observe again in a moment.
    Await {
        /// Human-readable.
        what: String,
    },
    /// Server and volume exist: connect.
    Connect(Box<Server>),
}

/// The next step towards exactly one running server with exactly one volume.
pub fn plan(spec: &Spec, observed: &Observed, catalogue: &Catalogue) -> Result<Step, Problem> {
    let volume = match observed.volumes.as_slice() {
        [] => None,
        [volume] => Some(volume),
        several => {
            return Err(Problem::SeveralVolumes {
                ids: several.iter().map(|volume| volume.id).collect(),
            });
        }
    };

    // Of several servers the one with the volume stays, else the oldest: two clients that race
    // agree on it.
    let holder = volume.and_then(|volume| volume.server);
    let mut servers: Vec<&Server> = observed.servers.iter().collect();
    servers.sort_by_key(|server| (holder != Some(server.id), server.id));
    if let [_, .., surplus] = servers.as_slice() {
        return Ok(delete_or_await(surplus, "it is one too many for this profile"));
    }

    let Some(server) = servers.first() else {
        if let Some(Volume { id, server: Some(server), .. }) = volume {
            return Err(Problem::VolumeInUse { volume: *id, server: *server });
        }
        let ladder = ladder(spec, volume, catalogue)?;
        return Ok(Step::Create { volume: volume.cloned(), ladder });
    };

    match server.status {
        ServerStatus::Deleting => Ok(awaits(server, "is being deleted")),
        ServerStatus::Stopping => Ok(awaits(server, "is stopping")),
        ServerStatus::Other => Ok(awaits(server, "is busy")),
        ServerStatus::Off if server.busy => Ok(awaits(server, "is off for a moment")),
        ServerStatus::Off
            if is_young(server.created, observed.at) && could_serve(server, volume) =>
        {
            Ok(Step::PowerOn { server: server.id })
        }
        ServerStatus::Off => Ok(delete_or_await(server, "it is off")),
        ServerStatus::Starting | ServerStatus::Running => with_volume(server, volume),
    }
}

fn awaits(server: &Server, state: &str) -> Step {
    Step::Await { what: format!("server {} {state}", server.name) }
}

/// Whether a server that is off would be kept if it ran.
fn could_serve(server: &Server, volume: Option<&Volume>) -> bool {
    let within_reach = |volume: &Volume| match volume.server {
        Some(attached) => attached == server.id,
        None => volume.location == server.location,
    };
    !server.host_keys.is_empty() && volume.is_some_and(within_reach)
}

fn with_volume(server: &Server, volume: Option<&Volume>) -> Result<Step, Problem> {
    let Some(volume) = volume else {
        // Servers and volumes are two lists, and the cloud may be late with one of them. The
        // server's own list of volumes decides.
        if !server.volumes.is_empty() {
            return Ok(Step::Await {
                what: format!("the list of volumes lacks that of server {}", server.name),
            });
        }
        return Ok(delete_or_await(server, "its volume no longer exists"));
    };
    match volume.server {
        Some(attached) if attached == server.id => {}
        Some(attached) => return Err(Problem::VolumeInUse { volume: volume.id, server: attached }),
        None if volume.location != server.location => {
            return Ok(delete_or_await(server, "it is not where its volume is"));
        }
        // The cloud attaches the volume of a new server after it has started the server. The
        // machine itself waits for its disk, and SSH answers before that: connecting finds out
        // sooner than polling, and costs no requests.
        None if server.busy || server.status == ServerStatus::Starting => {}
        None => return Ok(Step::Attach { volume: volume.id, server: server.id }),
    }
    if server.address.is_none() {
        return Ok(awaits(server, "has no address yet"));
    }
    if server.host_keys.is_empty() {
        let because = "its labels name no host key, and it cannot be trusted without one";
        return Ok(delete_or_await(server, because));
    }
    Ok(Step::Connect(Box::new(server.clone())))
}

fn delete_or_await(server: &Server, because: &str) -> Step {
    match server.status {
        ServerStatus::Deleting => awaits(server, "is being deleted"),
        _ => Step::Delete { server: server.id, because: because.to_owned() },
    }
}

#[cfg(test)]
mod tests;
