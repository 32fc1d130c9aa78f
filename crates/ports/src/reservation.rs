//! Local ports taken for a container that is about to start.
//!
//! A start that cannot have its ports must fail as Docker's own start fails, and before anything runs.

use std::io;
use std::net::{SocketAddr, TcpListener};

use thiserror::Error;

use crate::docker::Inspected;
use crate::publication::publications;
use crate::{Ports, Reserved};

/// A local port that a container asks for is taken. Displays as dockerd words it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("driver failed programming external connectivity on endpoint {name} ({id}): Bind for {local} failed: {why}")]
pub struct Conflict {
    /// Name of the container.
    pub name: String,
    /// Its full id.
    pub id: String,
    /// The address that is not to be had.
    pub local: SocketAddr,
    /// `port is already allocated`, or the operating system's own words.
    pub why: String,
}

/// Holds local ports for one container. They are given back when it is dropped, unless the container runs by then.
#[must_use = "dropping it gives the ports back"]
pub struct Reservation {
    ports: Ports,
    reference: String,
    /// Full id, once it is known.
    id: Option<String>,
    taken: Vec<SocketAddr>,
}

impl Ports {
    /// Takes the local ports that a container asks for by number, before it is started. `reference` is its id or name as in the request.
    /// Connections that come early wait.
    ///
    /// # Errors
    /// When one of them is taken. An engine that does not know the container, or does not answer, is no error here: the start itself is
    /// going to tell.
    pub async fn reserve(&self, reference: &str) -> Result<Reservation, Conflict> {
        let mut reservation = Reservation { ports: self.clone(), reference: reference.to_owned(), id: None, taken: Vec::new() };
        match self.engine().inspect(reference).await {
            Ok(Some(inspected)) => reservation.take_all(inspected).await?,
            Ok(None) => {}
            Err(error) => tracing::debug!(%reference, %error, "the ports of a container that is to be started are not known"),
        }
        Ok(reservation)
    }
}

impl Reservation {
    /// The container was started: opens its ports, those whose number the engine chose included. Returns when they answer.
    pub async fn open(self) {
        if let Err(error) = self.ports.refresh(&self.reference).await {
            // The events tell it too, as soon as the engine can be asked again.
            tracing::warn!(container = %self.reference, %error, "the ports of a started container are not known yet");
        }
    }

    async fn take_all(&mut self, inspected: Inspected) -> Result<(), Conflict> {
        let Inspected { id, name, host_config, .. } = inspected;
        self.id = Some(id.clone());
        let wanted = publications(&host_config.port_bindings.unwrap_or_default(), self.ports.0.bind);
        for publication in wanted {
            let local = publication.local;
            if let Err(error) = self.take(&id, local).await
                && !publication.optional
            {
                return Err(Conflict { name: name.trim_start_matches('/').to_owned(), id, local, why: reason(&error) });
            }
        }
        Ok(())
    }

    async fn take(&mut self, id: &str, local: SocketAddr) -> io::Result<()> {
        let holder = self.ports.state().table.holder(local).map(str::to_owned);
        match holder {
            // A restart: the port stays open.
            Some(holder) if holder == id => return Ok(()),
            // It may have died a moment ago, with the news still on its way.
            Some(holder) => self.ports.settle(&holder).await,
            None => {}
        }
        let mut state = self.ports.state();
        match state.reserved.get(&local) {
            Some(reserved) if reserved.container == id => return Ok(()),
            Some(_) => return Err(io::ErrorKind::AddrInUse.into()),
            None => {}
        }
        let listener = listen(local)?;
        state.reserved.insert(local, Reserved { container: id.to_owned(), listener });
        self.taken.push(local);
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut state = self.ports.state();
        for local in &self.taken {
            if state.reserved.get(local).is_some_and(|reserved| Some(&reserved.container) == self.id.as_ref()) {
                state.reserved.remove(local);
            }
        }
    }
}

pub(crate) fn listen(local: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(local)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "port is already allocated".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied. Ports below 1024 need root, or a lower net.ipv4.ip_unprivileged_port_start, on this computer".to_owned()
        }
        _ => error.to_string(),
    }
}
