//! Docker's stdcopy format: standard output and standard error multiplexed in frames, as `attach`
//! and `exec` send them without a terminal.
//!
//! A raw stream cannot report that it broke off: its client takes any end for the end of the
//! output, and reports success. Frames can, by the type with which dockerd reports its own
//! failures. Such a frame must stand between two others, so frames are passed on whole.
//!
//! Docker Engine API, "Stream format": one byte of type, three zero bytes, four bytes of length,
//! big-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The content type of a stream in this format.
pub(crate) const CONTENT_TYPE: &str = "application/vnd.docker.multiplexed-stream";

const HEAD: usize = 8;
/// A longer frame is passed on as it arrives. dockerd's have 32 KiB at most.
const LONGEST_HELD: usize = 64 * 1024;
/// The frame type that ends an output with an error (`Systemerr`).
const SYSTEM_ERROR: u8 = 3;

/// Cuts a stream at the ends of its frames.
#[derive(Debug, Default)]
pub(crate) struct FrameSplitter {
    /// A frame that is not complete.
    partial: BytesMut,
    /// Bytes still to come of a frame that is passed on as it arrives.
    passing: usize,
}

impl FrameSplitter {
    /// Takes bytes of the stream, and returns those that may be passed on.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> Bytes {
        self.partial.extend_from_slice(bytes);
        let mut whole = 0;
        loop {
            let rest = &self.partial[whole..];
            if self.passing > 0 {
                let length = self.passing.min(rest.len());
                self.passing -= length;
                whole += length;
                if self.passing > 0 {
                    break;
                }
                continue;
            }
            let Some(mut length) = rest.get(4..HEAD) else { break };
            let length = length.get_u32() as usize;
            if length > LONGEST_HELD {
                self.passing = HEAD + length;
            } else if rest.len() >= HEAD + length {
                whole += HEAD + length;
            } else {
                break;
            }
        }
        self.partial.split_to(whole).freeze()
    }

    /// The stream has ended: returns what is left of it, whole or not.
    pub(crate) fn end(&mut self) -> Bytes {
        self.partial.split().freeze()
    }

    /// A frame that reports that the stream broke off. `None` in the middle of a long frame.
    pub(crate) fn error_frame(&self, message: &str) -> Option<Bytes> {
        if self.passing > 0 {
            return None;
        }
        let mut frame = BytesMut::with_capacity(HEAD + message.len());
        frame.put_slice(&[SYSTEM_ERROR, 0, 0, 0]);
        frame.put_u32(u32::try_from(message.len()).unwrap_or(0));
        frame.put_slice(message.as_bytes());
        Some(frame.freeze())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn frame(length: usize) -> Vec<u8> {
        let mut frame = vec![1, 0, 0, 0];
        frame.extend((length as u32).to_be_bytes());
        frame.extend((0..length).map(|at| at as u8));
        frame
    }

    fn ends(lengths: &[usize]) -> Vec<usize> {
        let mut end = 0;
        lengths
            .iter()
            .map(|length| {
                end += HEAD + length;
                end
            })
            .collect()
    }

    proptest! {
        #[test]
        fn every_byte_is_passed_on_and_short_frames_only_whole(
            lengths in vec(prop_oneof![0_usize..300, 65_000_usize..70_000], 0..6),
            cuts in vec(1_usize..40_000, 0..40),
        ) {
            let output: Vec<u8> = lengths.iter().flat_map(|&length| frame(length)).collect();
            let ends = ends(&lengths);
            let mut splitter = FrameSplitter::default();
            let (mut passed, mut rest) = (Vec::new(), &output[..]);
            for cut in cuts.into_iter().chain([output.len()]) {
                let (came, later) = rest.split_at(cut.min(rest.len()));
                rest = later;
                passed.extend_from_slice(&splitter.pass(came));
                let may_report = splitter.error_frame("lost").is_some();
                let at_an_end = passed.is_empty() || ends.contains(&passed.len());
                prop_assert!(!may_report || at_an_end, "at {} of {ends:?}", passed.len());
            }
            passed.extend_from_slice(&splitter.pass(rest));
            prop_assert!(passed == output);
            prop_assert!(splitter.end().is_empty());
        }

        #[test]
        fn bytes_that_are_no_frames_arrive_as_well(output: Vec<u8>, cut in 0_usize..50) {
            let mut splitter = FrameSplitter::default();
            let cut = cut.min(output.len());
            let mut passed = splitter.pass(&output[..cut]).to_vec();
            passed.extend_from_slice(&splitter.pass(&output[cut..]));
            passed.extend_from_slice(&splitter.end());
            prop_assert_eq!(passed, output);
        }
    }

    #[test]
    fn error_frame_has_a_type_of_its_own() {
        let frame = FrameSplitter::default().error_frame("lost").unwrap();
        assert_eq!(&frame[..], b"\x03\0\0\0\0\0\0\x04lost");
    }
}
