//! A client that sends any bytes, the gateway, and an engine that records its requests.
//!
//! What must hold: nothing panics or hangs; and the engine gets, request for request, what an
//! independent parser finds in the bytes: the same methods, targets and bodies, in the same order,
//! and none that the client did not send. The gateway may refuse what the parser accepts, but may
//! not accept more. A body that the client did not finish does not end cleanly at the engine.
//!
//! The first byte is the size of the pieces in which the rest is sent.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use gateway::{BindMounts, EngineIdentity, Gateway, LocalPaths};
use lifecycle::{Activity, FakeClock};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio_util::sync::CancellationToken;
use tunnel::{Class, Connector, Destination, OpenError, Stream};

/// A request as it matters to an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    method: String,
    target: String,
    body: Vec<u8>,
    /// It is complete.
    whole: bool,
}

/// Runs one case. Panics if something does not hold.
pub fn run(bytes: &[u8]) {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let asked = runtime.block_on(async {
        // Time passes only while everything waits, so only a case that hangs reaches this.
        tokio::time::timeout(Duration::from_secs(3600), exchange(cut, bytes))
            .await
            .expect("the exchange ends")
    });
    // The gateway answers these itself once it knows the response.
    let counts =
        |asked: &Asked| !asked.target.contains("_ping") && !asked.target.contains("version");
    let sent: Vec<Asked> = read(bytes).into_iter().filter(counts).collect();
    for (n, asked) in asked.iter().filter(|asked| counts(asked)).enumerate() {
        let Some(sent) = sent.get(n) else {
            panic!("the engine got a request that was not sent: {asked:?}, after {:?}", &sent)
        };
        let same = asked.method == sent.method && asked.target.eq_ignore_ascii_case(&sent.target);
        assert!(
            same && (!asked.whole || (sent.whole && asked.body == sent.body)),
            "sent {sent:?}, asked {asked:?}"
        );
        assert!(sent.body.starts_with(&asked.body), "sent {sent:?}, asked {asked:?}");
    }
}

/// Sends the bytes, half-closes, and reads until the gateway ends. Returns the engine's requests.
async fn exchange(cut: u8, bytes: &[u8]) -> Vec<Asked> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let engines = tokio::task::LocalSet::new();
    let (streams, mut opened) = tokio::sync::mpsc::unbounded_channel::<DuplexStream>();
    let activity = Activity::new(Arc::new(FakeClock::default()));
    let paths = LocalPaths { bind_mounts: BindMounts::Remote, ..LocalPaths::default() };
    let gateway = Gateway::with_paths(
        Arc::new(Engine(streams)),
        activity.clone(),
        None,
        EngineIdentity::empty(),
        paths,
    );
    let (client, accepted) = duplex(64 * 1024);
    let shutdown = CancellationToken::new();
    let noted = asked.clone();
    engines
        .run_until(async move {
            let serving = tokio::task::spawn_local({
                let shutdown = shutdown.clone();
                async move { gateway.serve(One(Some(Client(accepted))), shutdown).await }
            });
            let answering = tokio::task::spawn_local(async move {
                let mut answers = tokio::task::JoinSet::new();
                while let Some(stream) = opened.recv().await {
                    answers.spawn_local(answer(stream, noted.clone()));
                }
                answers.join_all().await;
            });
            let (mut reader, mut writer) = tokio::io::split(client);
            let writing = async {
                for piece in bytes.chunks(usize::from(cut).max(1)) {
                    if writer.write_all(piece).await.is_err() {
                        break;
                    }
                    if cut < 128 {
                        tokio::task::yield_now().await;
                    }
                }
                let _ = writer.shutdown().await;
            };
            let reading = async { tokio::io::copy(&mut reader, &mut tokio::io::sink()).await };
            let _ = tokio::join!(writing, reading);
            shutdown.cancel();
            serving.await.expect("the gateway does not panic");
            answering.await.expect("the engine finds nothing odd");
        })
        .await;
    assert!(activity.snapshot().live.is_empty(), "{:?}", activity.snapshot());
    drop(engines);
    std::mem::take(&mut *asked.lock().expect("no panic"))
}

/// Reads what the gateway writes, strictly: it writes one form only. Answers each complete request.
async fn answer(mut stream: DuplexStream, asked: Arc<Mutex<Vec<Asked>>>) {
    let mut read = Vec::new();
    loop {
        let Some(head) = until(&mut stream, &mut read, b"\r\n\r\n").await else { return };
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.trim_end_matches("\r\n").split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, target) = (
            words.next().unwrap_or_default().to_owned(),
            words.next().unwrap_or_default().to_owned(),
        );
        assert!(
            words.next() == Some("HTTP/1.1") && words.next().is_none(),
            "an odd request line: {head:?}"
        );
        let headers: Vec<(&str, &str)> = lines
            .map(|line| {
                line.split_once(':')
                    .map(|(name, value)| (name, value.trim_start()))
                    .unwrap_or_else(|| panic!("an odd line {line:?}"))
            })
            .collect();
        let values = |name: &str| {
            headers
                .iter()
                .filter(|(known, _)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| *value)
                .collect::<Vec<_>>()
        };
        let at = {
            let mut asked = asked.lock().expect("no panic");
            asked.push(Asked { method, target, body: Vec::new(), whole: false });
            asked.len() - 1
        };
        let note = |bytes: &[u8]| asked.lock().expect("no panic")[at].body.extend_from_slice(bytes);
        let whole = match (&values("content-length")[..], &values("transfer-encoding")[..]) {
            ([], []) => Some(()),
            ([length], []) => {
                let length = length.parse().unwrap_or_else(|_| panic!("an odd length: {head:?}"));
                counted(&mut stream, &mut read, length, note).await
            }
            ([], ["chunked"]) => chunked(&mut stream, &mut read, note).await,
            _ => panic!("ambiguous framing reached the engine: {head:?}"),
        };
        if whole.is_none() {
            return;
        }
        asked.lock().expect("no panic")[at].whole = true;
        // Refuses an upgrade, like a container that does not run.
        let status = if values("upgrade").is_empty() { "200 OK" } else { "409 Conflict" };
        if stream
            .write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes())
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Reads a body of known length. `None` if it breaks off.
async fn counted(
    stream: &mut DuplexStream,
    read: &mut Vec<u8>,
    mut left: u64,
    note: impl Fn(&[u8]),
) -> Option<()> {
    while left > 0 {
        if read.is_empty() && !matches!(stream.read_buf(read).await, Ok(1..)) {
            return None;
        }
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(read.len());
        note(&read[..taken]);
        read.drain(..taken);
        left -= taken as u64;
    }
    Some(())
}

/// Reads a chunked body with its trailers. `None` if it breaks off.
async fn chunked(
    stream: &mut DuplexStream,
    read: &mut Vec<u8>,
    note: impl Fn(&[u8]),
) -> Option<()> {
    loop {
        let line = until(stream, read, b"\r\n").await?;
        let size = usize::from_str_radix(String::from_utf8_lossy(&line).trim_end(), 16)
            .unwrap_or_else(|_| panic!("an odd size: {line:?}"));
        if size == 0 {
            while until(stream, read, b"\r\n").await.is_some_and(|line| line != b"\r\n") {}
            return Some(());
        }
        while read.len() < size + 2 {
            if !matches!(stream.read_buf(read).await, Ok(1..)) {
                note(&read[..read.len().min(size)]);
                return None;
            }
        }
        note(&read[..size]);
        assert_eq!(&read[size..size + 2], b"\r\n");
        read.drain(..size + 2);
    }
}

async fn until(stream: &mut DuplexStream, read: &mut Vec<u8>, mark: &[u8]) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = read.windows(mark.len()).position(|window| window == mark) {
            return Some(read.drain(..at + mark.len()).collect());
        }
        if !matches!(stream.read_buf(read).await, Ok(1..)) {
            return None;
        }
    }
}

/// The requests in the bytes, up to the first that parsers may disagree on. Written by hand, so
/// that it shares nothing with the gateway.
fn read(mut bytes: &[u8]) -> Vec<Asked> {
    let mut requests = Vec::new();
    while let Some((request, rest)) = request(bytes) {
        let whole = request.whole;
        requests.push(request);
        bytes = rest;
        if !whole {
            break;
        }
    }
    requests
}

fn line<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let at = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = (&bytes[..at], &bytes[at + 1..]);
    *bytes = rest;
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

fn request(mut bytes: &[u8]) -> Option<(Asked, &[u8])> {
    let mut first = line(&mut bytes)?;
    while first.is_empty() {
        first = line(&mut bytes)?;
    }
    let first = String::from_utf8_lossy(first).into_owned();
    let mut words = first.split(' ').filter(|word| !word.is_empty());
    let (method, target, version) =
        (words.next()?.to_owned(), words.next()?.to_owned(), words.next()?);
    if words.next().is_some() || !matches!(version, "HTTP/1.1" | "HTTP/1.0") {
        return None;
    }
    // A fragment concerns the client only, and the path of an address without one is `/`.
    let mut target = target.split('#').next().unwrap_or_default().to_owned();
    if let Some(at) = target.find("://").map(|at| at + 3) {
        let end = target[at..].find(['/', '?']).map_or(target.len(), |end| at + end);
        if !target[end..].starts_with('/') && !target.starts_with('/') {
            target.insert(end, '/');
        }
    }
    let (mut lengths, mut encodings) = (Vec::new(), Vec::new());
    loop {
        let header = line(&mut bytes)?;
        if header.is_empty() {
            break;
        }
        let colon = header.iter().position(|byte| *byte == b':')?;
        let name = String::from_utf8_lossy(&header[..colon]).to_ascii_lowercase();
        let value =
            String::from_utf8_lossy(&header[colon + 1..]).trim_matches([' ', '\t']).to_owned();
        match &name[..] {
            "content-length" => lengths.push(value.parse::<u64>().ok()?),
            "transfer-encoding" => encodings.push(value.to_ascii_lowercase()),
            _ => {}
        }
    }
    lengths.dedup();
    let mut asked = Asked { method, target, body: Vec::new(), whole: true };
    match (&lengths[..], &encodings[..]) {
        ([], []) => {}
        ([length], []) => {
            let length = usize::try_from(*length).unwrap_or(usize::MAX);
            let taken = length.min(bytes.len());
            asked.whole = taken == length;
            asked.body = bytes[..taken].to_vec();
            bytes = &bytes[taken..];
        }
        ([], [encoding]) if encoding == "chunked" => {
            asked.whole = chunks(&mut bytes, &mut asked.body).is_some()
        }
        _ => return None,
    }
    Some((asked, bytes))
}

fn chunks(bytes: &mut &[u8], body: &mut Vec<u8>) -> Option<()> {
    loop {
        let size = line(bytes)?;
        let digits: Vec<u8> = size.iter().copied().take_while(u8::is_ascii_hexdigit).collect();
        let size = usize::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        let taken = size.min(bytes.len());
        body.extend_from_slice(&bytes[..taken]);
        *bytes = &bytes[taken..];
        let behind = line(bytes)?;
        if !behind.is_empty() {
            return None;
        }
    }
    while !line(bytes)?.is_empty() {}
    Some(())
}

/// Listens for one client.
struct One(Option<Client>);

impl tokio_util::net::Listener for One {
    type Io = Client;
    type Addr = ();

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<(Client, ())>> {
        self.0.take().map_or(Poll::Pending, |client| Poll::Ready(Ok((client, ()))))
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

struct Client(DuplexStream);

impl gateway::Socket for Client {
    fn hung_up(&self) -> Option<bool> {
        // It stays until its responses have ended.
        Some(false)
    }
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

struct Engine(tokio::sync::mpsc::UnboundedSender<DuplexStream>);

impl Connector for Engine {
    fn open(&self, _: Destination, _: Class) -> BoxFuture<'_, Result<Stream, OpenError>> {
        let (here, there) = duplex(64 * 1024);
        let opened = self
            .0
            .send(here)
            .map(|()| Stream::new(there))
            .map_err(|_| OpenError::Dead { reason: "the case is over".into() });
        async move { opened }.boxed()
    }
}
