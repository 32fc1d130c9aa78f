//! Decides which address a port gets: the wanted one, or another if it is in use and the settings
//! say so.
//!
//! The caller binds addresses, so that the tests' model places ports as real sockets do.

use std::io;
use std::net::SocketAddr;

use crate::address::Address;
use crate::listening::Listening;
use crate::publication::{Claim, Twin};
use crate::rules::OnConflict;

/// The distance at which the search for another port begins, above the one in use, or below it if
/// there is none above.
const STEP: u16 = 1000;
/// How many ports are tried.
const TRIES: u16 = 1000;

/// The sockets of a placed listener.
#[derive(Debug)]
pub(crate) struct Placed<S> {
    /// Sockets with their addresses, the wanted one or its replacement first.
    pub(crate) sockets: Vec<(SocketAddr, S)>,
}

impl<S> Placed<S> {
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|(at, _)| *at).collect()
    }
}

/// An address that is not available.
#[derive(Debug)]
pub(crate) struct NotPlaced {
    pub(crate) at: SocketAddr,
    pub(crate) error: io::Error,
}

impl NotPlaced {
    /// Whether this is acceptable: only an address family is missing here, and a listener with two
    /// addresses can do without it.
    pub(crate) fn is_missing_family(&self, listening: &Listening) -> bool {
        listening.twin.is_some() && is_missing(&self.error)
    }
}

/// Binds the wanted address, and its twin if the container owns it. If one is in use and
/// `on_conflict` says so, binds both with another port. Lent addresses are added later, by
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
        // This computer lacks the address family; only the other address remains.
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

/// This computer does not have the address.
fn is_missing(error: &io::Error) -> bool {
    !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}
