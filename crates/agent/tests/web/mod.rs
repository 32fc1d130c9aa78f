//! A web server for images that behaves well or badly: with or without ranges, cut, stalled, slow,
//! changed.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How a file is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Correctly.
    Good,
    /// The connection ends after this many bytes of each response; the rest can be requested.
    Cut(u64),
    /// The connection ends after this many bytes; the rest cannot be requested.
    CutWithoutRanges(u64),
    /// The connection ends after this many bytes, and the rest comes from another file.
    CutAndChanged(u64),
    /// Nothing is sent after this many bytes of the file, for any request.
    StalledAt(u64),
    /// Bytes per second.
    Slow(u64),
    /// Only a response with this status.
    Status(u16),
    /// The first responses have the status 503.
    BusyFor(u64),
    /// A redirect to another path.
    Elsewhere(&'static str),
    /// A fixed response to a POST, for an API.
    Says(&'static str),
}

/// A running server; it ends when dropped.
pub struct Web {
    pub address: SocketAddr,
    files: Arc<Mutex<BTreeMap<String, (PathBuf, Manner)>>>,
    requests: Arc<Mutex<Vec<String>>>,
    sent: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Web {
    pub fn start(on: IpAddr) -> Web {
        let listener = TcpListener::bind((on, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let web = Web {
            address,
            files: Arc::default(),
            requests: Arc::default(),
            sent: Arc::default(),
            over: Arc::default(),
        };
        let (files, requests, sent, over) =
            (web.files.clone(), web.requests.clone(), web.sent.clone(), web.over.clone());
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (files, requests, sent, over) =
                    (files.clone(), requests.clone(), sent.clone(), over.clone());
                // A client that hangs up is no failure of the server.
                std::thread::spawn(move || {
                    drop(answer(stream, number as u64, &files, &requests, &sent, &over))
                });
            }
        });
        web
    }

    /// Serves a file under a name; returns its address.
    pub fn serve(&self, name: &str, file: &Path, manner: Manner) -> String {
        self.files.lock().unwrap().insert(format!("/{name}"), (file.to_owned(), manner));
        format!("http://{}/{name}", self.address)
    }

    /// Request lines with their ranges, in order.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// How many bytes of files were sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

type Files = Mutex<BTreeMap<String, (PathBuf, Manner)>>;

struct Request {
    method: String,
    path: String,
    /// The first requested byte of the file.
    from: u64,
    body: String,
}

fn read_request(stream: &TcpStream) -> std::io::Result<Request> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (mut from, mut length) = (0, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap_or(0);
        }
        if let Some(bytes) = line.strip_prefix("content-length:") {
            length = bytes.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Request { method, path, from, body: String::from_utf8_lossy(&body).into_owned() })
}

fn answer(
    mut stream: TcpStream,
    number: u64,
    files: &Files,
    requests: &Mutex<Vec<String>>,
    sent: &AtomicU64,
    over: &AtomicBool,
) -> std::io::Result<()> {
    let request = read_request(&stream)?;
    let Request { method, path, from, body } = &request;
    requests.lock().unwrap().push(format!("{method} {path} {from} {body}").trim().to_owned());
    let found = files.lock().unwrap().get(path).cloned();
    let Some((file, manner)) = found else {
        return head(&mut stream, 404, "Content-Length: 0\r\n");
    };
    match manner {
        Manner::Status(status) => head(&mut stream, status, "Content-Length: 0\r\n"),
        Manner::BusyFor(times) if number < times => head(&mut stream, 503, "Content-Length: 0\r\n"),
        Manner::Elsewhere(to) => {
            head(&mut stream, 302, &format!("Location: {to}\r\nContent-Length: 0\r\n"))
        }
        Manner::Says(text) => {
            head(&mut stream, 201, &format!("Content-Length: {}\r\n", text.len()))?;
            stream.write_all(text.as_bytes())
        }
        _ => send_file(&mut stream, File::open(file)?, *from, manner, sent, over),
    }
}

fn send_file(
    stream: &mut TcpStream,
    mut file: File,
    from: u64,
    manner: Manner,
    sent: &AtomicU64,
    over: &AtomicBool,
) -> std::io::Result<()> {
    let total = file.metadata()?.len();
    let ranges = !matches!(manner, Manner::CutWithoutRanges(_));
    let changed = matches!(manner, Manner::CutAndChanged(_)) && from > 0;
    let from = if ranges && !changed { from } else { 0 };
    file.seek(SeekFrom::Start(from))?;
    let tag = if changed { "\"second\"" } else { "\"first\"" };
    if from > 0 {
        let range = format!("bytes {from}-{}/{total}", total - 1);
        let length = total - from;
        let headers = format!("Content-Range: {range}\r\nContent-Length: {length}\r\n");
        head(stream, 206, &format!("ETag: {tag}\r\n{headers}"))?;
    } else {
        head(stream, 200, &format!("ETag: {tag}\r\nContent-Length: {total}\r\n"))?;
    }
    let mut piece = vec![0; 64 * 1024];
    let (mut at, begun) = (from, std::time::SystemTime::now());
    loop {
        let most = match manner {
            Manner::Cut(most) | Manner::CutWithoutRanges(most) | Manner::CutAndChanged(most) => {
                most - (at - from)
            }
            Manner::StalledAt(most) => most.saturating_sub(at),
            _ => u64::MAX,
        };
        let wanted = piece.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        if wanted == 0 {
            while matches!(manner, Manner::StalledAt(_)) && !over.load(Ordering::Relaxed) {
                pause(Duration::from_millis(20));
            }
            return Ok(());
        }
        let read = file.read(&mut piece[..wanted])?;
        if read == 0 {
            return Ok(());
        }
        stream.write_all(&piece[..read])?;
        at += read as u64;
        sent.fetch_add(read as u64, Ordering::Relaxed);
        if let Manner::Slow(speed) = manner {
            while (at - from) * 1000
                > speed * u64::try_from(begun.elapsed().unwrap_or_default().as_millis()).unwrap()
            {
                pause(Duration::from_millis(5));
            }
        }
    }
}

fn head(stream: &mut TcpStream, status: u16, headers: &str) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status} X\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes())
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own for each connection")]
fn pause(length: Duration) {
    std::thread::sleep(length);
}
