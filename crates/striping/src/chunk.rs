//! The wire format of a chunk: number, length, length as sent, form, body. Pure functions over
//! buffers.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The largest number of stream bytes in one chunk: a zstd block.
pub(crate) const LONGEST: usize = 128 * 1024;
/// Number, length and length as sent, big-endian, then the form.
pub(crate) const HEAD: usize = 8 + 4 + 4 + 1;

/// How a chunk's body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Uncompressed.
    Plain,
    /// The start of a compressed stream.
    Begun,
    /// A continuation of the compressed stream.
    Continued,
}

/// A chunk as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Its position in the stream, counted from 0.
    pub(crate) number: u64,
    /// Its length in the stream, decompressed.
    pub(crate) length: usize,
    pub(crate) form: Form,
    pub(crate) body: Bytes,
}

/// The other side violates the format.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum ChunkError {
    #[error("a chunk of {length} bytes, sent as {body} bytes, is over the limit")]
    TooLong { length: usize, body: usize },
    #[error("a chunk has the unknown form {0}")]
    UnknownForm(u8),
    #[error("chunk {0} arrived twice or too late")]
    Repeated(u64),
    #[error("a chunk cannot be decompressed")]
    Damaged,
}

pub(crate) fn put_head(out: &mut BytesMut, number: u64, length: usize, body: usize, form: Form) {
    let short = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    out.put_u64(number);
    out.put_u32(short(length));
    out.put_u32(short(body));
    out.put_u8(match form {
        Form::Plain => 0,
        Form::Begun => 1,
        Form::Continued => 2,
    });
}

/// Takes one chunk from the front of `inbox`, or returns `None` while bytes are missing.
pub(crate) fn take(inbox: &mut BytesMut) -> Result<Option<Chunk>, ChunkError> {
    let Some(mut head) = inbox.get(..HEAD) else { return Ok(None) };
    let (number, length, body) = (head.get_u64(), head.get_u32() as usize, head.get_u32() as usize);
    if length == 0 || length > LONGEST || body > length {
        return Err(ChunkError::TooLong { length, body });
    }
    let form = match head.get_u8() {
        0 if body == length => Form::Plain,
        1 => Form::Begun,
        2 => Form::Continued,
        other => return Err(ChunkError::UnknownForm(other)),
    };
    if inbox.len() < HEAD + body {
        return Ok(None);
    }
    inbox.advance(HEAD);
    Ok(Some(Chunk { number, length, form, body: inbox.split_to(body).freeze() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_chunk_is_taken_only_when_complete(
            number: u64,
            body in proptest::collection::vec(any::<u8>(), 1..300),
            more in 0_usize..50,
            cut in 0_usize..400,
        ) {
            let mut bytes = BytesMut::new();
            let form = if more == 0 { Form::Plain } else { Form::Begun };
            put_head(&mut bytes, number, body.len() + more, body.len(), form);
            bytes.extend_from_slice(&body);
            let whole = bytes.len();
            let mut part = BytesMut::from(&bytes[..cut.min(whole)]);
            let taken = take(&mut part).unwrap();
            prop_assert_eq!(taken.is_some(), cut >= whole);
            bytes.extend_from_slice(b"next");
            let chunk = take(&mut bytes).unwrap().unwrap();
            let length = body.len() + more;
            prop_assert_eq!(chunk, Chunk { number, length, form, body: body.into() });
            prop_assert_eq!(&bytes[..], b"next");
        }

        #[test]
        fn arbitrary_input_does_not_panic_or_exceed_a_chunk(bytes: Vec<u8>) {
            let mut inbox = BytesMut::from(&bytes[..]);
            if let Ok(Some(chunk)) = take(&mut inbox) {
                prop_assert!(chunk.length <= LONGEST && chunk.body.len() <= chunk.length);
            }
        }
    }

    #[test]
    fn invalid_lengths_are_refused_from_the_head_alone() {
        for (length, body) in [(0, 0), (LONGEST + 1, 1), (4, 5), (LONGEST, LONGEST + 1)] {
            let mut head = BytesMut::new();
            put_head(&mut head, 0, length, body, Form::Begun);
            assert_eq!(take(&mut head), Err(ChunkError::TooLong { length, body }));
        }
    }

    #[test]
    fn unknown_forms_and_plain_chunks_of_the_wrong_length_are_refused() {
        let mut head = BytesMut::new();
        put_head(&mut head, 0, 4, 3, Form::Plain);
        assert_eq!(take(&mut head.clone()), Err(ChunkError::UnknownForm(0)));
        head[HEAD - 1] = 3;
        assert_eq!(take(&mut head), Err(ChunkError::UnknownForm(3)));
    }
}
