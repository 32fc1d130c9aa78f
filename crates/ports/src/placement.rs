//! Which of several addresses a port gets: the one that was asked for, or another where that is taken and the person wants one.
//!
//! How an address is had is the caller's affair, so that the model of the tests places ports as the sockets do.

use std::io;
use std::net::SocketAddr;

use crate::address::Address;
use crate::publication::Twin;
use crate::rules::OnConflict;

/// Where the search for another port begins, above the one that is taken.
const STEP: u16 = 1000;
/// How many are tried.
const TRIES: u16 = 1000;

/// What was had.
#[derive(Debug)]
pub(crate) struct Placed<S> {
    /// With their addresses, the one that was asked for (or what stands for it) first.
    pub(crate) sockets: Vec<(SocketAddr, S)>,
}

impl<S> Placed<S> {
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|(at, _)| *at).collect()
    }
}

/// What was not to be had.
#[derive(Debug)]
pub(crate) struct NotPlaced {
    pub(crate) at: SocketAddr,
    pub(crate) error: io::Error,
}

/// Takes the address that is wanted, and its twin; where one is taken and `on_conflict` says so, both with another number.
pub(crate) fn place<S>(
    wanted: Address,
    twin: Option<Twin>,
    on_conflict: OnConflict,
    mut bind: impl FnMut(SocketAddr) -> io::Result<S>,
) -> Result<Placed<S>, NotPlaced> {
    let port = wanted.at.port();
    let asked_for = match pair(wanted.at, twin, &mut bind) {
        Err(refused) if on_conflict == OnConflict::Increment && is_taken(&refused.error) => refused,
        placed => return placed,
    };
    for another in (STEP..=STEP.saturating_add(TRIES)).filter_map(|step| port.checked_add(step)) {
        match pair(SocketAddr::new(wanted.at.ip(), another), twin, &mut bind) {
            Err(refused) if is_taken(&refused.error) => {}
            placed => return placed,
        }
    }
    Err(asked_for)
}

fn pair<S>(at: SocketAddr, twin: Option<Twin>, bind: &mut impl FnMut(SocketAddr) -> io::Result<S>) -> Result<Placed<S>, NotPlaced> {
    let mut sockets = vec![(at, bind(at).map_err(|error| NotPlaced { at, error })?)];
    if let Some(twin) = twin {
        let at = SocketAddr::new(twin.ip, at.port());
        match bind(at) {
            Ok(socket) => sockets.push((at, socket)),
            Err(error) if twin.needed && is_taken(&error) => return Err(NotPlaced { at, error }),
            Err(_) => {}
        }
    }
    Ok(Placed { sockets })
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}
