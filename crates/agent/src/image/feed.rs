//! The source: counts and hashes its bytes while they pass.

use std::fmt::Write as _;
use std::io::{self, Read};

use agent_proto::image::{Checksum, WriteFailure};
use sha2::{Digest, Sha256, Sha512};

use super::events::Events;
use super::failure::Failure;

/// Bytes read and written at once: large enough for any disk, and a few pieces stay far below the
/// memory of any rescue system.
pub const PIECE: usize = 1 << 20;

/// A source of bytes whose length may be known.
pub trait Origin: Read + Send {
    /// The total length in bytes, once known.
    fn total(&self) -> Option<u64>;
}

/// A source that was read completely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub bytes: u64,
    pub sha256: String,
}

/// A source while it is read.
pub struct Feed {
    origin: Box<dyn Origin>,
    /// Bytes that were examined and not read yet.
    peeked: Vec<u8>,
    bytes: u64,
    sha256: Sha256,
    wanted: Option<Wanted>,
    events: Events,
}

enum Wanted {
    Sha256(String),
    Sha512(Box<Sha512>, String),
}

impl Feed {
    pub fn new(origin: impl Origin + 'static, events: Events) -> Self {
        Self {
            origin: Box::new(origin),
            peeked: Vec::new(),
            bytes: 0,
            sha256: Sha256::new(),
            wanted: None,
            events,
        }
    }

    /// Sets the expected checksum.
    pub fn with_checksum(mut self, checksum: Option<&Checksum>) -> Self {
        self.wanted = checksum.map(|checksum| match checksum {
            Checksum::Sha256(hex) => Wanted::Sha256(hex.clone()),
            Checksum::Sha512(hex) => Wanted::Sha512(Box::default(), hex.clone()),
        });
        self
    }

    /// Returns the first bytes without consuming them.
    pub fn peek(&mut self, length: usize) -> io::Result<&[u8]> {
        let mut buffer = vec![0; length];
        while self.peeked.len() < length {
            let wanted = length - self.peeked.len();
            match self.origin.read(&mut buffer[..wanted]) {
                Ok(0) => break,
                Ok(length) => self.peeked.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&self.peeked)
    }

    pub fn total(&self) -> Option<u64> {
        self.origin.total()
    }

    /// Reads the rest and checks the checksum.
    pub fn finish(mut self) -> Result<Source, Failure> {
        let mut rest = vec![0; PIECE];
        while self.read(&mut rest).map_err(|error| Failure::source(error.to_string()))? > 0 {}
        let sha256 = hex(&self.sha256.finalize());
        let (is, wanted) = match self.wanted {
            None => return Ok(Source { bytes: self.bytes, sha256 }),
            Some(Wanted::Sha256(wanted)) => (sha256.clone(), wanted),
            Some(Wanted::Sha512(hash, wanted)) => (hex(&hash.finalize()), wanted),
        };
        if is != wanted {
            let bytes = self.bytes;
            let message =
                format!("the source of {bytes} bytes has the checksum {is}, not {wanted}");
            return Err(Failure::new(WriteFailure::Checksum, message));
        }
        Ok(Source { bytes: self.bytes, sha256 })
    }
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = if self.peeked.is_empty() {
            self.origin.read(buffer)?
        } else {
            let length = buffer.len().min(self.peeked.len());
            buffer[..length].copy_from_slice(&self.peeked[..length]);
            self.peeked.drain(..length);
            length
        };
        let piece = &buffer[..length];
        self.bytes += length as u64;
        self.sha256.update(piece);
        if let Some(Wanted::Sha512(hash, _)) = &mut self.wanted {
            hash.update(piece);
        }
        self.events.progress(self.bytes, self.origin.total())?;
        Ok(length)
    }
}

/// A source on standard input.
pub struct Upload<R> {
    input: R,
    length: u64,
    received: u64,
}

impl<R: Read> Upload<R> {
    pub fn new(input: R, length: u64) -> Self {
        Self { input, length, received: 0 }
    }
}

impl<R: Read + Send> Read for Upload<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length - self.received).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        if wanted == 0 {
            return Ok(0);
        }
        let length = self.input.read(&mut buffer[..wanted])?;
        if length == 0 {
            let (received, length) = (self.received, self.length);
            let message = format!("the file broke off after {received} of {length} bytes");
            return Err(io::Error::other(message));
        }
        self.received += length as u64;
        Ok(length)
    }
}

impl<R: Read + Send> Origin for Upload<R> {
    fn total(&self) -> Option<u64> {
        Some(self.length)
    }
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
