//! The id of a request: the same in every log that the request passes, and in its error.

use std::fmt;

/// The length in characters, each of five bits.
const LENGTH: usize = 12;
/// Base32 of RFC 4648 in lower case, so that a double click selects all of an id.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Names one request of a Docker client, one command of the control socket, or one connection to a
/// published port. Among a million requests, two have the same id with a probability of 1 in
/// 2,000,000.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; LENGTH]);

impl RequestId {
    /// The id of the lower 60 bits of a random number.
    pub fn new(random: u64) -> Self {
        let five_bits = |at: usize| random >> (5 * at) & 0x1f;
        Self(std::array::from_fn(|at| ALPHABET[five_bits(at) as usize]))
    }

    /// Twelve letters and digits.
    pub fn as_str(&self) -> &str {
        // The alphabet is ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_has_twelve_printable_characters_of_five_bits_each() {
        assert_eq!(RequestId::new(0).as_str(), "aaaaaaaaaaaa");
        assert_eq!(RequestId::new(u64::MAX).as_str(), "777777777777");
        assert_eq!(RequestId::new(1 | 2 << 5 | 31 << 55).to_string(), "bcaaaaaaaaa7");
        assert_ne!(RequestId::new(1), RequestId::new(2));
        assert!(size_of::<RequestId>() <= 16, "it is carried by each stream");
    }
}
