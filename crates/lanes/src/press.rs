//! Whether a chunk is compressed, and the compressing itself.
//!
//! It gains where the path is slower than the processor and the bytes have something to give; the
//! second is learned from the last chunks. What is compressed is one stream over all chunks: each
//! finds the words of those before it.

use std::io;
use std::time::Duration;

use tokio::time::Instant;
use zstd::stream::raw::{DParameter, Decoder, Encoder, InBuffer, Operation as _, OutBuffer};

use crate::chunk::{ChunkError, Form, HEAD, LONGEST};
use crate::speed::Spare;

/// A path that takes more than this is faster than level 1 is on one of the slower processors, in
/// bytes a second.
const FAST: f64 = 300e6;
/// Levels, and the speed of a path below which there is time for them, in bytes a second; level 1
/// above all of them. Of source code level 1 makes a fifth, level 3 a sixth, level 6 and 8 a
/// seventh; the last takes 15 ms for a MiB of it.
const DENSER: [(f64, i32); 3] = [(6e6, 8), (12e6, 6), (40e6, 3)];
/// Levels while nothing is known of the path, densest first: a build context has been handed to the
/// buffers of a slow path before they are full.
const UNKNOWN: [i32; 4] = [8, 6, 3, 1];
/// The first of them.
const FIRST: usize = 1;
/// A chunk that does not shrink by a sixteenth was not worth it.
const WORTH: usize = 16;
/// After what did not shrink, so many bytes are not tried: twice as many each time.
const LEAST_PASSED_OVER: usize = LONGEST;
const MOST_PASSED_OVER: usize = 4 << 20;
/// What comes after a rest is something else, and tried anew.
const REST: Duration = Duration::from_secs(1);
/// Bytes of a chunk that is not to be compressed: one packet of SSH with head and all. A longer one
/// holds back what came of it until the rest is there.
const SHORT: usize = 32 * 1024 - HEAD;
/// What of the stream the other side has to remember at most, as a power of two: more than any of
/// the levels looks back.
const WINDOW: u32 = 22;
/// How long the words of earlier chunks are remembered while nothing is compressed: up to 9 MB.
const REMEMBERED: Duration = Duration::from_secs(10);

pub(crate) struct Press {
    stream: Option<Pressing>,
    pass_over: usize,
    next_pass_over: usize,
    /// When the last chunk came.
    last: Option<Instant>,
    /// Which of the levels the processor has kept up with, while nothing was known of the path.
    ease: usize,
}

/// A compressed stream that has begun.
struct Pressing {
    encoder: Encoder<'static>,
    level: i32,
    used: Instant,
}

impl Press {
    pub(crate) fn new() -> Self {
        Self {
            stream: None,
            pass_over: 0,
            next_pass_over: LEAST_PASSED_OVER,
            last: None,
            ease: FIRST,
        }
    }

    /// How long the next chunk may be on a path of this speed. Changes only with [`Press::press`].
    pub(crate) fn room(&self, speed: Option<f64>) -> usize {
        if self.pass_over > 0 && !is_fast(speed) { SHORT } else { LONGEST }
    }

    /// The processor had so much to spare.
    pub(crate) fn adapt(&mut self, spare: Spare) {
        self.ease = match spare {
            Spare::Unknown => FIRST,
            Spare::None => (self.ease + 1).min(UNKNOWN.len() - 1),
            Spare::Some => self.ease.saturating_sub(1),
            Spare::Little => self.ease,
        };
    }

    /// The compressed form, or `None` where the chunk shall travel as it is. Chunks have to be
    /// unpressed in the same order.
    pub(crate) fn press(
        &mut self,
        raw: &[u8],
        speed: Option<f64>,
        now: Instant,
    ) -> io::Result<Option<(Form, Vec<u8>)>> {
        if self.last.replace(now).is_some_and(|last| now.saturating_duration_since(last) > REST) {
            (self.pass_over, self.next_pass_over) = (0, LEAST_PASSED_OVER);
        }
        // What is short gains nothing: it shares a packet.
        if raw.len() < 512 || is_fast(speed) {
            self.stream.take_if(|stream| now.saturating_duration_since(stream.used) > REMEMBERED);
            return Ok(None);
        }
        if self.pass_over > 0 {
            self.pass_over = self.pass_over.saturating_sub(raw.len());
            return Ok(None);
        }
        let level = self.level(speed);
        let (form, mut stream) = match self.stream.take().filter(|stream| stream.level == level) {
            Some(stream) => (Form::Continued, stream),
            None => (Form::Begun, Pressing { encoder: Encoder::new(level)?, level, used: now }),
        };
        let pressed = stream.press(raw)?;
        if pressed.len() < raw.len() - raw.len() / WORTH {
            self.next_pass_over = LEAST_PASSED_OVER;
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
            Some(speed) => {
                DENSER.iter().find(|(below, _)| speed < *below).map_or(1, |(_, level)| *level)
            }
            None => UNKNOWN[self.ease],
        }
    }
}

fn is_fast(speed: Option<f64>) -> bool {
    speed.is_some_and(|speed| speed > FAST)
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

#[derive(Default)]
pub(crate) struct Unpress(Option<Decoder<'static>>);

impl Unpress {
    /// The chunk again, which has to be as long as it said.
    pub(crate) fn unpress(
        &mut self,
        form: Form,
        body: &[u8],
        length: usize,
    ) -> Result<Vec<u8>, ChunkError> {
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
        pressed_at(press, raw, None, now)
    }

    fn pressed_at(
        press: &mut Press,
        raw: &[u8],
        speed: Option<f64>,
        now: Instant,
    ) -> Option<(Form, Vec<u8>)> {
        press.press(raw, speed, now).unwrap()
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
        assert_eq!(
            Unpress::default().unpress(Form::Continued, &pressed, text.len()),
            Err(ChunkError::Damaged),
            "nothing has begun"
        );
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
            let (mut now, mut speed) = (Instant::now(), None);
            for (kind, length, megabytes) in chunks {
                let raw = match kind {
                    0 => noise[..length].to_vec(),
                    1 => text[..length.min(text.len())].to_vec(),
                    _ => [&noise[..length / 3], &text[..(length / 2).min(text.len())]].concat(),
                };
                if let Some((form, pressed)) = pressed_at(&mut press, &raw, speed, now) {
                    proptest::prop_assert!(pressed.len() < raw.len());
                    proptest::prop_assert!(unpress.unpress(form, &pressed, raw.len()).unwrap() == raw);
                }
                speed = Some(megabytes as f64 * 1e6);
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
        assert!(tried <= MOST_PASSED_OVER / LONGEST, "{tried}");
        assert!(pressed(&mut press, &text, now).is_some(), "and from then on each");
    }

    #[test]
    fn a_path_that_is_faster_than_the_processor_gets_everything_as_it_is() {
        let text = vec![7; LONGEST];
        let mut press = Press::new();
        let now = Instant::now();
        assert!(pressed(&mut press, &text, now).is_some(), "nothing is known yet");
        assert!(pressed_at(&mut press, &text, Some(1e9), now).is_none(), "a gigabyte a second");
        assert!(pressed_at(&mut press, &text, Some(10e6), now).is_some(), "ten megabytes a second");
    }

    #[test]
    fn what_comes_after_a_rest_is_tried_anew() {
        let (mut press, begun, text) = (
            Press::new(),
            Instant::now(),
            "the same words again and \
            again, "
                .repeat(100)
                .into_bytes(),
        );
        for _ in 0..7 {
            pressed(&mut press, &noise(), begun);
        }
        assert_eq!(
            pressed(&mut press, &text, begun + REST / 2),
            None,
            "more of the same is \
            expected"
        );
        assert!(pressed(&mut press, &text, begun + 2 * REST).is_some());
    }

    #[test]
    fn a_slow_path_is_worth_more_work() {
        let text = concat!(include_str!("bundle.rs"), include_str!("chunk.rs")).as_bytes();
        let mut press = Press::new();
        let now = Instant::now();
        let (_, first) = pressed(&mut press, text, now).unwrap();
        press.adapt(Spare::None);
        let (form, quick) = pressed(&mut press, text, now).unwrap();
        assert_eq!(form, Form::Begun, "the path waited for the processor: at another level");
        assert!(first.len() < quick.len(), "{} and {} bytes", first.len(), quick.len());
        let (form, dense) = pressed_at(&mut press, text, Some(1e6), now).unwrap();
        assert_eq!(form, Form::Begun, "it is slow: at another level");
        assert!(dense.len() < quick.len(), "{} and {} bytes", dense.len(), quick.len());
    }

    #[test]
    fn a_processor_that_has_time_compresses_more_until_it_has_none() {
        let mut press = Press::new();
        let now = Instant::now();
        let levels = [
            Spare::Some,
            Spare::Some,
            Spare::Little,
            Spare::None,
            Spare::None,
            Spare::None,
            Spare::None,
            Spare::Little,
            Spare::Some,
            Spare::Unknown,
        ]
        .map(|spare| {
            press.adapt(spare);
            pressed(&mut press, &[7; LONGEST], now).unwrap();
            press.stream.as_ref().unwrap().level
        });
        assert_eq!(levels, [8, 8, 8, 6, 3, 1, 1, 1, 3, 6]);
    }

    #[test]
    fn what_is_not_to_be_compressed_travels_in_short_chunks_where_the_path_is_slow() {
        let mut press = Press::new();
        assert_eq!(press.room(None), LONGEST, "nothing was tried");
        assert!(pressed(&mut press, &noise(), Instant::now()).is_none());
        assert_eq!(
            [None, Some(10e6), Some(1e9)].map(|speed| press.room(speed)),
            [SHORT, SHORT, LONGEST]
        );
        for _ in 0..=LEAST_PASSED_OVER / SHORT {
            assert!(pressed(&mut press, &noise()[..SHORT], Instant::now()).is_none());
        }
        assert_eq!(press.room(None), LONGEST, "the next is tried");
    }

    #[test]
    fn what_is_short_is_not_worth_it() {
        let mut press = Press::new();
        assert!(pressed(&mut press, &[7; 511], Instant::now()).is_none());
        assert!(pressed(&mut press, &[7; 512], Instant::now()).is_some());
    }
}
