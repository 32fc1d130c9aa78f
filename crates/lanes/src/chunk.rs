//! The form of a chunk on a lane: its number, its length, the length of what follows, and that. Pure functions over buffers.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes of the stream in one chunk at most. In chunks of this length zstd finds nine tenths of what it finds in a stream.
pub(crate) const LONGEST: usize = 128 * 1024;
/// Number, length, length as sent; big-endian.
pub(crate) const HEAD: usize = 8 + 4 + 4;

/// A chunk as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Its place in the stream, counted from 0.
    pub(crate) number: u64,
    /// How long it is in the stream; a chunk that is as long as it travels is not compressed.
    pub(crate) length: usize,
    pub(crate) body: Bytes,
}

/// The other side does not keep to the form.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ChunkError {
    #[error("a chunk of {length} bytes that travels as {body} bytes is over the limit")]
    TooLong { length: usize, body: usize },
    #[error("chunk {0} came twice or too late")]
    Repeated(u64),
    #[error("a chunk cannot be unpacked")]
    Damaged,
}

pub(crate) fn put_head(out: &mut BytesMut, number: u64, length: usize, body: usize) {
    let short = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    out.put_u64(number);
    out.put_u32(short(length));
    out.put_u32(short(body));
}

/// Takes one chunk from the front of `inbox`, or nothing while bytes are missing.
pub(crate) fn take(inbox: &mut BytesMut) -> Result<Option<Chunk>, ChunkError> {
    let Some(mut head) = inbox.get(..HEAD) else { return Ok(None) };
    let (number, length, body) = (head.get_u64(), head.get_u32() as usize, head.get_u32() as usize);
    if length == 0 || length > LONGEST || body > length {
        return Err(ChunkError::TooLong { length, body });
    }
    if inbox.len() < HEAD + body {
        return Ok(None);
    }
    inbox.advance(HEAD);
    Ok(Some(Chunk { number, length, body: inbox.split_to(body).freeze() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_chunk_is_taken_when_it_is_whole(number: u64, body in proptest::collection::vec(any::<u8>(), 1..300), more in 0_usize..50, cut in 0_usize..400) {
            let mut bytes = BytesMut::new();
            put_head(&mut bytes, number, body.len() + more, body.len());
            bytes.extend_from_slice(&body);
            let whole = bytes.len();
            let mut part = BytesMut::from(&bytes[..cut.min(whole)]);
            let taken = take(&mut part).unwrap();
            prop_assert_eq!(taken.is_some(), cut >= whole);
            bytes.extend_from_slice(b"next");
            let chunk = take(&mut bytes).unwrap().unwrap();
            prop_assert_eq!(chunk, Chunk { number, length: body.len() + more, body: body.into() });
            prop_assert_eq!(&bytes[..], b"next");
        }

        #[test]
        fn no_bytes_from_outside_panic_or_ask_for_more_than_a_chunk(bytes: Vec<u8>) {
            let mut inbox = BytesMut::from(&bytes[..]);
            if let Ok(Some(chunk)) = take(&mut inbox) {
                prop_assert!(chunk.length <= LONGEST && chunk.body.len() <= chunk.length);
            }
        }
    }

    #[test]
    fn what_no_bundle_sends_is_refused_by_its_head_alone() {
        for (length, body) in [(0, 0), (LONGEST + 1, 1), (4, 5), (LONGEST, LONGEST + 1)] {
            let mut head = BytesMut::new();
            put_head(&mut head, 0, length, body);
            assert_eq!(take(&mut head), Err(ChunkError::TooLong { length, body }));
        }
    }
}
