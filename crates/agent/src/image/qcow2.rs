//! Converts QEMU's qcow2 images, versions 2 and 3, to the bytes of the disk. The format is
//! described in QEMU's `docs/interop/qcow2.rst`. Images that depend on something else (backing
//! files, external data, encryption) are refused.

use std::io::Read as _;

use super::disk::{Image, Region, Writer};
use super::events::{Events, unheard};
use super::failure::Failure;
use super::feed::PIECE;

/// The first bytes of a qcow2 file.
pub const MAGIC: &[u8] = b"QFI\xfb";

/// Offsets in L1 and L2 entries: bits 9 to 55.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
const READS_AS_ZEROS: u64 = 1;
/// The largest L1 table, which is kept in memory: it covers 32 TiB at the usual cluster size of 64
/// KiB.
const MAX_L1: u32 = 1 << 16;

/// Incompatible features.
const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const EXTERNAL_DATA: u64 = 1 << 2;
const COMPRESSION_TYPE: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;

/// The header of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the disk.
    pub size: u64,
    cluster_bits: u32,
    l1_size: u32,
    l1_offset: u64,
    zstd: bool,
}

fn refused(what: &str) -> Failure {
    Failure::archive(format!("the qcow2 image {what}"))
}

impl Header {
    /// Reads and checks the header.
    pub fn read(head: &[u8]) -> Result<Self, Failure> {
        let bytes = |at: usize, length: usize| {
            head.get(at..at + length).ok_or_else(|| refused("ends within its header"))
        };
        let u32_at =
            |at: usize| Ok(u32::from_be_bytes(bytes(at, 4)?.try_into().unwrap_or_default()));
        let u64_at =
            |at: usize| Ok(u64::from_be_bytes(bytes(at, 8)?.try_into().unwrap_or_default()));
        if bytes(0, 4)? != MAGIC {
            return Err(Failure::archive("the source is not a qcow2 image"));
        }
        let version = u32_at(4)?;
        if !matches!(version, 2 | 3) {
            return Err(refused(&format!("has the unknown version {version}")));
        }
        if u64_at(8)? != 0 {
            return Err(refused(
                "has a backing file: flatten it with `qemu-img convert -O qcow2` first",
            ));
        }
        if u32_at(32)? != 0 {
            return Err(refused("is encrypted"));
        }
        let features = if version == 3 { u64_at(72)? } else { 0 };
        for (bit, what) in [
            (CORRUPT, "is marked as corrupt"),
            (EXTERNAL_DATA, "has its data in another file"),
            (EXTENDED_L2, "has subclusters"),
        ] {
            if features & bit != 0 {
                return Err(refused(&format!(
                    "{what}: make a plain one with `qemu-img convert -O qcow2`"
                )));
            }
        }
        if features & !(DIRTY | COMPRESSION_TYPE) != 0 {
            return Err(refused("has unknown features"));
        }
        let zstd = features & COMPRESSION_TYPE != 0 && bytes(104, 1)? == [1];
        let header = Self {
            size: u64_at(24)?,
            cluster_bits: u32_at(20)?,
            l1_size: u32_at(36)?,
            l1_offset: u64_at(40)?,
            zstd,
        };
        if !(9..=21).contains(&header.cluster_bits) || header.l1_size > MAX_L1 || header.size == 0 {
            return Err(refused("has an invalid header"));
        }
        let needed = header.size.div_ceil(header.l2_covers());
        if u64::from(header.l1_size) < needed {
            return Err(refused("has a table that is too short"));
        }
        Ok(header)
    }

    fn cluster(&self) -> usize {
        1 << self.cluster_bits
    }

    /// How many bytes of the disk one L2 table covers.
    fn l2_covers(&self) -> u64 {
        1 << (2 * self.cluster_bits - 3)
    }
}

/// Writes the disk that `file` describes.
pub fn convert(
    header: &Header,
    file: &Region<'_>,
    mut writer: Writer<'_>,
    events: &Events,
) -> Result<Image, Failure> {
    let l1 = table(file, header.l1_offset, header.l1_size as usize)?;
    let cluster = header.cluster();
    let (mut loaded, mut l2): (Option<u64>, Vec<u64>) = (None, Vec::new());
    let mut piece = Vec::with_capacity(PIECE.max(cluster));
    let mut at = 0;
    while at < header.size {
        let entry = l1[usize::try_from(at / header.l2_covers()).unwrap_or(usize::MAX)] & OFFSET;
        let entry = if entry == 0 {
            0
        } else {
            if loaded != Some(entry) {
                l2 = table(file, entry, cluster / 8)?;
                loaded = Some(entry);
            }
            l2[usize::try_from(at % header.l2_covers()).unwrap_or_default() >> header.cluster_bits]
        };
        let begun = piece.len();
        piece.resize(begun + cluster, 0);
        fill(header, file, entry, &mut piece[begun..])?;
        at += cluster as u64;
        let beyond = usize::try_from(at.saturating_sub(header.size)).unwrap_or_default();
        piece.truncate(piece.len() - beyond);
        if piece.len() >= PIECE || at >= header.size {
            writer.write(&piece)?;
            piece.clear();
            events.progress(at.min(header.size), Some(header.size)).map_err(unheard)?;
        }
    }
    Ok(writer.finish())
}

/// Reads one cluster of the disk into a buffer of zeros.
fn fill(header: &Header, file: &Region<'_>, entry: u64, into: &mut [u8]) -> Result<(), Failure> {
    if entry & COMPRESSED != 0 {
        return decompress(header, file, entry, into);
    }
    let offset = entry & OFFSET;
    if offset == 0 || entry & READS_AS_ZEROS != 0 {
        return Ok(());
    }
    // The last cluster of a file may be short; the rest is zeros.
    let length = file.length.saturating_sub(offset).min(into.len() as u64);
    let length = usize::try_from(length).unwrap_or_default();
    if length == 0 {
        return Err(refused("ends before its data"));
    }
    read(file, &mut into[..length], offset)
}

fn decompress(
    header: &Header,
    file: &Region<'_>,
    entry: u64,
    into: &mut [u8],
) -> Result<(), Failure> {
    let split = 62 - (header.cluster_bits - 8);
    let offset = entry & ((1 << split) - 1);
    let sectors = (entry & (COMPRESSED - 1)) >> split;
    let length = (sectors + 1) * 512 - (offset & 511);
    let length = length.min(file.length.saturating_sub(offset));
    let mut packed = vec![0; usize::try_from(length).unwrap_or_default()];
    read(file, &mut packed, offset)?;
    let whole = match header.zstd {
        true => zstd::stream::read::Decoder::new(packed.as_slice())
            .and_then(|decoder| decoder.single_frame().read_exact(into))
            .is_ok(),
        // Without zlib's header.
        false => flate2::read::DeflateDecoder::new(packed.as_slice()).read_exact(into).is_ok(),
    };
    if whole { Ok(()) } else { Err(refused("has a cluster that cannot be decompressed")) }
}

fn table(file: &Region<'_>, offset: u64, entries: usize) -> Result<Vec<u64>, Failure> {
    let mut bytes = vec![0; entries * 8];
    read(file, &mut bytes, offset)?;
    Ok(bytes
        .chunks_exact(8)
        .map(|entry| u64::from_be_bytes(entry.try_into().unwrap_or_default()))
        .collect())
}

fn read(file: &Region<'_>, into: &mut [u8], offset: u64) -> Result<(), Failure> {
    match file.read_at(into, offset) {
        Ok(true) => Ok(()),
        Ok(false) => Err(refused("ends before its data")),
        Err(error) => Err(Failure::disk(format!("the staged file cannot be read: {error}"))),
    }
}
