//! Datagrams in a stream: a big-endian `u16` length, then that many bytes, in both directions. Pure
//! functions over buffers.

/// The longest datagram, in bytes; UDP's own limit is slightly lower.
pub const MAX: usize = u16::MAX as usize;

/// The header of a datagram of this length. Longer datagrams do not exist; of one that did, only
/// the beginning would be sent.
pub fn header(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

/// The first datagram of `buffer` and how many bytes it took including its header, or `None` while
/// bytes are missing.
pub fn split(buffer: &[u8]) -> Option<(&[u8], usize)> {
    let (head, rest) = buffer.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*head));
    Some((rest.get(..length)?, 2 + length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn datagrams_keep_their_boundaries_at_every_split(
            datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            cut: usize,
        ) {
            let bytes: Vec<u8> = datagrams
                .iter()
                .flat_map(|one| [&header(one.len())[..], one].concat())
                .collect();
            let cut = cut % (bytes.len() + 1);
            let (mut received, mut seen) = (Vec::new(), Vec::new());
            for piece in [&bytes[..cut], &bytes[cut..]] {
                received.extend_from_slice(piece);
                while let Some((one, length)) = split(&received) {
                    seen.push(one.to_vec());
                    received.drain(..length);
                }
            }
            prop_assert!(received.is_empty());
            prop_assert_eq!(seen, datagrams);
        }
    }

    #[test]
    fn the_longest_datagram_has_a_length() {
        assert_eq!(header(MAX), [0xff, 0xff]);
        assert_eq!(split(&[0, 1]), None);
    }
}
