//! Decompression by the machine's own programs, each in a process of its own: one thread feeds it,
//! whoever reads takes what comes out.

use std::io::{self, ErrorKind, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use agent_proto::image::{Compression, WriteFailure};

use super::Failure;
use super::feed::{Feed, Source};
use crate::commands::PATH;

/// What a pipe holds, in bytes: both sides work in pieces that are worth waking up for. The kernel
/// gives an unprivileged process no more.
const PIPE: usize = 1 << 20;

/// Magic numbers, from the formats' own descriptions.
const MAGIC: &[(&[u8], Compression)] = &[
    (b"\xfd7zXZ\0", Compression::Xz),
    (b"\x28\xb5\x2f\xfd", Compression::Zstd),
    (b"\x1f\x8b", Compression::Gzip),
    (b"BZh", Compression::Bzip2),
];

/// The source without its compression.
pub enum Unpacked {
    /// It had none.
    Plain(Feed),
    /// A program takes it off.
    Program(Program),
}

/// A decompressor at work.
pub struct Program {
    name: &'static str,
    child: Child,
    output: ChildStdout,
    feeding: Option<JoinHandle<Fed>>,
    total: Option<u64>,
}

/// What became of the feeding.
enum Fed {
    /// All went in.
    Whole(Feed),
    /// The program took no more.
    Refused(Feed),
    /// The source failed.
    Failed(io::Error),
}

/// Begins to decompress.
pub fn unpack(mut feed: Feed, compression: Compression) -> Result<Unpacked, Failure> {
    let compression = match compression {
        Compression::Auto => {
            let head = feed.peek(6).map_err(|error| Failure::source(error.to_string()))?;
            MAGIC
                .iter()
                .find(|(magic, _)| head.starts_with(magic))
                .map_or(Compression::None, |(_, found)| *found)
        }
        given => given,
    };
    let (name, arguments): (_, &[&str]) = match compression {
        Compression::Auto | Compression::None => return Ok(Unpacked::Plain(feed)),
        // One thread: several would take memory for a block each.
        Compression::Xz => ("xz", &["--decompress", "--stdout", "--threads=1"]),
        Compression::Zstd => ("zstd", &["--decompress", "--stdout", "--quiet"]),
        Compression::Gzip => ("gzip", &["--decompress", "--stdout"]),
        Compression::Bzip2 => ("bzip2", &["--decompress", "--stdout"]),
    };
    let mut command = Command::new(name);
    command
        .args(arguments)
        .env("PATH", PATH)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let missing = |error: io::Error| {
        Failure::new(
            WriteFailure::Order,
            format!(
                "`{name}` cannot be \
        run in the rescue system: {error}"
            ),
        )
    };
    let mut child = command.spawn().map_err(missing)?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(missing(ErrorKind::BrokenPipe.into()));
    };
    // Refused where the pipes of this user are too big already; it works with small ones, too.
    let _ = rustix::pipe::fcntl_setpipe_size(&input, PIPE);
    let _ = rustix::pipe::fcntl_setpipe_size(&output, PIPE);
    let total = feed.total();
    let feeding = std::thread::spawn(move || pump(feed, input));
    Ok(Unpacked::Program(Program { name, child, output, feeding: Some(feeding), total }))
}

fn pump(mut feed: Feed, mut input: impl io::Write) -> Fed {
    let mut piece = vec![0; 256 * 1024];
    loop {
        let length = match feed.read(&mut piece) {
            Ok(0) => return Fed::Whole(feed),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Fed::Failed(error),
        };
        if input.write_all(&piece[..length]).is_err() {
            return Fed::Refused(feed);
        }
    }
}

impl Unpacked {
    /// It needs no decompression: the source's length is the image's.
    pub fn is_plain(&self) -> bool {
        matches!(self, Unpacked::Plain(_))
    }

    /// Length of the source, where it is known.
    pub fn total(&self) -> Option<u64> {
        match self {
            Unpacked::Plain(feed) => feed.total(),
            Unpacked::Program(program) => program.total,
        }
    }

    /// Says what the source was, once all of it came through and was what it had to be.
    pub fn finish(self) -> Result<Source, Failure> {
        match self {
            Unpacked::Plain(feed) => feed.finish(),
            Unpacked::Program(program) => program.finish(),
        }
    }
}

impl Program {
    fn finish(mut self) -> Result<Source, Failure> {
        let fed = self.feeding.take().map(JoinHandle::join);
        let (status, said) = self.ended().map_err(|error| {
            Failure::archive(format!(
                "`{}` cannot be \
            waited for: {error}",
                self.name
            ))
        })?;
        let name = self.name;
        match fed {
            // What the program says of a source that broke off is no news.
            Some(Ok(Fed::Failed(error))) => Err(Failure::source(error.to_string())),
            Some(Ok(Fed::Whole(feed) | Fed::Refused(feed))) if is_fine(name, status) => {
                feed.finish()
            }
            Some(Ok(Fed::Whole(feed))) => {
                // A wrong checksum says more than what is wrong with the archive.
                feed.finish()?;
                Err(Failure::archive(format!("the source cannot be decompressed: {said}")))
            }
            Some(Ok(Fed::Refused(_))) => Err(Failure::archive(format!(
                "the source cannot be \
                decompressed: {said}"
            ))),
            Some(Err(_)) | None => Err(Failure::archive(format!("`{name}` was not fed"))),
        }
    }

    /// Waits for its end; its last words.
    fn ended(&mut self) -> io::Result<(ExitStatus, String)> {
        let mut said = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            // It says a line or two; more than a pipe holds would be no decompressor.
            let _ = errors.read_to_string(&mut said);
        }
        let status = self.child.wait()?;
        let said = said
            .lines()
            .rfind(|line| !line.trim().is_empty())
            .unwrap_or("it said nothing")
            .trim()
            .to_owned();
        Ok((status, format!("{said} ({status})")))
    }
}

/// gzip ends with 2 for a mere warning, such as zeros behind the archive.
fn is_fine(name: &str, status: ExitStatus) -> bool {
    status.success() || (name == "gzip" && status.code() == Some(2))
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Unpacked::Plain(feed) => feed.read(buffer),
            Unpacked::Program(program) => program.output.read(buffer),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already where all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
