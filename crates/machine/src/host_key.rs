//! SSH keys that dockbridge makes: the first host key of a new machine, and the user's login key.

use std::fmt;

use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};
use tunnel::Fingerprint;

/// A host key that dockbridge made.
pub struct HostKey {
    /// The key.
    pub private: PrivateKey,
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostKey({})", self.fingerprint())
    }
}

impl HostKey {
    /// A new ed25519 key.
    pub fn generate() -> Result<Self, russh::keys::ssh_key::Error> {
        Ok(Self { private: generate_key("dockbridge")? })
    }

    /// Its fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.private.public_key())
    }
}

/// A new ed25519 key with a comment.
pub fn generate_key(comment: &str) -> Result<PrivateKey, russh::keys::ssh_key::Error> {
    let pair = Ed25519Keypair::from_seed(&rand::random());
    PrivateKey::new(pair.into(), comment)
}

/// Reads a public key in OpenSSH's form, as a machine prints it.
pub fn parse_public(text: &str) -> Result<PublicKey, russh::keys::ssh_key::Error> {
    PublicKey::from_openssh(text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_fits_a_label_and_is_read_back_from_it() {
        let fingerprint = HostKey::generate().unwrap().fingerprint();
        let label = fingerprint.to_label();
        assert!(
            label.len() <= 63 && label.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{label}"
        );
        assert_eq!(Fingerprint::from_label(&label).unwrap(), fingerprint);
    }

    #[test]
    fn debug_output_shows_no_host_key() {
        let key = HostKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("HostKey({})", key.fingerprint()));
    }
}
