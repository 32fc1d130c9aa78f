//! Decompression by the machine's own programs, each in a process of its own: one thread feeds it,
//! the caller reads its output.

use std::io::{self, ErrorKind, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use agent_proto::image::{Compression, WriteFailure};

use super::failure::Failure;
use super::feed::{Feed, Source};
use crate::commands::PATH;

/// Capacity of a pipe, in bytes: large enough to be worth a wake-up. The kernel allows an
/// unprivileged process no more.
const PIPE: usize = 1 << 20;

/// Magic numbers from the formats' specifications.
const MAGIC: &[(&[u8], Compression)] = &[
    (b"\xfd7zXZ\0", Compression::Xz),
    (b"\x28\xb5\x2f\xfd", Compression::Zstd),
    (b"\x1f\x8b", Compression::Gzip),
    (b"BZh", Compression::Bzip2),
];

/// A decompressed source.
pub enum Unpacked {
    /// It was not compressed.
    Plain(Feed),
    /// A program decompresses it.
    Program(Program),
}

/// A running decompressor.
pub struct Program {
    name: &'static str,
    child: Child,
    output: ChildStdout,
    feeding: Option<JoinHandle<Fed>>,
    total: Option<u64>,
}

/// How feeding the program ended.
enum Fed {
    /// The program read everything.
    Whole(Feed),
    /// The program stopped reading.
    Refused(Feed),
    /// The source failed.
    Failed(io::Error),
}

/// Starts to decompress.
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
        // One thread: each further one would need memory for a block.
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
        let message = format!("`{name}` cannot be run in the rescue system: {error}");
        Failure::new(WriteFailure::Order, message)
    };
    let mut child = command.spawn().map_err(missing)?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(missing(ErrorKind::BrokenPipe.into()));
    };
    // Refused if this user's pipes are too large already; small ones work, too.
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
    /// Whether it is not compressed, so that the source's length is the image's.
    pub fn is_plain(&self) -> bool {
        matches!(self, Unpacked::Plain(_))
    }

    /// The length of the source, if known.
    pub fn total(&self) -> Option<u64> {
        match self {
            Unpacked::Plain(feed) => feed.total(),
            Unpacked::Program(program) => program.total,
        }
    }

    /// Waits for the end and checks the source.
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
        let name = self.name;
        let (status, message) = self
            .wait()
            .map_err(|error| Failure::archive(format!("`{name}` cannot be waited for: {error}")))?;
        let damaged = format!("the source cannot be decompressed: {message}");
        match fed {
            // The program's own error only follows from the broken source.
            Some(Ok(Fed::Failed(error))) => Err(Failure::source(error.to_string())),
            Some(Ok(Fed::Whole(feed) | Fed::Refused(feed))) if is_fine(name, status) => {
                feed.finish()
            }
            Some(Ok(Fed::Whole(feed))) => {
                // A wrong checksum says more than a damaged archive.
                feed.finish()?;
                Err(Failure::archive(damaged))
            }
            Some(Ok(Fed::Refused(_))) => Err(Failure::archive(damaged)),
            Some(Err(_)) | None => Err(Failure::archive(format!("`{name}` was not fed"))),
        }
    }

    /// Waits for its end. Returns the last line of its errors.
    fn wait(&mut self) -> io::Result<(ExitStatus, String)> {
        let mut text = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            // A decompressor prints a line or two, never more than a pipe holds.
            let _ = errors.read_to_string(&mut text);
        }
        let status = self.child.wait()?;
        let last = text.lines().rfind(|line| !line.trim().is_empty());
        Ok((status, format!("{} ({status})", last.unwrap_or("no message").trim())))
    }
}

/// gzip exits with 2 for a warning, such as zeros after the archive.
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
        // After success it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
