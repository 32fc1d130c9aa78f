//! Decides whether a chunk is compressed, and compresses it.
//!
//! Compression gains where the path is slower than the processor and the data is compressible; the
//! last chunks show the second. All compressed chunks form one zstd stream, so each can refer to
//! data in the chunks before it.

use std::io;
use std::time::Duration;

use tokio::time::Instant;
use zstd::stream::raw::{DParameter, Decoder, Encoder, InBuffer, Operation as _, OutBuffer};

use crate::chunk::{ChunkError, Form, HEAD, LONGEST};
use crate::rate::Spare;

/// A path faster than this, in bytes per second, is faster than level 1 on a slower processor.
const FAST: f64 = 300e6;
/// Levels, each with the rate of a path, in bytes per second, below which there is time for it;
/// level 1 above all of them. Level 1 shrinks source code to a fifth, level 3 to a sixth, levels 6
/// and 8 to a seventh; level 8 takes 15 ms per MiB.
const DENSER: [(f64, i32); 3] = [(6e6, 8), (12e6, 6), (40e6, 3)];
/// Levels while the path's rate is unknown, densest first: a build context is already in the
/// buffers of a slow path before they are full.
const UNKNOWN: [i32; 4] = [8, 6, 3, 1];
/// The index in `UNKNOWN` to start with.
const FIRST: usize = 1;
/// Compression is worthwhile if a chunk shrinks by a sixteenth.
const WORTH: usize = 16;
/// After a chunk that did not shrink, this many bytes are not tried; the number doubles each time.
const LEAST_SKIPPED: usize = LONGEST;
const MOST_SKIPPED: usize = 4 << 20;
/// Length of a chunk that is sent uncompressed, in bytes: one SSH packet including the head. The
/// receiver can use a longer chunk only when all of its packets have arrived.
const SHORT: usize = 32 * 1024 - HEAD;
/// The decompressor's window as a power of two: larger than what any of the levels looks back.
const WINDOW: u32 = 22;
/// How long the compressor's state is kept while nothing is compressed: up to 9 MB.
const KEPT: Duration = Duration::from_secs(10);

pub(crate) struct Compressor {
    stream: Option<Stream>,
    skip: usize,
    next_skip: usize,
    /// The index in `UNKNOWN` that the processor can keep up with.
    ease: usize,
}

/// A compressed stream that has begun.
struct Stream {
    encoder: Encoder<'static>,
    level: i32,
    used: Instant,
}

impl Compressor {
    pub(crate) fn new() -> Self {
        Self { stream: None, skip: 0, next_skip: LEAST_SKIPPED, ease: FIRST }
    }

    /// How long the next chunk may be on a path of this rate. Changes only with
    /// [`Compressor::compress`] and [`Compressor::resume`].
    pub(crate) fn room(&self, rate: Option<f64>) -> usize {
        if self.skip > 0 && !is_fast(rate) { SHORT } else { LONGEST }
    }

    /// Adapts the level to the spare processor time.
    pub(crate) fn adapt(&mut self, spare: Spare) {
        self.ease = match spare {
            Spare::Unknown => FIRST,
            Spare::None => (self.ease + 1).min(UNKNOWN.len() - 1),
            Spare::Some => self.ease.saturating_sub(1),
            Spare::Little => self.ease,
        };
    }

    /// Compresses a chunk, or returns `None` if it is sent as it is. Chunks have to be decompressed
    /// in the same order.
    pub(crate) fn compress(
        &mut self,
        raw: &[u8],
        rate: Option<f64>,
        now: Instant,
    ) -> io::Result<Option<(Form, Vec<u8>)>> {
        // A short chunk gains nothing: it shares a packet.
        if raw.len() < 512 || is_fast(rate) {
            self.stream.take_if(|stream| now.saturating_duration_since(stream.used) > KEPT);
            return Ok(None);
        }
        if self.skip > 0 {
            self.skip = self.skip.saturating_sub(raw.len());
            return Ok(None);
        }
        let level = self.level(rate);
        let (form, mut stream) = match self.stream.take().filter(|stream| stream.level == level) {
            Some(stream) => (Form::Continued, stream),
            None => (Form::Begun, Stream { encoder: Encoder::new(level)?, level, used: now }),
        };
        let compressed = stream.compress(raw)?;
        if compressed.len() < raw.len() - raw.len() / WORTH {
            self.next_skip = LEAST_SKIPPED;
        } else {
            self.skip = self.next_skip;
            self.next_skip = (self.next_skip * 2).min(MOST_SKIPPED);
        }
        if compressed.len() >= raw.len() {
            // The other side does not get this chunk, so the stream cannot continue.
            return Ok(None);
        }
        stream.used = now;
        self.stream = Some(stream);
        Ok(Some((form, compressed)))
    }

    /// Tries every chunk again: data after a pause may be of another kind.
    pub(crate) fn resume(&mut self) {
        (self.skip, self.next_skip) = (0, LEAST_SKIPPED);
    }

    fn level(&self, rate: Option<f64>) -> i32 {
        match rate {
            Some(rate) => {
                DENSER.iter().find(|(below, _)| rate < *below).map_or(1, |(_, level)| *level)
            }
            None => UNKNOWN[self.ease],
        }
    }
}

fn is_fast(rate: Option<f64>) -> bool {
    rate.is_some_and(|rate| rate > FAST)
}

impl Stream {
    /// Compresses and flushes, so that the other side can decompress it without the next chunk.
    fn compress(&mut self, raw: &[u8]) -> io::Result<Vec<u8>> {
        let mut compressed = Vec::with_capacity(zstd::zstd_safe::compress_bound(raw.len()));
        let (mut input, mut output) = (InBuffer::around(raw), OutBuffer::around(&mut compressed));
        while input.pos() < raw.len() {
            self.encoder.run(&mut input, &mut output)?;
        }
        if self.encoder.flush(&mut output)? > 0 {
            return Err(io::Error::other("zstd exceeded its own bound for a compressed chunk"));
        }
        Ok(compressed)
    }
}

#[derive(Default)]
pub(crate) struct Decompressor(Option<Decoder<'static>>);

impl Decompressor {
    /// Decompresses a chunk, which has to have the announced `length`.
    pub(crate) fn decompress(
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
        // One byte more than announced, so that an excess is noticed.
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

    /// Compressible text of more than 20 KB.
    const SOURCE: &str = concat!(include_str!("bundle.rs"), include_str!("chunk.rs"));

    fn noise() -> Vec<u8> {
        let mut noise = vec![0; LONGEST];
        rand::rng().fill_bytes(&mut noise);
        noise
    }

    fn compressed(
        compressor: &mut Compressor,
        raw: &[u8],
        now: Instant,
    ) -> Option<(Form, Vec<u8>)> {
        compressed_at(compressor, raw, None, now)
    }

    fn compressed_at(
        compressor: &mut Compressor,
        raw: &[u8],
        rate: Option<f64>,
        now: Instant,
    ) -> Option<(Form, Vec<u8>)> {
        compressor.compress(raw, rate, now).unwrap()
    }

    #[test]
    fn compressible_chunks_are_compressed_and_restored() {
        let text = "the same words again and again, ".repeat(1000).into_bytes();
        let (form, compressed) = compressed(&mut Compressor::new(), &text, Instant::now()).unwrap();
        assert_eq!(form, Form::Begun);
        assert!(compressed.len() < text.len() / 10);
        let decompress =
            |body: &[u8], length| Decompressor::default().decompress(Form::Begun, body, length);
        assert_eq!(decompress(&compressed, text.len()).unwrap(), text);
        assert_eq!(decompress(&compressed, text.len() - 1), Err(ChunkError::Damaged));
        assert_eq!(decompress(&compressed, text.len() + 1), Err(ChunkError::Damaged));
        assert_eq!(decompress(b"no zstd at all", 100), Err(ChunkError::Damaged));
        assert_eq!(
            Decompressor::default().decompress(Form::Continued, &compressed, text.len()),
            Err(ChunkError::Damaged),
            "no stream has begun"
        );
    }

    #[test]
    fn later_chunks_refer_to_earlier_ones() {
        let (mut compressor, mut decompressor) = (Compressor::new(), Decompressor::default());
        let mut words = noise();
        words.truncate(1000);
        let text = words.repeat(2);
        let now = Instant::now();
        for (chunk, most) in [(0, 1100), (1, 50), (2, 50)] {
            let (form, compressed) = compressed(&mut compressor, &text, now).unwrap();
            assert_eq!(form == Form::Begun, chunk == 0);
            assert!(compressed.len() < most, "{} bytes", compressed.len());
            assert_eq!(decompressor.decompress(form, &compressed, text.len()).unwrap(), text);
        }
        let later = now + KEPT + Duration::from_secs(1);
        assert!(self::compressed(&mut compressor, b"short", later).is_none());
        let (form, compressed) = self::compressed(&mut compressor, &text, later).unwrap();
        assert_eq!(form, Form::Begun, "the state is dropped after a while");
        assert_eq!(decompressor.decompress(form, &compressed, text.len()).unwrap(), text);
    }

    proptest::proptest! {
        #[test]
        fn any_chunks_are_restored_at_any_rate(
            chunks in proptest::collection::vec((0_usize..3, 1_usize..LONGEST, 0_u64..100), 1..20)
        ) {
            let (mut compressor, mut decompressor) = (Compressor::new(), Decompressor::default());
            let (noise, text) = (noise(), SOURCE.repeat(20).into_bytes());
            let (mut now, mut rate) = (Instant::now(), None);
            for (kind, length, megabytes) in chunks {
                let raw = match kind {
                    0 => noise[..length].to_vec(),
                    1 => text[..length.min(text.len())].to_vec(),
                    _ => [&noise[..length / 3], &text[..(length / 2).min(text.len())]].concat(),
                };
                if let Some((form, compressed)) = compressed_at(&mut compressor, &raw, rate, now) {
                    proptest::prop_assert!(compressed.len() < raw.len());
                    let restored = decompressor.decompress(form, &compressed, raw.len()).unwrap();
                    proptest::prop_assert!(restored == raw);
                }
                rate = Some(megabytes as f64 * 1e6);
                now += Duration::from_secs(1);
            }
        }
    }

    #[test]
    fn noise_is_sent_uncompressed_and_tried_ever_less_until_a_chunk_shrinks() {
        let (noise, text) = (noise(), vec![7; LONGEST]);
        let mut compressor = Compressor::new();
        let now = Instant::now();
        for _ in 0..200 {
            assert!(compressed(&mut compressor, &noise, now).is_none());
        }
        assert_eq!(compressor.next_skip, MOST_SKIPPED);
        let tried = (0..).find(|_| compressed(&mut compressor, &text, now).is_some()).unwrap();
        assert!(tried > 0, "some chunks are not tried");
        assert!(tried <= MOST_SKIPPED / LONGEST, "{tried}");
        assert!(compressed(&mut compressor, &text, now).is_some(), "then every chunk is tried");
    }

    #[test]
    fn a_path_faster_than_the_processor_gets_uncompressed_chunks() {
        let text = vec![7; LONGEST];
        let mut compressor = Compressor::new();
        let now = Instant::now();
        assert!(compressed(&mut compressor, &text, now).is_some(), "the rate is unknown");
        assert!(
            compressed_at(&mut compressor, &text, Some(1e9), now).is_none(),
            "a gigabyte per second"
        );
        assert!(
            compressed_at(&mut compressor, &text, Some(10e6), now).is_some(),
            "ten megabytes per second"
        );
    }

    #[test]
    fn chunks_are_tried_again_after_a_pause() {
        let (mut compressor, now) = (Compressor::new(), Instant::now());
        let text = "the same words again and again, ".repeat(100).into_bytes();
        for _ in 0..7 {
            compressed(&mut compressor, &noise(), now);
        }
        assert_eq!(compressed(&mut compressor, &text, now), None, "more noise is expected");
        compressor.resume();
        assert!(compressed(&mut compressor, &text, now).is_some());
    }

    #[test]
    fn a_slow_path_gets_a_denser_level() {
        let text = SOURCE.as_bytes();
        let mut compressor = Compressor::new();
        let now = Instant::now();
        let (_, first) = compressed(&mut compressor, text, now).unwrap();
        compressor.adapt(Spare::None);
        let (form, quick) = compressed(&mut compressor, text, now).unwrap();
        assert_eq!(form, Form::Begun, "the path waited for the processor, so the level changed");
        assert!(first.len() < quick.len(), "{} and {} bytes", first.len(), quick.len());
        let (form, dense) = compressed_at(&mut compressor, text, Some(1e6), now).unwrap();
        assert_eq!(form, Form::Begun, "the path is slow, so the level changed");
        assert!(dense.len() < quick.len(), "{} and {} bytes", dense.len(), quick.len());
    }

    #[test]
    fn spare_processor_time_moves_the_level() {
        let mut compressor = Compressor::new();
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
            compressor.adapt(spare);
            compressed(&mut compressor, &[7; LONGEST], now).unwrap();
            compressor.stream.as_ref().unwrap().level
        });
        assert_eq!(levels, [8, 8, 8, 6, 3, 1, 1, 1, 3, 6]);
    }

    #[test]
    fn uncompressed_chunks_are_short_on_a_slow_path() {
        let mut compressor = Compressor::new();
        assert_eq!(compressor.room(None), LONGEST, "no chunk was tried");
        assert!(compressed(&mut compressor, &noise(), Instant::now()).is_none());
        assert_eq!(
            [None, Some(10e6), Some(1e9)].map(|rate| compressor.room(rate)),
            [SHORT, SHORT, LONGEST]
        );
        for _ in 0..=LEAST_SKIPPED / SHORT {
            assert!(compressed(&mut compressor, &noise()[..SHORT], Instant::now()).is_none());
        }
        assert_eq!(compressor.room(None), LONGEST, "the next chunk is tried");
    }

    #[test]
    fn short_chunks_are_not_compressed() {
        let mut compressor = Compressor::new();
        assert!(compressed(&mut compressor, &[7; 511], Instant::now()).is_none());
        assert!(compressed(&mut compressor, &[7; 512], Instant::now()).is_some());
    }
}
