//! Whether a chunk is compressed, and the compressing itself.
//!
//! It gains where the path is slower than the processor and the bytes have something to give. The first is learned from how fast the lanes
//! take bytes while somebody waits for them, the second from the last chunks. What is compressed is one stream over all chunks: each finds the words of those before it.

use std::io;
use std::time::Duration;

use tokio::time::Instant;
use zstd::stream::raw::{DParameter, Decoder, Encoder, InBuffer, Operation as _, OutBuffer};

use crate::chunk::{ChunkError, Form};

/// A path that takes more than this is faster than level 1 is on one of the slower processors, in bytes a second.
const FAST: f64 = 300e6;
/// Levels, and the speed of a path below which there is time for them, in bytes a second; level 1 above all of them. Of source code level 1 makes a fifth, level 3
/// a sixth, level 6 and 8 a seventh; the last takes 15 ms for a MiB of it.
const DENSER: [(f64, i32); 3] = [(6e6, 8), (12e6, 6), (40e6, 3)];
/// Levels while nothing is known of the path, densest first: a build context has been handed to the buffers of a slow path before they are full.
const UNKNOWN: [i32; 4] = [8, 6, 3, 1];
/// The first of them.
const FIRST: usize = 1;
/// Parts of a reading that went into compressing: below the first there is time for a denser level, above the second the path waits for the processor.
const IDLE: f64 = 0.25;
const BUSY: f64 = 0.5;
/// A chunk that does not shrink by a sixteenth was not worth it.
const WORTH: usize = 16;
/// After chunks that did not shrink, this many are not tried at most: 4 MiB.
const MOST_PASSED_OVER: u32 = 32;
/// How long the lanes are watched for one reading of their speed.
const READING: Duration = Duration::from_millis(250);
/// With fewer bytes in one reading the path was not used.
const USED: usize = 512 * 1024;
/// What of the stream the other side has to remember at most, as a power of two: more than any of the levels looks back.
const WINDOW: u32 = 22;
/// How long the words of earlier chunks are remembered while nothing is compressed: up to 9 MB.
const REMEMBERED: Duration = Duration::from_secs(10);

pub(crate) struct Press {
    stream: Option<Pressing>,
    pass_over: u32,
    next_pass_over: u32,
    speed: Speed,
}

/// A compressed stream that has begun.
struct Pressing {
    encoder: Encoder<'static>,
    level: i32,
    used: Instant,
}

impl Press {
    pub(crate) fn new() -> Self {
        Self { stream: None, pass_over: 0, next_pass_over: 1, speed: Speed::default() }
    }

    /// Bytes were handed to a lane.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.speed.bytes += bytes;
    }

    /// Compressing took so long.
    pub(crate) fn worked(&mut self, time: Duration) {
        self.speed.worked += time;
    }

    /// Every lane is full.
    pub(crate) fn waits(&mut self) {
        self.speed.waited = true;
    }

    /// The compressed form, or `None` where the chunk shall travel as it is. Chunks have to be unpressed in the same order.
    pub(crate) fn press(&mut self, raw: &[u8], now: Instant) -> io::Result<Option<(Form, Vec<u8>)>> {
        let speed = self.speed.read(now);
        // What is short gains nothing: it shares a packet.
        if raw.len() < 512 || speed.is_some_and(|speed| speed > FAST) {
            self.stream.take_if(|stream| now.saturating_duration_since(stream.used) > REMEMBERED);
            return Ok(None);
        }
        if self.pass_over > 0 {
            self.pass_over -= 1;
            return Ok(None);
        }
        let level = self.level(speed);
        let (form, mut stream) = match self.stream.take().filter(|stream| stream.level == level) {
            Some(stream) => (Form::Continued, stream),
            None => (Form::Begun, Pressing { encoder: Encoder::new(level)?, level, used: now }),
        };
        let pressed = stream.press(raw)?;
        if pressed.len() < raw.len() - raw.len() / WORTH {
            self.next_pass_over = 1;
        } else {
            self.pass_over = self.next_pass_over;
            self.next_pass_over = (self.next_pass_over * 2).min(MOST_PASSED_OVER);
        }
        if pressed.len() >= raw.len() {
            // The other side does not hear of it, so that the stream cannot go on.
            return Ok(None);
        }
        stream.used = now;
        self.stream = Some(stream);
        Ok(Some((form, pressed)))
    }

    fn level(&self, speed: Option<f64>) -> i32 {
        match speed {
            Some(speed) => DENSER.iter().find(|(below, _)| speed < *below).map_or(1, |(_, level)| *level),
            None => UNKNOWN[self.speed.ease],
        }
    }
}

impl Pressing {
    /// All of it, so that the other side can unpress it without the next.
    fn press(&mut self, raw: &[u8]) -> io::Result<Vec<u8>> {
        let mut pressed = Vec::with_capacity(zstd::zstd_safe::compress_bound(raw.len()));
        let (mut input, mut output) = (InBuffer::around(raw), OutBuffer::around(&mut pressed));
        while input.pos() < raw.len() {
            self.encoder.run(&mut input, &mut output)?;
        }
        if self.encoder.flush(&mut output)? > 0 {
            return Err(io::Error::other("zstd made more bytes of a chunk than it said it could"));
        }
        Ok(pressed)
    }
}

/// How fast the path takes bytes, while it is what holds the stream up.
struct Speed {
    since: Option<Instant>,
    bytes: usize,
    waited: bool,
    worked: Duration,
    /// Which of the levels the processor has kept up with, while nobody waited for the path.
    ease: usize,
    /// Bytes a second.
    last: Option<f64>,
}

impl Default for Speed {
    fn default() -> Self {
        Self { since: None, bytes: 0, waited: false, worked: Duration::ZERO, ease: FIRST, last: None }
    }
}

impl Speed {
    fn read(&mut self, now: Instant) -> Option<f64> {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.saturating_duration_since(since);
        if elapsed >= READING {
            if self.waited {
                self.last = Some(self.bytes as f64 / elapsed.as_secs_f64());
            }
            let part = self.worked.as_secs_f64() / elapsed.as_secs_f64();
            self.ease = match (self.bytes >= USED && !self.waited, part) {
                (false, _) => FIRST,
                (true, part) if part > BUSY => (self.ease + 1).min(UNKNOWN.len() - 1),
                (true, part) if part < IDLE => self.ease.saturating_sub(1),
                (true, _) => self.ease,
            };
            (self.since, self.bytes, self.waited, self.worked) = (Some(now), 0, false, Duration::ZERO);
        }
        self.last
    }
}

#[derive(Default)]
pub(crate) struct Unpress(Option<Decoder<'static>>);

impl Unpress {
    /// The chunk again, which has to be as long as it said.
    pub(crate) fn unpress(&mut self, form: Form, body: &[u8], length: usize) -> Result<Vec<u8>, ChunkError> {
        let damaged = |_| ChunkError::Damaged;
        if form == Form::Begun {
            let mut decoder = Decoder::new().map_err(damaged)?;
            decoder.set_parameter(DParameter::WindowLogMax(WINDOW)).map_err(damaged)?;
            self.0 = Some(decoder);
        }
        let decoder = self.0.as_mut().ok_or(ChunkError::Damaged)?;
        // One more than there should be, so that more is seen.
        let mut raw = Vec::with_capacity(length + 1);
        let (mut input, mut output) = (InBuffer::around(body), OutBuffer::around(&mut raw));
        loop {
            let before = (input.pos(), output.pos());
            decoder.run(&mut input, &mut output).map_err(damaged)?;
            if before == (input.pos(), output.pos()) {
                break;
            }
        }
        let taken = input.pos() == body.len();
        if taken && raw.len() == length { Ok(raw) } else { Err(ChunkError::Damaged) }
    }
}

#[cfg(test)]
mod tests {
    use rand::RngCore as _;

    use super::*;
    use crate::chunk::LONGEST;

    fn noise() -> Vec<u8> {
        let mut noise = vec![0; LONGEST];
        rand::rng().fill_bytes(&mut noise);
        noise
    }

    fn pressed(press: &mut Press, raw: &[u8], now: Instant) -> Option<(Form, Vec<u8>)> {
        press.press(raw, now).unwrap()
    }

    #[test]
    fn what_gets_shorter_is_compressed_and_comes_back() {
        let text = "the same words again and again, ".repeat(1000).into_bytes();
        let (form, pressed) = pressed(&mut Press::new(), &text, Instant::now()).unwrap();
        assert_eq!(form, Form::Begun);
        assert!(pressed.len() < text.len() / 10);
        let unpress = |body: &[u8], length| Unpress::default().unpress(Form::Begun, body, length);
        assert_eq!(unpress(&pressed, text.len()).unwrap(), text);
        assert_eq!(unpress(&pressed, text.len() - 1), Err(ChunkError::Damaged));
        assert_eq!(unpress(&pressed, text.len() + 1), Err(ChunkError::Damaged));
        assert_eq!(unpress(b"no zstd at all", 100), Err(ChunkError::Damaged));
        assert_eq!(Unpress::default().unpress(Form::Continued, &pressed, text.len()), Err(ChunkError::Damaged), "nothing has begun");
    }

    #[test]
    fn words_of_earlier_chunks_are_not_sent_again() {
        let (mut press, mut unpress) = (Press::new(), Unpress::default());
        let mut words = noise();
        words.truncate(1000);
        let text = words.repeat(2);
        let now = Instant::now();
        for (chunk, most) in [(0, 1100), (1, 50), (2, 50)] {
            let (form, pressed) = pressed(&mut press, &text, now).unwrap();
            assert_eq!(form == Form::Begun, chunk == 0);
            assert!(pressed.len() < most, "{} bytes", pressed.len());
            assert_eq!(unpress.unpress(form, &pressed, text.len()).unwrap(), text);
        }
        let later = now + REMEMBERED + Duration::from_secs(1);
        assert!(self::pressed(&mut press, b"short", later).is_none());
        let (form, pressed) = self::pressed(&mut press, &text, later).unwrap();
        assert_eq!(form, Form::Begun, "after a rest they are forgotten");
        assert_eq!(unpress.unpress(form, &pressed, text.len()).unwrap(), text);
    }

    proptest::proptest! {
        #[test]
        fn chunks_of_all_kinds_come_back_at_any_speed_of_the_path(chunks in proptest::collection::vec((0_usize..3, 1_usize..LONGEST, 0_u64..100), 1..20)) {
            let (mut press, mut unpress) = (Press::new(), Unpress::default());
            let (noise, text) = (noise(), include_str!("bundle.rs").repeat(20).into_bytes());
            let mut now = Instant::now();
            for (kind, length, megabytes) in chunks {
                let raw = match kind {
                    0 => noise[..length].to_vec(),
                    1 => text[..length.min(text.len())].to_vec(),
                    _ => [&noise[..length / 3], &text[..(length / 2).min(text.len())]].concat(),
                };
                if let Some((form, pressed)) = pressed(&mut press, &raw, now) {
                    proptest::prop_assert!(pressed.len() < raw.len());
                    proptest::prop_assert!(unpress.unpress(form, &pressed, raw.len()).unwrap() == raw);
                }
                press.waits();
                press.sent(megabytes as usize * 1_000_000);
                now += Duration::from_secs(1);
            }
        }
    }

    #[test]
    fn noise_travels_as_it_is_and_is_tried_less_and_less_until_something_shrinks() {
        let (noise, text) = (noise(), vec![7; LONGEST]);
        let mut press = Press::new();
        let now = Instant::now();
        for _ in 0..200 {
            assert!(pressed(&mut press, &noise, now).is_none());
        }
        assert_eq!(press.next_pass_over, MOST_PASSED_OVER);
        let tried = (0..).find(|_| pressed(&mut press, &text, now).is_some()).unwrap();
        assert!(tried > 0, "some are not even tried");
        assert!(tried <= MOST_PASSED_OVER, "{tried}");
        assert!(pressed(&mut press, &text, now).is_some(), "and from then on each");
    }

    #[test]
    fn a_path_that_is_faster_than_the_processor_gets_everything_as_it_is() {
        let text = vec![7; LONGEST];
        let mut press = Press::new();
        let begun = Instant::now();
        assert!(pressed(&mut press, &text, begun).is_some(), "nothing is known yet");
        let mut feed = |bytes: usize, after: Duration| {
            press.waits();
            press.sent(bytes);
            pressed(&mut press, &text, begun + after).is_some()
        };
        assert!(!feed(1 << 30, Duration::from_secs(1)), "a gigabyte a second");
        assert!(feed(10 << 20, Duration::from_secs(2)), "ten megabytes a second");
    }

    #[test]
    fn a_slow_path_is_worth_more_work() {
        let text = concat!(include_str!("bundle.rs"), include_str!("chunk.rs")).as_bytes();
        let mut press = Press::new();
        let begun = Instant::now();
        let (_, first) = pressed(&mut press, text, begun).unwrap();
        press.sent(1 << 20);
        press.worked(Duration::from_millis(900));
        let (form, quick) = pressed(&mut press, text, begun + Duration::from_secs(1)).unwrap();
        assert_eq!(form, Form::Begun, "the path waited for the processor: at another level");
        assert!(first.len() < quick.len(), "{} and {} bytes", first.len(), quick.len());
        press.waits();
        press.sent(1 << 20);
        let (form, dense) = pressed(&mut press, text, begun + Duration::from_secs(2)).unwrap();
        assert_eq!(form, Form::Begun, "it is slow: at another level");
        assert!(dense.len() < quick.len(), "{} and {} bytes", dense.len(), quick.len());
    }

    #[test]
    fn a_processor_that_has_time_compresses_more_until_it_has_none() {
        let mut press = Press::new();
        let mut now = Instant::now();
        let mut level_after = |part: f64| {
            press.sent(1 << 20);
            press.worked(Duration::from_secs_f64(part));
            now += Duration::from_secs(1);
            pressed(&mut press, &[7; LONGEST], now).unwrap();
            press.stream.as_ref().unwrap().level
        };
        level_after(0.0);
        let levels = [0.1, 0.1, 0.4, 0.9, 0.9, 0.9, 0.9, 0.4, 0.1].map(&mut level_after);
        assert_eq!(levels, [8, 8, 8, 6, 3, 1, 1, 1, 3]);
    }

    #[test]
    fn a_path_that_nobody_waited_for_is_not_known() {
        let mut press = Press::new();
        let begun = Instant::now();
        assert!(pressed(&mut press, &[7; LONGEST], begun).is_some());
        press.sent(1 << 30);
        let later = begun + Duration::from_secs(1);
        assert!(pressed(&mut press, &[7; LONGEST], later).is_some(), "much was sent, but the stream had no more to say");
    }

    #[test]
    fn what_is_short_is_not_worth_it() {
        let mut press = Press::new();
        assert!(pressed(&mut press, &[7; 511], Instant::now()).is_none());
        assert!(pressed(&mut press, &[7; 512], Instant::now()).is_some());
    }
}
