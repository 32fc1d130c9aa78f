//! Frames: a big-endian `u32` length, then that many bytes of JSON. Pure functions over buffers;
//! the callers read and write.

use serde::{Serialize, de::DeserializeOwned};

/// The longest frame that either side accepts, in bytes. A heartbeat with its report is under 1
/// KiB; the largest frame is a call with a token.
pub const MAX_FRAME: usize = 64 * 1024;

/// A frame that cannot be sent or decoded.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The announced length, or that of a frame to be sent, exceeds [`MAX_FRAME`].
    #[error("a frame of {0} bytes is over the limit of {MAX_FRAME}")]
    TooLong(usize),
    /// The bytes are not JSON of the expected shape.
    #[error("a frame cannot be decoded")]
    Malformed(#[source] serde_json::Error),
}

/// Encodes one frame including its length.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, value).map_err(FrameError::Malformed)?;
    let length = bytes.len() - 4;
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    bytes[..4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    Ok(bytes)
}

/// How many bytes are missing as far as `buffer` shows: first those of the length, then those of
/// the frame; 0 when one frame is complete. A reader that reads exactly this many and asks again
/// reads no byte that belongs to what follows.
pub fn missing(buffer: &[u8]) -> Result<usize, FrameError> {
    let Some((head, body)) = buffer.split_first_chunk::<4>() else { return Ok(4 - buffer.len()) };
    Ok(length(*head)?.saturating_sub(body.len()))
}

/// Decodes the frame at the front of `buffer`: its value and how many bytes it took, or `None`
/// while bytes are missing.
pub fn decode<T: DeserializeOwned>(buffer: &[u8]) -> Result<Option<(T, usize)>, FrameError> {
    let Some((head, rest)) = buffer.split_first_chunk::<4>() else { return Ok(None) };
    let length = length(*head)?;
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let value = serde_json::from_slice(body).map_err(FrameError::Malformed)?;
    Ok(Some((value, 4 + length)))
}

fn length(head: [u8; 4]) -> Result<usize, FrameError> {
    let length = u32::from_be_bytes(head) as usize;
    if length > MAX_FRAME { Err(FrameError::TooLong(length)) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Call, Opening};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn encoded_frames_are_decoded_at_every_split(host in ".{0,40}", port: u16, tail: Vec<u8>) {
            let opening = Opening::Tcp { host, port, request: None };
            let mut bytes = encode(&opening).unwrap();
            let length = bytes.len();
            for cut in 0..length {
                prop_assert!(decode::<Opening>(&bytes[..cut]).unwrap().is_none());
                let end = if cut < 4 { 4 } else { length };
                prop_assert_eq!(missing(&bytes[..cut]).unwrap(), end - cut);
            }
            prop_assert_eq!(missing(&bytes).unwrap(), 0);
            bytes.extend(tail);
            prop_assert_eq!(missing(&bytes).unwrap(), 0);
            prop_assert_eq!(decode::<Opening>(&bytes).unwrap(), Some((opening, length)));
        }

        #[test]
        fn arbitrary_input_does_not_panic(bytes: Vec<u8>) {
            let _ = decode::<Opening>(&bytes);
        }
    }

    #[test]
    fn an_announced_length_over_the_limit_is_refused_before_the_bytes_arrive() {
        let bytes = (MAX_FRAME as u32 + 1).to_be_bytes();
        assert!(matches!(decode::<Opening>(&bytes), Err(FrameError::TooLong(_))));
        assert!(matches!(missing(&bytes), Err(FrameError::TooLong(_))));
        let long =
            Opening::Call(Call::Release { client: "x".repeat(MAX_FRAME), unless_used: true });
        assert!(matches!(encode(&long), Err(FrameError::TooLong(_))));
    }
}
