//! The disk: discards it, writes an image without its zeros, reads it back. It knows blocks, not
//! image formats.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use agent_proto::image::WriteFailure;
use rustix::fs::{Advice, FlockOperation, fadvise, flock};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::events::{self, Events};
use super::failure::Failure;
use super::feed::{self, PIECE};
use crate::commands::{CommandError, PATH};

/// The unit that is written or skipped, in bytes: file systems have zeros in such lengths, and
/// disks discard hardly anything shorter.
const BLOCK: usize = 64 * 1024;

/// How long the disk may take to appear after sshd, and another writer, whose login is lost, to end
/// at its stall limit.
const OPEN_TIMEOUT: Duration = Duration::from_secs(90);
const RETRY: Duration = Duration::from_millis(100);

static ZEROS: [u8; BLOCK] = [0; BLOCK];

/// A disk that this process has locked.
pub struct Disk {
    file: File,
    path: String,
    /// Bytes.
    pub size: u64,
}

impl Disk {
    /// Opens and locks the disk as soon as it exists.
    pub fn open(path: &str) -> Result<Self, Failure> {
        let begun = Instant::now();
        loop {
            match Self::try_open(path) {
                Err(failure) if begun.elapsed() > OPEN_TIMEOUT => return Err(failure),
                Err(_) => pause(RETRY),
                opened => return opened,
            }
        }
    }

    fn try_open(path: &str) -> Result<Self, Failure> {
        let failed =
            |error: std::io::Error| Failure::disk(format!("{path} cannot be opened: {error}"));
        let file = File::options().read(true).write(true).open(Path::new(path)).map_err(failed)?;
        let kind = file.metadata().map_err(failed)?.file_type();
        // Tests use a file. A file that does not exist must never be created.
        if !kind.is_block_device() && !kind.is_file() {
            return Err(Failure::disk(format!("{path} is not a disk")));
        }
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| Failure::disk(format!("{path} is being written by another build")))?;
        let size = (&file).seek(SeekFrom::End(0)).map_err(failed)?;
        if size == 0 {
            return Err(Failure::disk(format!("{path} has no size")));
        }
        Ok(Self { file, path: path.to_owned(), size })
    }

    /// Discards everything, so that skipped blocks read as zeros and a snapshot contains no old
    /// data.
    pub fn discard(&self) -> Result<(), Failure> {
        self.discard_from(0)
    }

    /// Discards everything from an offset on.
    pub fn discard_from(&self, offset: u64) -> Result<(), Failure> {
        let is_file = self.file.metadata().is_ok_and(|metadata| metadata.is_file());
        if is_file {
            let emptied = self.file.set_len(offset).and_then(|()| self.file.set_len(self.size));
            return emptied.map_err(|error| self.failure("cannot be emptied", error));
        }
        let offset = offset.to_string();
        // A disk that cannot discard is filled with zeros.
        let (first, second) = (
            self.blkdiscard(&["--force", "--offset", &offset]),
            &["--zeroout", "--force", "--offset", &offset],
        );
        first
            .or_else(|_| self.blkdiscard(second))
            .map_err(|error| self.failure("cannot be emptied", error))
    }

    fn blkdiscard(&self, arguments: &[&str]) -> Result<(), CommandError> {
        let mut command = Command::new("blkdiscard");
        let output = command
            .args(arguments)
            .arg(&self.path)
            .env("PATH", PATH)
            .stdin(Stdio::null())
            .output()?;
        if output.status.success() {
            Ok(())
        } else {
            Err(CommandError::Failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
        }
    }

    /// Refuses an image that is larger than the disk.
    pub fn fits(&self, image: u64) -> Result<(), Failure> {
        if image <= self.size {
            return Ok(());
        }
        let message = format!("the image has {image} bytes, the disk {}", self.size);
        Err(Failure::new(WriteFailure::TooBig, message))
    }

    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), Failure> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|error| self.failure(&format!("cannot be written at {offset}"), error))
    }

    /// A part of the disk, for reading in any order.
    pub fn region(&self, start: u64, length: u64) -> Region<'_> {
        Region { file: &self.file, start, length }
    }

    /// A writer that starts at the beginning.
    pub fn writer(&self) -> Writer<'_> {
        Writer { disk: self, image: Image::default(), hash: Sha256::new() }
    }

    /// Returns when everything written is on the disk.
    pub fn sync(&self) -> Result<(), Failure> {
        self.file.sync_all().map_err(|error| self.failure("does not keep what was written", error))
    }

    fn failure(&self, what: &str, reason: impl std::fmt::Display) -> Failure {
        Failure::disk(format!("{} {what}: {reason}", self.path))
    }

    /// Reads the image back and compares it. A skipped block that does not read as zeros is written
    /// after all: some disks do not discard reliably. Returns how many bytes that were.
    pub fn verify(&self, image: &Image, events: &Events) -> Result<u64, Failure> {
        // Reads from the disk, not from memory, unless the kernel refuses that.
        let _ = fadvise(&self.file, 0, None, Advice::DontNeed);
        let _ = fadvise(&self.file, 0, None, Advice::Sequential);
        let failed = |error: std::io::Error| self.failure("cannot be read back", error);
        let (mut hash, mut piece, mut at, mut repaired) = (Sha256::new(), vec![0; PIECE], 0, 0);
        while at < image.length {
            let length = PIECE.min(usize::try_from(image.length - at).unwrap_or(PIECE));
            let piece = &mut piece[..length];
            self.file.read_exact_at(piece, at).map_err(failed)?;
            for (index, block) in piece.chunks_mut(BLOCK).enumerate() {
                let offset = at + (index * BLOCK) as u64;
                if image.was_skipped(offset) && !is_zero(block) {
                    block.fill(0);
                    self.write_at(block, offset)?;
                    repaired += block.len() as u64;
                }
            }
            hash.update(&*piece);
            at += length as u64;
            events.progress(at, Some(image.length)).map_err(events::unheard)?;
        }
        if repaired > 0 {
            self.sync()?;
        }
        let read = feed::hex(&hash.finalize());
        if read == image.sha256() {
            return Ok(repaired);
        }
        Err(Failure::disk(format!(
            "{} does not hold what was written to it: {read} instead of {}",
            self.path,
            image.sha256()
        )))
    }
}

/// A part of the disk.
pub struct Region<'a> {
    file: &'a File,
    start: u64,
    pub length: u64,
}

impl Region<'_> {
    /// Fills the buffer from an offset. Returns `false` if the region ends before.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<bool> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.length) {
            return Ok(false);
        }
        self.file.read_exact_at(buffer, self.start + offset).map(|()| true)
    }
}

/// What was written, to compare the disk with.
#[derive(Debug, Default)]
pub struct Image {
    /// Bytes.
    pub length: u64,
    /// Bytes that were not written because they are zeros.
    pub skipped: u64,
    digest: Vec<u8>,
    /// Skipped blocks, one bit for each: 80 KB for 40 GB.
    blocks: Vec<u64>,
}

impl Image {
    /// In hex digits.
    pub fn sha256(&self) -> String {
        feed::hex(&self.digest)
    }

    fn was_skipped(&self, offset: u64) -> bool {
        let block = offset / BLOCK as u64;
        let word = usize::try_from(block / 64).ok().and_then(|word| self.blocks.get(word));
        word.is_some_and(|word| word >> (block % 64) & 1 == 1)
    }

    fn note_skipped(&mut self, offset: u64) {
        let block = offset / BLOCK as u64;
        let word = usize::try_from(block / 64).unwrap_or(usize::MAX);
        if self.blocks.len() <= word {
            self.blocks.resize(word + 1, 0);
        }
        self.blocks[word] |= 1 << (block % 64);
    }
}

/// Writes an image from its beginning to its end.
pub struct Writer<'a> {
    disk: &'a Disk,
    image: Image,
    hash: Sha256,
}

impl Writer<'_> {
    /// Writes the next bytes: whole blocks, except the last.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let start = self.image.length;
        if start + bytes.len() as u64 > self.disk.size {
            let size = self.disk.size;
            let message = format!("the image is larger than the disk, which has {size} bytes");
            return Err(Failure::new(WriteFailure::TooBig, message));
        }
        self.hash.update(bytes);
        let mut pending: Option<usize> = None;
        for (index, block) in bytes.chunks(BLOCK).enumerate() {
            let at = index * BLOCK;
            if is_zero(block) {
                if let Some(from) = pending.take() {
                    self.disk.write_at(&bytes[from..at], start + from as u64)?;
                }
                self.image.note_skipped(start + at as u64);
                self.image.skipped += block.len() as u64;
            } else if pending.is_none() {
                pending = Some(at);
            }
        }
        if let Some(from) = pending {
            self.disk.write_at(&bytes[from..], start + from as u64)?;
        }
        self.image.length += bytes.len() as u64;
        Ok(())
    }

    pub fn finish(self) -> Image {
        Image { digest: self.hash.finalize().to_vec(), ..self.image }
    }
}

fn is_zero(block: &[u8]) -> bool {
    block == &ZEROS[..block.len()]
}

#[expect(clippy::disallowed_methods, reason = "this program uses threads, not a runtime")]
fn pause(length: Duration) {
    std::thread::sleep(length);
}
