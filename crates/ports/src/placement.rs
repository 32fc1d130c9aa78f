//! Which of several addresses a port gets: the one that was asked for, or another where that is
//! taken and the person wants one.
//!
//! How an address is had is the caller's affair, so that the model of the tests places ports as the
//! sockets do.

use std::io;
use std::net::SocketAddr;

use crate::address::Address;
use crate::listening::Listening;
use crate::publication::{Claim, Twin};
use crate::rules::OnConflict;

/// Where the search for another port begins, above the one that is taken, or below it where there
/// is none above.
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

impl NotPlaced {
    /// Whether it is no fault: all that is missing here is an address family, which a listener with
    /// two addresses may do without.
    pub(crate) fn is_for_want_of_a_family(&self, listening: &Listening) -> bool {
        listening.twin.is_some() && is_missing(&self.error)
    }
}

/// Takes the address that is wanted, and its twin if the container owns it; where one is taken and
/// `on_conflict` says so, both with another number. What is lent is added later, by
/// `Table::lendable`.
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
    for another in (STEP..=STEP.saturating_add(TRIES))
        .filter_map(|step| port.checked_add(step).or_else(|| port.checked_sub(step)))
    {
        match pair(SocketAddr::new(wanted.at.ip(), another), twin, &mut bind) {
            Err(refused) if is_taken(&refused.error) => {}
            placed => return placed,
        }
    }
    Err(asked_for)
}

fn pair<S>(
    at: SocketAddr,
    twin: Option<Twin>,
    bind: &mut impl FnMut(SocketAddr) -> io::Result<S>,
) -> Result<Placed<S>, NotPlaced> {
    let twin = twin.map(|twin| (SocketAddr::new(twin.ip, at.port()), twin));
    let wanted = match (bind(at), twin) {
        (Ok(socket), _) => Ok(socket),
        // This computer has not this address family: the other address is all there is.
        (Err(error), Some(_)) if is_missing(&error) => Err(error),
        (Err(error), _) => return Err(NotPlaced { at, error }),
    };
    let another = match twin {
        Some((at, twin)) if twin.claim == Claim::Own || wanted.is_err() => match bind(at) {
            Ok(socket) => Some((at, socket)),
            Err(error) if wanted.is_ok() && twin.claim == Claim::Own && is_taken(&error) => {
                return Err(NotPlaced { at, error });
            }
            Err(_) => None,
        },
        _ => None,
    };
    match (wanted, another) {
        (Ok(socket), another) => {
            Ok(Placed { sockets: std::iter::once((at, socket)).chain(another).collect() })
        }
        (Err(_), Some(another)) => Ok(Placed { sockets: vec![another] }),
        (Err(error), None) => Err(NotPlaced { at, error }),
    }
}

/// The address is none of this computer's.
fn is_missing(error: &io::Error) -> bool {
    !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}
