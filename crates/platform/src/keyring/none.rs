//! A system without a keyring that dockbridge knows.

use super::{Attributes, KeyringError};

/// The keyring of the user's session.
#[derive(Debug, Clone, Default)]
pub struct Keyring(());

impl Keyring {
    /// Stores a secret, in place of one with the same attributes.
    ///
    /// # Errors
    /// Always.
    pub fn store(&self, _: &str, _: &Attributes<'_>, _: &[u8]) -> Result<(), KeyringError> {
        Err(KeyringError::Unknown)
    }

    /// The secret with these attributes; `None` if there is none.
    ///
    /// # Errors
    /// Always.
    pub fn read(&self, _: &Attributes<'_>) -> Result<Option<Vec<u8>>, KeyringError> {
        Err(KeyringError::Unknown)
    }

    /// Removes the secret with these attributes. Returns whether there was one.
    ///
    /// # Errors
    /// Always.
    pub fn remove(&self, _: &Attributes<'_>) -> Result<bool, KeyringError> {
        Err(KeyringError::Unknown)
    }
}
