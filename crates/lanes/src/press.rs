//! Whether a chunk is compressed, and the compressing itself.
//!
//! It gains where the path is slower than the processor and the bytes have something to give. The first is learned from how fast the lanes
//! take bytes while somebody waits for them, the second from the last chunks.

use std::io;
use std::time::Duration;

use tokio::time::Instant;
use zstd::bulk::{Compressor, Decompressor};

use crate::chunk::{ChunkError, LONGEST};

/// A path that takes more than this is faster than level 1 is on one of the slower processors, in bytes a second.
const FAST: f64 = 300e6;
/// Below this there is time for level 3, in bytes a second: it makes source code a fifth smaller than level 1 at nearly the same speed.
const SLOW: f64 = 12e6;
/// A chunk that does not shrink by a sixteenth is sent as it is.
const WORTH: usize = 16;
/// After chunks that did not shrink, this many are not tried at most: 4 MiB.
const MOST_PASSED_OVER: u32 = 32;
/// How long the lanes are watched for one reading of their speed.
const READING: Duration = Duration::from_millis(250);

pub(crate) struct Press {
    fast: Compressor<'static>,
    dense: Compressor<'static>,
    pass_over: u32,
    next_pass_over: u32,
    speed: Speed,
}

impl Press {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { fast: Compressor::new(1)?, dense: Compressor::new(3)?, pass_over: 0, next_pass_over: 1, speed: Speed::default() })
    }

    /// Bytes were handed to a lane.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.speed.bytes += bytes;
    }

    /// Every lane is full.
    pub(crate) fn waits(&mut self) {
        self.speed.waited = true;
    }

    /// The compressed form, or `None` where the chunk shall travel as it is.
    pub(crate) fn press(&mut self, raw: &[u8], now: Instant) -> Option<Vec<u8>> {
        let speed = self.speed.read(now);
        // What is short gains nothing: it shares a packet.
        if raw.len() < 512 || speed.is_some_and(|speed| speed > FAST) {
            return None;
        }
        if self.pass_over > 0 {
            self.pass_over -= 1;
            return None;
        }
        let press = if speed.is_some_and(|speed| speed < SLOW) { &mut self.dense } else { &mut self.fast };
        match press.compress(raw) {
            Ok(pressed) if pressed.len() < raw.len() - raw.len() / WORTH => {
                self.next_pass_over = 1;
                Some(pressed)
            }
            Ok(_) | Err(_) => {
                self.pass_over = self.next_pass_over;
                self.next_pass_over = (self.next_pass_over * 2).min(MOST_PASSED_OVER);
                None
            }
        }
    }
}

/// How fast the path takes bytes, while it is what holds the stream up.
#[derive(Default)]
struct Speed {
    since: Option<Instant>,
    bytes: usize,
    waited: bool,
    /// Bytes a second.
    last: Option<f64>,
}

impl Speed {
    fn read(&mut self, now: Instant) -> Option<f64> {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= READING {
            if self.waited {
                self.last = Some(self.bytes as f64 / elapsed.as_secs_f64());
            }
            (self.since, self.bytes, self.waited) = (Some(now), 0, false);
        }
        self.last
    }
}

pub(crate) struct Unpress(Decompressor<'static>);

impl Unpress {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Decompressor::new()?))
    }

    /// The chunk again, which has to be as long as it said.
    pub(crate) fn unpress(&mut self, body: &[u8], length: usize) -> Result<Vec<u8>, ChunkError> {
        let raw = self.0.decompress(body, length.min(LONGEST)).map_err(|_| ChunkError::Damaged)?;
        if raw.len() == length { Ok(raw) } else { Err(ChunkError::Damaged) }
    }
}

#[cfg(test)]
mod tests {
    use rand::RngCore as _;

    use super::*;

    fn noise() -> Vec<u8> {
        let mut noise = vec![0; LONGEST];
        rand::rng().fill_bytes(&mut noise);
        noise
    }

    #[test]
    fn what_gets_shorter_is_compressed_and_comes_back() {
        let text = "the same words again and again, ".repeat(1000).into_bytes();
        let pressed = Press::new().unwrap().press(&text, Instant::now()).unwrap();
        assert!(pressed.len() < text.len() / 10);
        let mut unpress = Unpress::new().unwrap();
        assert_eq!(unpress.unpress(&pressed, text.len()).unwrap(), text);
        assert_eq!(unpress.unpress(&pressed, text.len() - 1), Err(ChunkError::Damaged));
        assert_eq!(unpress.unpress(&pressed, text.len() + 1), Err(ChunkError::Damaged));
        assert_eq!(unpress.unpress(b"no zstd at all", 100), Err(ChunkError::Damaged));
    }

    #[test]
    fn noise_travels_as_it_is_and_is_tried_less_and_less_until_something_shrinks() {
        let (noise, text) = (noise(), vec![7; LONGEST]);
        let mut press = Press::new().unwrap();
        let now = Instant::now();
        for _ in 0..200 {
            assert!(press.press(&noise, now).is_none());
        }
        assert_eq!(press.next_pass_over, MOST_PASSED_OVER);
        let tried = (0..).find(|_| press.press(&text, now).is_some()).unwrap();
        assert!(tried > 0, "some are not even tried");
        assert!(tried <= MOST_PASSED_OVER, "{tried}");
        assert!(press.press(&text, now).is_some(), "and from then on each");
    }

    #[test]
    fn a_path_that_is_faster_than_the_processor_gets_everything_as_it_is() {
        let text = vec![7; LONGEST];
        let mut press = Press::new().unwrap();
        let begun = Instant::now();
        assert!(press.press(&text, begun).is_some(), "nothing is known yet");
        let mut feed = |bytes: usize, after: Duration| {
            press.waits();
            press.sent(bytes);
            press.press(&text, begun + after).is_some()
        };
        assert!(!feed(1 << 30, Duration::from_secs(1)), "a gigabyte a second");
        assert!(feed(10 << 20, Duration::from_secs(2)), "ten megabytes a second");
    }

    #[test]
    fn a_slow_path_is_worth_more_work() {
        let text = concat!(include_str!("bundle.rs"), include_str!("chunk.rs")).as_bytes();
        let mut press = Press::new().unwrap();
        let begun = Instant::now();
        let quick = press.press(text, begun).unwrap();
        press.waits();
        press.sent(1 << 20);
        let dense = press.press(text, begun + Duration::from_secs(1)).unwrap();
        assert!(dense.len() < quick.len(), "{} and {} bytes", dense.len(), quick.len());
    }

    #[test]
    fn a_path_that_nobody_waited_for_is_not_known() {
        let mut press = Press::new().unwrap();
        let begun = Instant::now();
        assert!(press.press(&[7; LONGEST], begun).is_some());
        press.sent(1 << 30);
        assert!(press.press(&[7; LONGEST], begun + Duration::from_secs(1)).is_some(), "much was sent, but the stream had no more to say");
    }

    #[test]
    fn what_is_short_is_not_worth_it() {
        let mut press = Press::new().unwrap();
        assert!(press.press(&[7; 511], Instant::now()).is_none());
        assert!(press.press(&[7; 512], Instant::now()).is_some());
    }
}
