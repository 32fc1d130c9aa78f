//! The login keys of the owner's other computers, as they were seen last.

use std::sync::{Mutex, PoisonError};

use russh::keys::PublicKey;
use tunnel::Fingerprint;

/// A login key of another computer of this owner.
#[derive(Debug, Clone)]
pub(super) struct Login {
    /// The cloud's id of the key.
    pub(super) id: u64,
    pub(super) key: PublicKey,
}

impl Login {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.key)
    }
}

/// The other computers' login keys.
#[derive(Debug, Default)]
pub(super) struct Logins(Mutex<Vec<Login>>);

impl Logins {
    pub(super) fn learn(&self, logins: Vec<Login>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = logins;
    }

    pub(super) fn known(&self) -> Vec<Login> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
