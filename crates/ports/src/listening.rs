//! What a listener is: its key, its destination and its addresses.

use std::net::SocketAddr;

use crate::address::Address;
use crate::publication::{Claim, Remote, Twin};

/// What a listener is known by: who wants it, and where. Two containers may want one address; then
/// one of them has it, or both have another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) wanted: Address,
    /// Full id of the container.
    pub(crate) container: String,
    /// A person wants it, not the container.
    pub(crate) by_hand: bool,
}

/// One listener, as wanted or as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listening {
    pub(crate) slot: Slot,
    pub(crate) claim: Claim,
    pub(crate) twin: Option<Twin>,
    /// Name of the container without the slash.
    pub(crate) name: String,
    /// Where it leads there.
    pub(crate) remote: Remote,
    /// Port of the container.
    pub(crate) inside: u16,
}

impl Listening {
    /// Its addresses under this number, the one that is wanted first, and by which right it has
    /// each.
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

/// A listener with the addresses that it has.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) listening: Listening,
    /// What stands for the wanted address first.
    pub(crate) at: Vec<SocketAddr>,
}
