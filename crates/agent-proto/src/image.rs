//! The protocol between the builder of a machine image and the writer in the rescue system. The
//! writer reads one [`WriteOrder`] as a line of JSON on standard input, followed by the image if
//! the source is standard input, and prints one [`WriteEvent`] per line until [`WriteEvent::Done`]
//! or [`WriteEvent::Failed`].

use serde::{Deserialize, Serialize};

/// What to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteOrder {
    /// The disk, such as `/dev/sda`. Everything on it is lost.
    pub device: String,
    /// Where the bytes come from.
    pub source: ImageSource,
    /// How they are compressed.
    pub compression: Compression,
    /// The format after decompression.
    pub format: Format,
    /// The expected checksum of the source as received.
    pub checksum: Option<Checksum>,
}

/// Where the bytes of an image come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// A web server, reached from the machine.
    Url {
        /// `http` or `https`.
        url: String,
        /// A source that sends nothing for this long has stalled, in seconds.
        stall_seconds: u32,
        /// How often in a row it may fail without having sent anything.
        attempts: u32,
    },
    /// Standard input, after the order.
    Input {
        /// Its length in bytes.
        length: u64,
    },
}

/// How an image is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Detected from the first bytes.
    Auto,
    /// Not compressed.
    None,
    /// `.xz`
    Xz,
    /// `.zst`
    Zstd,
    /// `.gz`
    Gzip,
    /// `.bz2`
    Bzip2,
}

/// The form of a disk image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Detected from the first bytes.
    Auto,
    /// The bytes of the disk, in order.
    Raw,
    /// QEMU's copy-on-write format, versions 2 and 3.
    Qcow2,
}

/// A checksum in lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checksum {
    /// SHA-256.
    Sha256(String),
    /// SHA-512.
    Sha512(String),
}

/// The phases of a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WritePhase {
    /// Discards the content of the disk.
    Discard,
    /// Reads the source and writes it.
    Write,
    /// Converts the file that was staged at the end of the disk (qcow2).
    Convert,
    /// Flushes buffers to the disk.
    Sync,
    /// Reads the disk back.
    Verify,
}

/// What a writer reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteEvent {
    /// A phase begins.
    Phase(WritePhase),
    /// The progress of the phase.
    Progress {
        /// Completed bytes: of the source while writing, of the image afterwards.
        done: u64,
        /// The total, if it is known.
        total: Option<u64>,
    },
    /// The source broke off and the rest is requested.
    Resumed {
        /// The offset of the first requested byte.
        at: u64,
        /// Why it broke off.
        because: String,
    },
    /// The image is on the disk and was verified.
    Done(Written),
    /// The image was not written. No event follows.
    Failed {
        /// What kind of failure.
        kind: WriteFailure,
        /// The reason, human-readable.
        message: String,
    },
}

/// The result of a complete write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Length of the source, in bytes.
    pub source_bytes: u64,
    /// SHA-256 of the source as received, in hex digits.
    pub source_sha256: String,
    /// Length of the image, in bytes.
    pub image_bytes: u64,
    /// SHA-256 of the image, in hex digits. The disk was compared with it.
    pub image_sha256: String,
    /// Bytes of the image that are zeros and were skipped.
    pub skipped_bytes: u64,
    /// Bytes that were not zeros on the disk after the discard, and were written after all.
    pub repaired_bytes: u64,
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteFailure {
    /// The source is not available, broke off, or stalled.
    Source,
    /// The source does not match its checksum.
    Checksum,
    /// It cannot be decompressed, or is not an image.
    Archive,
    /// It does not fit on the disk.
    TooBig,
    /// The disk cannot be written, or its content differs from what was written.
    Disk,
    /// The order is not possible here.
    Order,
}
