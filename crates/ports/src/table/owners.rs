//! The owners of local addresses, so that a lent address goes to its owner.

use std::collections::BTreeMap;

use crate::address::Address;
use crate::listening::{Listening, Slot};
use crate::publication::Claim;
use api::Protocol;

/// The owners of addresses, by protocol and port. Two containers may own one address for a moment,
/// while an observation of one of them is in progress.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners(BTreeMap<(Protocol, u16), Vec<(Address, Slot)>>);

impl Owners {
    /// The owners among the wanted listeners. Published ports that a manual forward displaces own
    /// nothing.
    pub(super) fn of<'a>(wanted: impl Iterator<Item = &'a Listening>, claimed: &[Address]) -> Self {
        let mut owners = Self::default();
        for listening in wanted {
            let Slot { wanted, by_hand, .. } = listening.slot;
            let own = |at| Address { at, ..wanted };
            let own: Vec<Address> = (listening.places(wanted.at.port()))
                .filter(|(_, claim)| *claim == Claim::Own)
                .map(|(at, _)| own(at))
                .collect();
            let displaced = !by_hand
                && own.iter().any(|own| claimed.iter().any(|claimed| claimed.overlaps(*own)));
            if !displaced {
                let of_port = owners.0.entry((wanted.protocol, wanted.at.port())).or_default();
                of_port.extend(own.into_iter().map(|own| (own, listening.slot.clone())));
            }
        }
        owners
    }

    /// Whether a listener other than this one owns the address.
    pub(super) fn other_than(&self, slot: &Slot, address: Address) -> bool {
        let of_port = self.0.get(&(address.protocol, address.at.port()));
        of_port.into_iter().flatten().any(|(own, owner)| owner != slot && own.overlaps(address))
    }
}
