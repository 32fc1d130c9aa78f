//! An engine that does nothing, so that only what carries the bytes is measured. It speaks as much
//! HTTP as the benchmark's clients do: `POST /sink` takes a body and returns its length,
//! `GET /source/N` returns N bytes that cannot be compressed, `GET /lines/SIZE/MICROSECONDS` writes
//! records forever, and every other path is answered with `OK`.
//!
//! One thread per connection: nothing that a runtime does is in the figures.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::clock;
use crate::http::{Head, read_head};

/// Copied in pieces of this size, in bytes.
pub const PIECE: usize = 256 * 1024;
/// A thread for each of a few thousand connections.
const STACK: usize = 512 * 1024;
/// A thousand clients connect at once.
const BACKLOG: i32 = 4096;

/// Bytes that cannot be compressed; sent again and again, at distances that no window of a
/// compressor spans.
pub static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
    };
    (0..2 * 1024 * 1024).flat_map(|_| next()).collect()
});

/// Arguments of `engine`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Unix socket to listen at
    #[arg(long, value_name = "PATH")]
    unix: PathBuf,
    /// TCP address to listen at, too
    #[arg(long, value_name = "ADDRESS:PORT")]
    tcp: Option<String>,
}

/// Serves until the process is ended.
pub fn run(arguments: &Args) -> Result<()> {
    LazyLock::force(&NOISE);
    let _ = std::fs::remove_file(&arguments.unix);
    let unix = UnixListener::bind(&arguments.unix)
        .with_context(|| arguments.unix.display().to_string())?;
    rustix::net::listen(&unix, BACKLOG)?;
    if let Some(address) = &arguments.tcp {
        let tcp = TcpListener::bind(address).with_context(|| address.clone())?;
        rustix::net::listen(&tcp, BACKLOG)?;
        spawn(move || {
            for socket in tcp.incoming().flatten() {
                // A client that has gone already shows when it is read.
                let _ = socket.set_nodelay(true);
                let _ = spawn(move || serve(socket));
            }
        })?;
    }
    for socket in unix.incoming() {
        let socket = socket?;
        spawn(move || serve(socket))?;
    }
    Ok(())
}

fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().stack_size(STACK).spawn(work).map(drop)
}

/// One connection to its end. A client that leaves is no error.
pub fn serve<S: Read + Write>(mut socket: S) -> io::Result<()> {
    let mut early = Vec::new();
    while let Some(head) = read_head(&mut socket, &mut early)? {
        let taken = take(&mut socket, &head, &mut early)?;
        match Wish::of(head.second_word()) {
            Wish::Source(length) => give(&mut socket, length)?,
            Wish::Lines { size, pause } => lines(&mut socket, size, pause)?,
            Wish::Other => {
                let body = taken.map_or("OK".to_owned(), |count| count.to_string());
                let length = body.len();
                let body = if head.is_head() { "" } else { &body };
                socket.write_all(
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes(),
                )?;
            }
        }
    }
    Ok(())
}

/// Reads a body and returns its length, if there is one.
fn take(from: &mut impl Read, head: &Head, early: &mut Vec<u8>) -> io::Result<Option<u64>> {
    let Some(length) = head.content_length() else { return Ok(None) };
    let already = length.min(early.len() as u64);
    early.drain(..usize::try_from(already).unwrap_or_default());
    let mut left = length - already;
    let mut piece = vec![0; PIECE];
    while left > 0 {
        let most = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match from.read(&mut piece[..most])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => left -= count as u64,
        }
    }
    Ok(Some(length))
}

fn give(to: &mut impl Write, length: u64) -> io::Result<()> {
    to.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
    send(to, &NOISE, length)
}

/// Writes `length` bytes out of `from`, over and over.
pub fn send(to: &mut impl Write, from: &[u8], length: u64) -> io::Result<()> {
    let (mut left, mut at) = (length, 0);
    while left > 0 {
        let most = PIECE.min(from.len() - at).min(usize::try_from(left).unwrap_or(usize::MAX));
        to.write_all(&from[at..at + most])?;
        left -= most as u64;
        at = (at + most) % from.len();
    }
    Ok(())
}

fn lines(to: &mut impl Write, size: usize, pause: Duration) -> io::Result<()> {
    to.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let line = vec![b'x'; size];
    loop {
        to.write_all(&line)?;
        if !pause.is_zero() {
            clock::pause(pause);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Source(u64),
    Lines { size: usize, pause: Duration },
    Other,
}

impl Wish {
    fn of(path: &str) -> Self {
        let words: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let number = |text: &str| text.parse::<u64>().ok();
        let wish = match words[..] {
            ["source", length] => number(length).map(Self::Source),
            ["lines", size, pause] => number(size).and_then(|size| {
                Some(Self::Lines {
                    size: usize::try_from(size).ok()?,
                    pause: Duration::from_micros(number(pause)?),
                })
            }),
            _ => None,
        };
        wish.unwrap_or(Self::Other)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::http::{get, read_answer, read_good_head, some};

    fn client() -> UnixStream {
        let (client, engine) = UnixStream::pair().unwrap();
        std::thread::spawn(move || serve(engine));
        client
    }

    #[test]
    fn one_connection_takes_gives_and_answers_one_after_the_other() {
        let mut client = client();
        get(&mut client, "/volumes", false).unwrap();
        assert_eq!(read_answer(&mut client).unwrap(), b"OK");
        let length = 3 * PIECE as u64 + 7;
        client
            .write_all(
                format!("POST /sink HTTP/1.1\r\nHost: d\r\nContent-Length: {length}\r\n\r\n")
                    .as_bytes(),
            )
            .unwrap();
        send(&mut client, b"0123456", length).unwrap();
        assert_eq!(read_answer(&mut client).unwrap(), length.to_string().as_bytes());
        get(&mut client, &format!("/source/{length}"), false).unwrap();
        let given = read_answer(&mut client).unwrap();
        assert_eq!(given.len() as u64, length);
        assert_eq!(given[..], NOISE[..given.len()]);
    }

    #[test]
    fn lines_go_on_until_the_client_leaves() {
        let mut client = client();
        get(&mut client, "/lines/100/0", false).unwrap();
        let mut early = Vec::new();
        assert_eq!(read_good_head(&mut client, &mut early).unwrap().content_length(), None);
        while early.len() < 1_000_000 {
            some(&mut client, &mut early).unwrap();
        }
        assert!(early.iter().all(|&byte| byte == b'x'));
    }

    #[test]
    fn noise_has_all_bytes_about_equally_often() {
        let mut counts = [0_usize; 256];
        for &byte in NOISE.iter() {
            counts[usize::from(byte)] += 1;
        }
        let expected = NOISE.len() / 256;
        assert!(counts.iter().all(|count| count.abs_diff(expected) < expected / 20), "{counts:?}");
    }
}
