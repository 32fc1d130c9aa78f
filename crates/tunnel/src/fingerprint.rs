//! SHA-256 fingerprints of SSH public keys, in OpenSSH's format and in one that fits a cloud label.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, BASE64_NOPAD};
use russh::keys::PublicKey;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// SHA-256 of a public key blob. Displays as `ssh-keygen -l` shows it, `SHA256:…`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

/// The text is not a fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a SHA-256 fingerprint of an SSH key")]
pub struct NotAFingerprint(String);

impl Fingerprint {
    /// The fingerprint of a key.
    pub fn of(key: &PublicKey) -> Self {
        use russh::keys::PublicKeyBase64;
        Self(Sha256::digest(key.public_key_bytes()).into())
    }

    /// The fingerprint in lower-case base32, 52 characters. A Hetzner label allows up to 63
    /// characters, and no `+`, `/` or `:`.
    pub fn to_label(&self) -> String {
        BASE32_NOPAD.encode(&self.0).to_ascii_lowercase()
    }

    /// The reverse of [`Fingerprint::to_label`].
    pub fn from_label(label: &str) -> Result<Self, NotAFingerprint> {
        let bytes = BASE32_NOPAD.decode(label.to_ascii_uppercase().as_bytes()).ok();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| NotAFingerprint(label.into()))
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let bytes = text
            .strip_prefix("SHA256:")
            .and_then(|base64| BASE64_NOPAD.decode(base64.as_bytes()).ok());
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| NotAFingerprint(text.into()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", BASE64_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "ssh-ed25519 \
        AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

    #[test]
    fn it_equals_the_output_of_ssh_keygen() {
        let key = PublicKey::from_openssh(KEY).unwrap();
        assert_eq!(
            Fingerprint::of(&key).to_string(),
            key.fingerprint(russh::keys::HashAlg::Sha256).to_string()
        );
    }

    proptest! {
        #[test]
        fn both_formats_can_be_parsed_again(bytes: [u8; 32]) {
            let fingerprint = Fingerprint(bytes);
            let label = fingerprint.to_label();
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            prop_assert!(label.len() <= 63 && label.chars().all(allowed));
            prop_assert_eq!(Fingerprint::from_label(&label), Ok(fingerprint));
            prop_assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        }

        #[test]
        fn other_text_is_refused(text in ".{0,60}") {
            prop_assume!(text.len() != 52);
            prop_assert!(Fingerprint::from_label(&text).is_err());
            prop_assert!(text.parse::<Fingerprint>().is_err());
        }
    }
}
