//! What a listener is: its key, its destination and its addresses.

use std::net::SocketAddr;

use api::Remote;

use crate::address::Address;
use crate::publication::{Claim, Twin};

/// The key of a listener: its container and the wanted address. Two containers may want one
/// address; then one of them has it, or both have another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) wanted: Address,
    /// Full id of the container.
    pub(crate) container: String,
    /// The user wants it, not the container.
    pub(crate) by_hand: bool,
}

/// A listener, wanted or open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listening {
    pub(crate) slot: Slot,
    pub(crate) claim: Claim,
    pub(crate) twin: Option<Twin>,
    /// Name of the container without the slash.
    pub(crate) name: String,
    /// Its destination on the machine.
    pub(crate) remote: Remote,
    /// Port of the container.
    pub(crate) inside: u16,
}

impl Listening {
    /// Its addresses with this port, the wanted one first, each with its claim.
    pub(crate) fn places(&self, port: u16) -> impl Iterator<Item = (SocketAddr, Claim)> + use<> {
        let wanted = (self.slot.wanted.at.ip(), self.claim);
        let twin = self.twin.map(|twin| (twin.ip, twin.claim));
        std::iter::once(wanted)
            .chain(twin)
            .map(move |(ip, claim)| (SocketAddr::new(ip, port), claim))
    }

    /// Whether it has this address without owning it.
    pub(crate) fn is_lent(&self, at: SocketAddr) -> bool {
        self.places(at.port()).any(|(place, claim)| place == at && claim == Claim::Spare)
    }
}

/// An open listener with its addresses.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) listening: Listening,
    /// The wanted address, or its replacement, first.
    pub(crate) at: Vec<SocketAddr>,
}

/// A manual forward: it listens while its container runs, and no published port gets its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manual {
    pub(crate) container: String,
    pub(crate) inside: u16,
    pub(crate) twin: Option<Twin>,
}
