//! Runs the writer in the rescue system: sends the program, its order and, for a local file, the
//! bytes, and reads the writer's events until the end.

use std::path::Path;
use std::pin::Pin;

use agent_proto::image::{ImageSource, WriteEvent, WriteFailure, WriteOrder, WritePhase, Written};
use tokio::fs::File;
use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::time::Instant;
use tunnel::Tunnel;

use crate::error::ImageError;
use crate::event::{Event, Meter, Phase, Report};
use crate::login::RESCUE;
use crate::order::DiskImage;
use crate::source::{Identified, Source};

/// Path of the writer in the rescue system, whose root is in memory.
const WRITER: &str = "/root/dockbridge-writer";
/// The disk of a server, in every rescue system of this cloud.
const DEVICE: &str = "/dev/sda";
/// How often in a row a source may fail without a byte; the pauses are 1, 2, 4 and 8 s.
const ATTEMPTS: u32 = 5;
/// Exit codes of a shell that cannot run a program (POSIX, `exec`).
const CANNOT_EXECUTE: u32 = 126;
const NOT_FOUND: u32 = 127;
/// Bytes that are sent at once.
const PIECE: usize = 256 * 1024;
/// The longest line that the writer prints, in bytes.
const LONGEST_LINE: u64 = 64 * 1024;

/// Writes the image. After [`ImageError::Lost`] it may be repeated.
pub(crate) async fn write(
    tunnel: &Tunnel,
    writer: &[u8],
    order: &DiskImage,
    source: &Identified,
    report: &Report<'_>,
) -> Result<Written, ImageError> {
    let lost = |last: String| ImageError::Lost { what: RESCUE, times: 1, last };
    let put = format!(
        "umask 077 && cat >{WRITER}.new && chmod 700 {WRITER}.new && mv -f {WRITER}.new {WRITER}"
    );
    let sent =
        tunnel.exec(&put, writer).await.map_err(|error| lost(machine::with_causes(&error)))?;
    if !sent.success() {
        return Err(lost(format!(
            "the writer did not arrive: {}",
            String::from_utf8_lossy(&sent.stderr).trim()
        )));
    }
    let started = tunnel.start(&format!("exec {WRITER} write-image")).await;
    let mut process = started.map_err(|error| lost(machine::with_causes(&error)))?;
    let input = process.take_input();
    let line = line(order, source)?;
    let file = match &order.source {
        Source::File(path) => Some(path.as_path()),
        Source::Url(_) => None,
    };
    let mut lines = BufReader::new(process).take(LONGEST_LINE);
    let mut events = Events { report, phase: Phase::Discard, begun: Instant::now() };
    let feeding = feed(input, &line, file);
    tokio::pin!(feeding);
    let mut fed = false;
    let mut text = Vec::new();
    loop {
        let read = tokio::select! {
            read = lines.read_until(b'\n', &mut text) => read,
            outcome = &mut feeding, if !fed => {
                fed = true;
                outcome?;
                continue;
            }
        };
        match read {
            Ok(0) => break,
            Ok(_) => {
                let event = serde_json::from_slice(&text).map_err(|error| {
                    lost(format!("the writer's output is not understood: {error}"))
                })?;
                if let Some(end) = events.receive(event) {
                    return end;
                }
                text.clear();
                lines.set_limit(LONGEST_LINE);
            }
            Err(error) => return Err(lost(tunnel.is_dead().unwrap_or_else(|| error.to_string()))),
        }
    }
    if let Some(reason) = tunnel.is_dead() {
        return Err(lost(reason));
    }
    let end = lines.into_inner().into_inner().ended().await;
    let said = end.stderr.trim();
    match end.status {
        // A retry would end the same.
        Some(CANNOT_EXECUTE | NOT_FOUND) => {
            let why = said.lines().next().unwrap_or_default();
            Err(ImageError::Write {
                kind: WriteFailure::Order,
                message: format!("the writer cannot be run in the rescue system: {why}"),
            })
        }
        Some(status) => Err(lost(format!(
            "the writer ended with {status} and without a message of its own: {said}"
        ))),
        None => Err(lost(format!("the writer was killed: {said}"))),
    }
}

fn line(order: &DiskImage, source: &Identified) -> Result<Vec<u8>, ImageError> {
    let stall = u32::try_from(order.stall_timeout.as_secs()).unwrap_or(u32::MAX).max(1);
    let write = WriteOrder {
        device: DEVICE.to_owned(),
        source: match &order.source {
            Source::Url(url) => {
                ImageSource::Url { url: url.to_string(), stall_seconds: stall, attempts: ATTEMPTS }
            }
            Source::File(_) => ImageSource::Input { length: source.length.unwrap_or_default() },
        },
        compression: order.compression,
        format: order.format,
        checksum: source.checksum.clone(),
    };
    let mut line = serde_json::to_vec(&write).map_err(|error| ImageError::Lost {
        what: RESCUE,
        times: 1,
        last: error.to_string(),
    })?;
    line.push(b'\n');
    Ok(line)
}

/// Sends the order, then the file. A writer that stops reading reports why by itself, so only
/// failures of the file are errors.
async fn feed(
    mut input: Pin<Box<dyn AsyncWrite + Send + Sync>>,
    line: &[u8],
    file: Option<&Path>,
) -> Result<(), ImageError> {
    if input.write_all(line).await.is_err() {
        return Ok(());
    }
    if let Some(path) = file {
        let failed = |source| ImageError::File { path: path.to_owned(), source };
        let mut file = File::open(path).await.map_err(failed)?;
        let mut piece = vec![0; PIECE];
        loop {
            let length = file.read(&mut piece).await.map_err(failed)?;
            if length == 0 {
                break;
            }
            if input.write_all(&piece[..length]).await.is_err() {
                return Ok(());
            }
        }
    }
    let _ = input.shutdown().await;
    Ok(())
}

struct Events<'a> {
    report: &'a Report<'a>,
    phase: Phase,
    begun: Instant,
}

impl Events<'_> {
    /// Reports an event; returns the result at the end.
    fn receive(&mut self, event: WriteEvent) -> Option<Result<Written, ImageError>> {
        match event {
            WriteEvent::Phase(phase) => {
                self.phase = match phase {
                    WritePhase::Discard => Phase::Discard,
                    WritePhase::Write => Phase::Write,
                    WritePhase::Convert => Phase::Convert,
                    WritePhase::Sync => Phase::Sync,
                    WritePhase::Verify => Phase::Verify,
                };
                self.begun = Instant::now();
                (self.report)(Event::Phase { phase: self.phase, detail: None });
            }
            WriteEvent::Progress { done, total } => {
                (self.report)(Meter::new(self.phase).progress(done, total, self.begun.elapsed()))
            }
            WriteEvent::Resumed { at, because } => {
                (self.report)(Event::Note {
                    message: format!("the source is requested again, from byte {at}: {because}"),
                });
            }
            WriteEvent::Done(written) => return Some(Ok(written)),
            WriteEvent::Failed { kind, message } => {
                return Some(Err(ImageError::Write { kind, message }));
            }
        }
        None
    }
}
