//! What a build of a machine image and its writer in the rescue system say to each other. The
//! writer reads one [`WriteOrder`] as a line of JSON on its standard input, with the bytes of the
//! image after it where they come that way, and prints one [`WriteEvent`] a line until
//! [`WriteEvent::Done`] or [`WriteEvent::Failed`].

use serde::{Deserialize, Serialize};

/// What is to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteOrder {
    /// The disk, such as `/dev/sda`. All that is on it is lost.
    pub device: String,
    /// Where the bytes come from.
    pub source: ImageSource,
    /// How they are compressed.
    pub compression: Compression,
    /// What they are once they are decompressed.
    pub format: Format,
    /// What the source, as it comes, has to be.
    pub checksum: Option<Checksum>,
}

/// Where the bytes of an image come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// A web server. The line is the machine's own.
    Url {
        /// `http` or `https`.
        url: String,
        /// A source that sends nothing for so long has stalled, in seconds.
        stall_seconds: u32,
        /// How often in a row it may fail without having sent anything.
        attempts: u32,
    },
    /// Standard input, behind the order.
    Input {
        /// Bytes.
        length: u64,
    },
}

/// How an image is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// By its first bytes.
    Auto,
    /// Not at all.
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
    /// By its first bytes.
    Auto,
    /// The bytes of the disk.
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

/// What a writer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WritePhase {
    /// The disk is emptied.
    Discard,
    /// The source comes in and is written.
    Write,
    /// What was staged at the end of the disk is taken apart (qcow2).
    Convert,
    /// What is in memory goes to the disk.
    Sync,
    /// The disk is read back.
    Verify,
}

/// What a writer tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteEvent {
    /// A phase begins.
    Phase(WritePhase),
    /// How far the phase is.
    Progress {
        /// Bytes that are done: of the source while writing, of the image afterwards.
        done: u64,
        /// Of so many, where that is known.
        total: Option<u64>,
    },
    /// The source broke off and is asked for the rest.
    Resumed {
        /// From this byte on.
        at: u64,
        /// What happened.
        because: String,
    },
    /// The image is on the disk, and was read back.
    Done(Written),
    /// It is not; nothing follows.
    Failed {
        /// What kind of failure.
        kind: WriteFailure,
        /// In words for a person.
        message: String,
    },
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Bytes of the source.
    pub source_bytes: u64,
    /// SHA-256 of the source as it came, in hex digits.
    pub source_sha256: String,
    /// Bytes of the image.
    pub image_bytes: u64,
    /// SHA-256 of the image, which the disk was read back against, in hex digits.
    pub image_sha256: String,
    /// Bytes of the image that are zeros and were not written.
    pub skipped_bytes: u64,
    /// Bytes that were not zeros on the disk although they had been discarded, and were written
    /// after all.
    pub repaired_bytes: u64,
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WriteFailure {
    /// The source cannot be had, broke off, or stalled.
    Source,
    /// The source is not what its checksum says.
    Checksum,
    /// It cannot be decompressed, or is no image.
    Archive,
    /// It does not fit on the disk.
    TooBig,
    /// The disk cannot be written, or holds something else than what was written.
    Disk,
    /// The order cannot be carried out here.
    Order,
}
