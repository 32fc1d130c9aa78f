//! The client against a scripted peer: well-behaved engines, and what else may answer.

#![allow(clippy::unwrap_used, reason = "helpers of tests count as tests")]

use std::collections::VecDeque;
use std::error::Error as _;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dockbridge_engine::{Client, Connector, Error};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// Longer than any of these calls takes.
const CEILING: Duration = Duration::from_secs(20);

/// What the peer does after it has read a request.
#[derive(Clone)]
enum Script {
    /// Writes these pieces, each after the last one was read, and closes the stream.
    Pieces(Vec<Vec<u8>>),
    /// Writes these pieces and leaves the stream open.
    Open(Vec<Vec<u8>>),
    /// Writes a head and then spaces until the reader is gone.
    Endless(&'static str),
}

/// The peer of a client: one script for each stream, and the first lines of the requests.
#[derive(Clone, Default)]
struct Peer {
    scripts: Arc<Mutex<VecDeque<Script>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    fn with(scripts: impl IntoIterator<Item = Script>) -> Self {
        let peer = Self::default();
        peer.scripts.lock().unwrap().extend(scripts);
        peer
    }

    /// A peer that answers each request with this status and body, by a length.
    fn answering(status: &str, bodies: &[&str]) -> Self {
        Self::with(bodies.iter().map(|body| Script::Pieces(vec![whole(status, body)])))
    }

    fn client(&self) -> Client<impl Connector + use<>> {
        let peer = self.clone();
        Client::new(move || {
            // Small, so that a peer that writes too much waits for its reader.
            let (near, far) = tokio::io::duplex(1024);
            tokio::spawn(peer.clone().serve(far));
            std::future::ready(Ok::<_, io::Error>(near))
        })
    }

    async fn serve(self, mut stream: DuplexStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.contains("\r\nhost: docker\r\n"), "dockerd requires a host: {head:?}");
        self.asked.lock().unwrap().push(head.lines().next().unwrap().to_owned());
        let script = self.scripts.lock().unwrap().pop_front().unwrap();
        // A client that has read enough closes the stream.
        let _ = script.play(&mut stream).await;
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Script {
    async fn play(self, stream: &mut DuplexStream) -> io::Result<()> {
        match self {
            Script::Pieces(pieces) => write_all(stream, &pieces).await,
            Script::Open(pieces) => {
                write_all(stream, &pieces).await?;
                std::future::pending().await
            }
            Script::Endless(head) => {
                stream.write_all(head.as_bytes()).await?;
                loop {
                    stream.write_all(&[b' '; 512]).await?;
                }
            }
        }
    }
}

async fn write_all(stream: &mut DuplexStream, pieces: &[Vec<u8>]) -> io::Result<()> {
    for piece in pieces {
        stream.write_all(piece).await?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

fn whole(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Events as dockerd sends them, in chunks that end where the pieces do.
fn chunked(pieces: &[&str]) -> Vec<Vec<u8>> {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    let chunks = pieces.iter().map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len()));
    std::iter::once(head).chain(chunks).map(String::into_bytes).collect()
}

async fn within<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(CEILING, call).await.expect("the call does not end")
}

fn refusal(error: Error) -> (u16, String) {
    match error {
        Error::Refused { status, message } => (status.as_u16(), message),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_call_uses_its_path_and_reads_what_it_needs() {
    let list = r#"[{"Id":"4f5a","Names":["/web"],"Image":"nginx","Labels":{"a":"b"},
        "Ports":[{"PrivatePort":80,"PublicPort":8080,"Type":"tcp","IP":"0.0.0.0"}],
        "State":"running","HostConfig":{"NetworkMode":"bridge"},"Mounts":[]}]"#;
    let inspected = r#"{"Id":"4f5a","Created":"2026-11-01T00:00:00Z","Name":"/web",
        "State":{"Status":"running","Running":true,"Pid":7},"HostConfig":{"AutoRemove":true,
        "RestartPolicy":{"Name":"always","MaximumRetryCount":0}},
        "NetworkSettings":{"Ports":{"80/tcp":null}}}"#;
    let info = r#"{"ID":"x","Containers":3,"ContainersRunning":2,"SecurityOptions":[]}"#;
    let peer = Peer::answering("200 OK", &["OK", info, list, inspected, "[]", "[]", "{}"]);
    let client = peer.client();
    let done = async {
        client.ping().await.unwrap();
        let info = client.info().await.unwrap();
        assert_eq!((info.containers, info.containers_running), (Some(3), Some(2)));
        let listed = client.containers().await.unwrap();
        assert_eq!((listed[0].name(), listed[0].label("a")), (Some("web"), Some("b")));
        let inspected = client.inspect("web").await.unwrap().unwrap();
        assert_eq!((inspected.name(), inspected.state.pid), ("web", 7));
        assert_eq!(inspected.host_config.restart_policy.name, "always");
        assert_eq!(client.services().await.unwrap().len(), 0);
        assert_eq!(client.networks().await.unwrap().len(), 0);
        assert_eq!(client.network("bridge").await.unwrap().addresses().count(), 0);
    };
    within(done).await;
    let paths = ["_ping", "info", "containers/json", "containers/web/json", "services", "networks"];
    let paths = paths.into_iter().chain(["networks/bridge"]);
    let lines: Vec<_> = paths.map(|path| format!("GET /{path} HTTP/1.1")).collect();
    assert_eq!(peer.asked(), lines);
}

#[tokio::test]
async fn a_container_that_runs_is_started_and_one_that_is_missing_is_none() {
    let missing = whole("404 Not Found", r#"{"message":"No such container: web"}"#);
    let peer = Peer::with(
        [
            b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
            b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec(),
            missing.clone(),
            missing,
            b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        ]
        .map(|answer| Script::Pieces(vec![answer])),
    );
    let client = peer.client();
    within(client.start("web")).await.unwrap();
    within(client.start("web")).await.unwrap();
    assert!(within(client.inspect("web")).await.unwrap().is_none());
    assert_eq!(refusal(within(client.start("web")).await.unwrap_err()).0, 404);
    within(client.kill("web")).await.unwrap();
    assert_eq!(peer.asked()[1], "POST /containers/web/start HTTP/1.1");
    assert_eq!(peer.asked()[4], "POST /containers/web/kill HTTP/1.1");
}

#[tokio::test]
async fn a_refusal_has_dockers_message_or_the_text_of_what_answered() {
    for (body, message) in [
        (r#"{"message":"driver failed"}"#, "driver failed"),
        ("Bad Gateway\n", "Bad Gateway"),
        (r#"{"error":"x"}"#, r#"{"error":"x"}"#),
        ("", ""),
    ] {
        let peer = Peer::answering("500 Internal Server Error", &[body]);
        let error = within(peer.client().containers()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "the engine answered 500 Internal Server Error: \
            {message}"
            )
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_not_of_the_api_cannot_be_decoded() {
    for body in ["<html>", "", "{}", r#"[{"Names":["/web"]}]"#, r#"[{"Id":7}]"#] {
        let peer = Peer::answering("200 OK", &[body]);
        let error = within(peer.client().containers()).await.unwrap_err();
        assert!(matches!(error, Error::Decode(_)), "{body:?}: {error:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_no_answer() {
    for head in ["", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Le", "SSH-2.0-OpenSSH\r\n\r\n"] {
        let peer = Peer::with([Script::Pieces(vec![head.into()])]);
        let error = within(peer.client().containers()).await.unwrap_err();
        assert!(matches!(error, Error::Exchange(_)), "{head:?}: {error:?}");
    }
    for body in ["Content-Length: 3\r\n\r\n[]", "Transfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n"] {
        let answer = format!("HTTP/1.1 200 OK\r\n{body}").into_bytes();
        let peer = Peer::with([Script::Pieces(vec![answer])]);
        let error = within(peer.client().containers()).await.unwrap_err();
        assert!(matches!(error, Error::Body(_)), "{body:?}: {error:?}");
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_read_up_to_the_limit() {
    let endless = |status: &str| -> &'static str { format!("HTTP/1.1 {status}\r\n\r\n").leak() };
    let peer = Peer::with([Script::Endless(endless("200 OK"))]);
    let error = within(peer.client().with_max_answer(10_000).containers()).await.unwrap_err();
    assert!(matches!(error, Error::Body(_)), "{error:?}");
    let peer = Peer::with([Script::Endless(endless("500 Internal Server Error"))]);
    let error = within(peer.client().containers()).await.unwrap_err();
    assert!(matches!(error, Error::Body(_)), "a refusal is a sentence: {error:?}");

    let list = format!("[{}]", " ".repeat(9_998));
    let peer = Peer::answering("200 OK", &[&list, &list]);
    within(peer.client().with_max_answer(10_000).containers()).await.unwrap();
    let error = within(peer.client().with_max_answer(9_999).containers()).await.unwrap_err();
    assert!(matches!(error, Error::Body(_)), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_ends_with_its_stream_is_read_whole() {
    let list = format!("[{}]", " ".repeat(5_000));
    let close = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{list}").into_bytes();
    let refused = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno";
    // The runtime polls the request and its connection in either order.
    for _ in 0..20 {
        let peer = Peer::with([close.clone(), refused.into()].map(|one| Script::Pieces(vec![one])));
        assert_eq!(within(peer.client().containers()).await.unwrap().len(), 0);
        let refused = within(peer.client().containers()).await.unwrap_err();
        assert_eq!(refusal(refused), (400, "no".to_owned()));
    }
}

#[tokio::test]
async fn a_path_that_is_none_reaches_no_engine() {
    let peer = Peer::default();
    let (status, message) = refusal(within(peer.client().inspect("a b")).await.unwrap_err());
    assert_eq!(status, 400);
    assert_eq!(message, "\"/containers/a b/json\" is not a path of the Docker API");
    assert_eq!(peer.asked(), [""; 0]);
}

#[tokio::test]
async fn the_connectors_error_is_the_cause() {
    let refused = || std::future::ready(Err::<DuplexStream, _>(io::Error::other("no machine")));
    let error = within(Client::new(refused).ping()).await.unwrap_err();
    assert_eq!(error.to_string(), "the engine cannot be reached");
    assert_eq!(error.source().unwrap().to_string(), "no machine");
}

fn event(action: &str, id: &str) -> String {
    format!(
        r#"{{"Type":"container","Action":"{action}","Actor":{{"ID":"{id}",
            "Attributes":{{"name":"web"}}}},"scope":"local","timeNano":1}}"#
    )
}

#[tokio::test]
async fn events_are_read_whatever_the_pieces_in_which_they_arrive() {
    let (first, second, third) = (event("start", "a"), event("die", "b"), event("start", "c"));
    let text = format!("{first}\n{second}{third}\n");
    for at in [1, 30, first.len(), first.len() + 1, first.len() + 40, text.len() - 1] {
        let (one, two) = text.split_at(at);
        let mut pieces = chunked(&[one, two]);
        pieces.push(b"0\r\n\r\n".to_vec());
        let peer = Peer::with([Script::Pieces(pieces)]);
        let mut events = within(peer.client().events("%7B%7D")).await.unwrap();
        let mut seen = Vec::new();
        while let Some(arrived) = within(events.next()).await.unwrap() {
            assert!(!arrived.is_empty());
            seen.extend(arrived.into_iter().map(|one| format!("{} {}", one.action, one.actor.id)));
        }
        assert_eq!(seen, ["start a", "die b", "start c"], "cut at {at}");
        assert_eq!(peer.asked(), ["GET /events?filters=%7B%7D HTTP/1.1"]);
    }
}

#[tokio::test]
async fn a_dropped_wait_for_events_loses_nothing() {
    let whole = event("start", "a");
    let (one, two) = whole.split_at(20);
    let peer = Peer::with([Script::Open(chunked(&[one, two]))]);
    let mut events = within(peer.client().events("%7B%7D")).await.unwrap();
    let arrived = within(async {
        loop {
            tokio::select! {
                biased;
                arrived = events.next() => break arrived,
                () = tokio::task::yield_now() => {}
            }
        }
    });
    assert_eq!(arrived.await.unwrap().unwrap()[0].actor.id, "a");
}

#[tokio::test]
async fn a_stream_of_events_that_is_none_ends_with_an_error() {
    let follow = async |pieces: Vec<Vec<u8>>| {
        let peer = Peer::with([Script::Pieces(pieces)]);
        let mut events = within(peer.client().events("%7B%7D")).await.unwrap();
        within(events.next()).await.unwrap_err()
    };
    for text in ["<html>", r#"{"Type":"container"}"#, "[]", r#"{"Actor":{"ID":7}}"#] {
        let error = follow(chunked(&[text])).await;
        assert!(matches!(error, Error::Decode(_)), "{text:?}: {error:?}");
    }
    let cut = follow(chunked(&[r#"{"Type":"cont"#])).await;
    assert!(matches!(cut, Error::Exchange(_)), "{cut:?}");
    let long = format!(r#"{{"Type":"{}"#, "x".repeat(1 << 20));
    let long = follow(chunked(&[&long])).await;
    assert!(matches!(long, Error::Body(_)), "{long:?}");
}
