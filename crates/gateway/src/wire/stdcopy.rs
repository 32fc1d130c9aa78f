//! The frames of an output that carries standard output and standard error together, as `attach`
//! and `exec` give it without a terminal.
//!
//! A stream that is taken over has no form in which to say that it broke off: its client takes any
//! end for the end of the output, and the exit status for that of the command. Frames have one, by
//! which dockerd tells its own failures. It can stand between two frames only, so they are passed
//! on whole.
//!
//! Docker Engine API, "Stream format": one byte of type, three of nothing, four of length,
//! big-endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The type of an output whose frames these are.
pub(crate) const CONTENT_TYPE: &str = "application/vnd.docker.multiplexed-stream";

const HEAD: usize = 8;
/// A frame that is longer than this is passed on as it comes; dockerd makes them of 32 KiB at most.
const LONGEST_HELD: usize = 64 * 1024;
/// The type by which the engine says that the output ends with an error.
const SYSTEM_ERROR: u8 = 3;

/// Cuts an output at the ends of its frames.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// A frame that has not come to its end.
    begun: BytesMut,
    /// What is still to come of a frame that is passed on as it comes.
    passing: usize,
}

impl Frames {
    /// Takes what came, and gives what may be passed on.
    pub(crate) fn pass(&mut self, came: &[u8]) -> Bytes {
        self.begun.extend_from_slice(came);
        let mut whole = 0;
        loop {
            let rest = &self.begun[whole..];
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
        self.begun.split_to(whole).freeze()
    }

    /// The engine ended its output: what is left of it, whole or not.
    pub(crate) fn end(&mut self) -> Bytes {
        self.begun.split().freeze()
    }

    /// What tells that the output broke off, if it can be told here.
    pub(crate) fn broke_off(&self, message: &str) -> Option<Bytes> {
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
    use proptest::prelude::*;

    use super::*;

    fn frame(length: usize) -> Vec<u8> {
        let mut frame = vec![1, 0, 0, 0];
        frame.extend((length as u32).to_be_bytes());
        frame.extend((0..length).map(|at| at as u8));
        frame
    }

    proptest! {
        #[test]
        fn every_byte_is_passed_on_and_short_frames_only_whole(
            lengths in proptest::collection::vec(prop_oneof![0_usize..300, 65_000_usize..70_000], 0..6),
            cuts in proptest::collection::vec(1_usize..40_000, 0..40),
        ) {
            let output: Vec<u8> = lengths.iter().flat_map(|&length| frame(length)).collect();
            let ends: Vec<usize> = lengths.iter().scan(0, |end, length| { *end += HEAD + length; Some(*end) }).collect();
            let (mut frames, mut passed, mut rest) = (Frames::default(), Vec::new(), &output[..]);
            for cut in cuts.into_iter().chain([output.len()]) {
                let (came, later) = rest.split_at(cut.min(rest.len()));
                rest = later;
                passed.extend_from_slice(&frames.pass(came));
                let told = frames.broke_off("lost").is_some();
                prop_assert!(!told || passed.is_empty() || ends.contains(&passed.len()), "at {} of {ends:?}", passed.len());
            }
            passed.extend_from_slice(&frames.pass(rest));
            prop_assert!(passed == output);
            prop_assert!(frames.end().is_empty());
        }

        #[test]
        fn what_is_no_frame_arrives_as_well(output: Vec<u8>, cut in 0_usize..50) {
            let mut frames = Frames::default();
            let cut = cut.min(output.len());
            let mut passed = frames.pass(&output[..cut]).to_vec();
            passed.extend_from_slice(&frames.pass(&output[cut..]));
            passed.extend_from_slice(&frames.end());
            prop_assert_eq!(passed, output);
        }
    }

    #[test]
    fn the_word_for_a_broken_output_is_a_frame_of_its_own() {
        assert_eq!(&Frames::default().broke_off("lost").unwrap()[..], b"\x03\0\0\0\0\0\0\x04lost");
    }
}
