//! Manual forwards: adding and removing them while the daemon runs.

use std::net::{IpAddr, SocketAddr};

use api::{ByHand, Local, PortState, PortStatus};
use thiserror::Error;

use crate::address::Address;
use crate::listen::{listen, reason};
use crate::listening::Manual;
use crate::ports::Ports;
use crate::publication::{Claim, Twin, twin};

/// The address of a forward, `bind` if it names none.
fn address_of(local: Local, bind: IpAddr) -> Address {
    Address {
        protocol: local.protocol,
        at: SocketAddr::new(local.address.unwrap_or(bind), local.port),
    }
}

/// Why a manual forward was not made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddError {
    /// There is one at this address.
    #[error("a forward made by hand listens on {local} already")]
    Exists {
        /// The address.
        local: Address,
    },
    /// The address is not available.
    #[error("{local} cannot be listened on: {why}")]
    Taken {
        /// The address.
        local: Address,
        /// The reason, human-readable.
        why: String,
    },
    /// It could be reached from other computers.
    #[error("{local} could be reached from other computers")]
    Exposed {
        /// The address.
        local: Address,
    },
}

impl Ports {
    /// Makes a forward to a port of a container, published or not. It wins over published ports:
    /// one that has this address gives it up. It listens while its container runs, and lasts until
    /// it is removed or the daemon ends.
    ///
    /// # Errors
    /// If the address is not available, or could be reached from other computers without `bind`
    /// allowing that.
    pub fn add(&self, forward: ByHand) -> Result<Vec<PortStatus>, AddError> {
        let bind = self.environment().options.bind;
        let local = address_of(forward.local, bind);
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
            let entry = Manual { container: forward.container.clone(), inside: forward.port, twin };
            let Some(actions) = state.table.add(local, entry) else {
                return Err(AddError::Exists { local });
            };
            state.sleepers.give_up(local.at.port());
            state.carry_out(self.environment(), actions);
            if state.table.waiting().any(|(address, _)| address == local)
                && let Err(error) = listen(local)
            {
                let why = reason(&error, local.at);
                let undone = state.table.remove(local).unwrap_or_default();
                state.carry_out(self.environment(), undone);
                return Err(AddError::Taken { local, why });
            }
        }
        let made = self.at(local.at);
        if let Some(PortStatus { state: PortState::Unavailable { why }, .. }) = made.first() {
            let why = why.clone();
            self.remove(forward.local);
            return Err(AddError::Taken { local, why });
        }
        Ok(made)
    }

    /// Removes a manual forward; `false` if there is none at this address.
    pub fn remove(&self, local: Local) -> bool {
        let mut state = self.state();
        let Some(actions) = state.table.remove(address_of(local, self.environment().options.bind))
        else {
            return false;
        };
        state.carry_out(self.environment(), actions);
        true
    }

    fn at(&self, local: SocketAddr) -> Vec<PortStatus> {
        self.list().into_iter().filter(|status| status.by_hand && status.local == local).collect()
    }
}
