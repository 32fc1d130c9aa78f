//! Forwards that a person adds and removes while the daemon runs.

use std::net::SocketAddr;

use thiserror::Error;

use crate::Ports;
use crate::address::Address;
use crate::listen::{listen, reason};
use crate::manual::{ByHand, Local};
use crate::publication::{Claim, Twin, twin};
use crate::status::PortStatus;
use crate::table;

/// Why a forward was not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddError {
    /// There is one at this address.
    #[error(
        "a forward made by hand listens on {local} already: `dockbridge ports remove {local}` \
        removes it"
    )]
    Exists {
        /// The address.
        local: Address,
    },
    /// The address is not to be had.
    #[error("{local} cannot be listened on: {why}")]
    Taken {
        /// The address.
        local: Address,
        /// In words for a person.
        why: String,
    },
    /// It could be reached from elsewhere.
    #[error(
        "{local} could be reached from other computers: set `ports.bind` to an address that is no \
            loopback address if that is what you want"
    )]
    Exposed {
        /// The address.
        local: Address,
    },
}

impl Ports {
    /// Makes a forward to a port of a container, published or not. It wins over published ports:
    /// one that has this address gives it up. It listens while its container runs, and holds until
    /// it is removed or the daemon ends.
    ///
    /// # Errors
    /// When the address is not to be had, or could be reached from elsewhere without `bind`
    /// allowing that.
    pub fn add(&self, forward: ByHand) -> Result<Vec<PortStatus>, AddError> {
        let bind = self.0.options.bind;
        let local = forward.local.at(bind);
        if !local.at.ip().is_loopback() && bind.is_loopback() {
            return Err(AddError::Exposed { local });
        }
        let twin = forward
            .local
            .address
            .is_none()
            .then(|| twin(bind))
            .flatten()
            .map(|ip| Twin { ip, claim: Claim::Spare });
        {
            let mut state = self.state();
            let entry =
                table::ByHand { container: forward.container.clone(), inside: forward.port, twin };
            let Some(actions) = state.table.add(local, entry) else {
                return Err(AddError::Exists { local });
            };
            state.sleepers.give_up(local.at.port());
            self.carry_out(&mut state, actions);
            if state.table.waiting().any(|(address, _)| address == local)
                && let Err(error) = listen(local)
            {
                let why = reason(&error, local.at);
                let undone = state.table.remove(local).unwrap_or_default();
                self.carry_out(&mut state, undone);
                return Err(AddError::Taken { local, why });
            }
        }
        let made = self.at(local.at);
        if let Some(PortStatus { state: crate::PortState::Unavailable { why }, .. }) = made.first()
        {
            let why = why.clone();
            self.remove(forward.local);
            return Err(AddError::Taken { local, why });
        }
        Ok(made)
    }

    /// Removes a forward that was made by hand; `false` when there is none there.
    pub fn remove(&self, local: Local) -> bool {
        let mut state = self.state();
        let Some(actions) = state.table.remove(local.at(self.0.options.bind)) else { return false };
        self.carry_out(&mut state, actions);
        true
    }

    fn at(&self, local: SocketAddr) -> Vec<PortStatus> {
        self.list().into_iter().filter(|status| status.by_hand && status.local == local).collect()
    }
}
