//! Writes a machine image to a disk, in a rescue system: source → checksum → decompression → disk,
//! in pieces with bounded memory; then reads the disk back.
//!
//! The machine's own `curl` and decompressors run as processes of their own, in parallel, which
//! keeps this program small. It knows nothing of clouds, snapshots or SSH: the order arrives on
//! standard input, events are printed on standard output.

mod disk;
mod download;
mod events;
mod failure;
mod feed;
mod qcow2;
mod unpack;

use std::io::{self, Read};

use agent_proto::image::{
    Format, ImageSource, WriteEvent, WriteFailure, WriteOrder, WritePhase, Written,
};

use disk::{Disk, Image};
use events::Events;
use failure::Failure;
use feed::{Feed, PIECE};
use unpack::Unpacked;

/// The longest order, in bytes: a few hundred are usual, but a URL may be long.
const LONGEST_ORDER: usize = 64 * 1024;

/// Executes the order on standard input. A failure is reported as an event; an error means that it
/// could not be reported.
pub fn run() -> io::Result<()> {
    let events = Events::new();
    let end = match order(&mut io::stdin()).and_then(|order| write(&order, &events)) {
        Ok(written) => WriteEvent::Done(written),
        Err(Failure { kind, message }) => WriteEvent::Failed { kind, message },
    };
    events.send(&end)
}

/// Reads exactly one line: the image may follow.
fn order(input: &mut impl Read) -> Result<WriteOrder, Failure> {
    let refuse = |message: String| Failure::new(WriteFailure::Order, message);
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < LONGEST_ORDER {
        match input.read(&mut byte) {
            Ok(0) => return Err(refuse("the order broke off".into())),
            Ok(_) if byte[0] == b'\n' => {
                return serde_json::from_slice(&line)
                    .map_err(|error| refuse(format!("the order is invalid: {error}")));
            }
            Ok(_) => line.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(refuse(format!("the order cannot be read: {error}"))),
        }
    }
    Err(refuse("the order is too long".into()))
}

fn write(order: &WriteOrder, events: &Events) -> Result<Written, Failure> {
    let disk = Disk::open(&order.device)?;
    events.phase(WritePhase::Discard)?;
    disk.discard()?;
    events.phase(WritePhase::Write)?;
    let feed = match &order.source {
        ImageSource::Url { url, stall_seconds, attempts } => Feed::new(
            download::Download::new(url, *stall_seconds, *attempts, events.clone()),
            events.clone(),
        ),
        ImageSource::Input { length } => {
            Feed::new(feed::Upload::new(io::stdin(), *length), events.clone())
        }
    };
    let feed = feed.with_checksum(order.checksum.as_ref());
    let mut stream = unpack::unpack(feed, order.compression)?;
    let mut head = vec![0; PIECE];
    let length = fill(&mut stream, &mut head)?;
    head.truncate(length);
    if head.is_empty() {
        // Reports a source that broke off before its first byte.
        stream.finish()?;
        return Err(Failure::source("the source is empty"));
    }
    // The content of a compressed source is known only here.
    if order.format == Format::Auto
        && let Some(what) = agent_proto::foreign::foreign(&head)
    {
        let hint = "the format raw accepts it unchanged";
        return Err(Failure::source(format!("the source is {what}, not a disk image; {hint}")));
    }
    let is_qcow2 = match order.format {
        Format::Raw => false,
        Format::Qcow2 => true,
        Format::Auto => head.starts_with(qcow2::MAGIC),
    };
    let (image, source) =
        if is_qcow2 { from_qcow2(&disk, head, stream, events)? } else { raw(&disk, head, stream)? };
    events.phase(WritePhase::Sync)?;
    disk.sync()?;
    events.phase(WritePhase::Verify)?;
    let repaired_bytes = disk.verify(&image, events)?;
    Ok(Written {
        source_bytes: source.bytes,
        source_sha256: source.sha256,
        image_bytes: image.length,
        image_sha256: image.sha256(),
        skipped_bytes: image.skipped,
        repaired_bytes,
    })
}

fn raw(disk: &Disk, head: Vec<u8>, mut stream: Unpacked) -> Result<(Image, feed::Source), Failure> {
    if let Some(total) = stream.total().filter(|_| stream.is_plain()) {
        disk.fits(total)?;
    }
    let mut writer = disk.writer();
    let mut piece = head;
    while !piece.is_empty() {
        writer.write(&piece)?;
        piece.resize(PIECE, 0);
        let length = fill(&mut stream, &mut piece)?;
        piece.truncate(length);
    }
    let source = stream.finish()?;
    Ok((writer.finish(), source))
}

/// The tables of a qcow2 file may be anywhere in it, so it cannot be converted while it arrives. It
/// is staged at the end of the disk, which the image does not use, and converted from there.
fn from_qcow2(
    disk: &Disk,
    head: Vec<u8>,
    mut stream: Unpacked,
    events: &Events,
) -> Result<(Image, feed::Source), Failure> {
    let header = qcow2::Header::read(&head)?;
    disk.fits(header.size)?;
    let stage = header.size.next_multiple_of(PIECE as u64);
    let mut at = stage;
    let mut piece = head;
    while !piece.is_empty() {
        if at + piece.len() as u64 > disk.size {
            let message = format!(
                "the disk of {} bytes has no room for the qcow2 file beside its image of {} bytes",
                disk.size, header.size
            );
            return Err(Failure::new(WriteFailure::TooBig, message));
        }
        disk.write_at(&piece, at)?;
        at += piece.len() as u64;
        piece.resize(PIECE, 0);
        let length = fill(&mut stream, &mut piece)?;
        piece.truncate(length);
    }
    let source = stream.finish()?;
    events.phase(WritePhase::Convert)?;
    let image = qcow2::convert(&header, &disk.region(stage, at - stage), disk.writer(), events)?;
    disk.discard_from(stage)?;
    Ok((image, source))
}

/// Fills the buffer as far as the stream reaches.
fn fill(stream: &mut Unpacked, buffer: &mut [u8]) -> Result<usize, Failure> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::source(error.to_string())),
        }
    }
    Ok(filled)
}
