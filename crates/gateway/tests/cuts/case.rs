//! One exchange with its cut, and what must hold behind it.

use rand::Rng as _;
use rand::rngs::StdRng;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// The response is chunked.
    Download,
    /// The request is chunked.
    Upload,
    /// Bytes in both directions after an upgrade.
    Upgrade,
    /// Likewise, for a client that did not ask for an upgrade.
    Raw,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum How {
    Orderly,
    Reset,
}

/// One exchange. Positions count the bytes of a side; a client that is not cut
/// half-closes behind its last byte.
#[derive(Debug)]
pub struct Case {
    pub kind: Kind,
    /// The payload of the client, and of the engine.
    pub up: Vec<u8>,
    pub down: Vec<u8>,
    pub request: Vec<u8>,
    pub request_head: usize,
    pub answer: Vec<u8>,
    pub answer_head: usize,
    pub client_ends: (usize, How),
    pub engine_ends: Option<(usize, How)>,
    /// The most that is written at once.
    pub piece: usize,
}

impl Case {
    pub fn random(kind: Kind, chance: &mut StdRng) -> Self {
        let up: Vec<u8> = (0..chance.random_range(0..800)).map(|_| chance.random()).collect();
        let down: Vec<u8> = (0..chance.random_range(0..800)).map(|_| chance.random()).collect();
        let upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
        let (mut request, mut answer) = match kind {
            Kind::Download => (
                "GET /containers/x/logs?follow=1 HTTP/1.1\r\nHost: d\r\n\r\n".to_owned(),
                "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            ),
            Kind::Upload => (
                "POST /build HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
                "200 OK\r\nContent-Length: 2\r\n\r\n".to_owned(),
            ),
            Kind::Upgrade => (
                format!(
                    "POST /exec/x/start HTTP/1.1\r\nHost: d\r\n{upgrade}Content-Length: 0\r\n\r\n"
                ),
                format!("101 UPGRADED\r\n{upgrade}\r\n"),
            ),
            Kind::Raw => (
                "POST /exec/x/start HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n".to_owned(),
                format!("101 UPGRADED\r\n{upgrade}\r\n"),
            ),
        };
        answer.insert_str(0, "HTTP/1.1 ");
        let (request_head, answer_head) = (request.len(), answer.len());
        let (mut request, mut answer) =
            (std::mem::take(&mut request).into_bytes(), std::mem::take(&mut answer).into_bytes());
        match kind {
            Kind::Download => answer.extend(chunked(&down, chance)),
            Kind::Upload => {
                request.extend(chunked(&up, chance));
                answer.extend(b"ok");
            }
            Kind::Upgrade | Kind::Raw => {
                request.extend(&up);
                answer.extend(&down);
            }
        }
        let how = if chance.random() { How::Orderly } else { How::Reset };
        // An engine that receives an upload may leave while it reads.
        let engines_bytes = if kind == Kind::Upload { request.len() } else { answer.len() };
        let (client_ends, engine_ends) = if chance.random() {
            ((chance.random_range(0..=request.len()), how), None)
        } else {
            ((request.len(), How::Orderly), Some((chance.random_range(0..=engines_bytes), how)))
        };
        let piece = [1, 10, 100, 10_000][chance.random_range(0..4)];
        Self {
            kind,
            up,
            down,
            request,
            request_head,
            answer,
            answer_head,
            client_ends,
            engine_ends,
            piece,
        }
    }

    /// The payload that the client sends before its end.
    fn sent_by_client(&self) -> Vec<u8> {
        let body = &self.request[..self.client_ends.0][self.request_head.min(self.client_ends.0)..];
        match self.kind {
            Kind::Upload => unchunked(body).0,
            _ => body.to_vec(),
        }
    }

    /// The payload that the engine sends before its end.
    fn sent_by_engine(&self) -> Vec<u8> {
        let end = self
            .engine_ends
            .filter(|_| self.kind != Kind::Upload)
            .map_or(self.answer.len(), |(at, _)| at);
        let body = &self.answer[..end][self.answer_head.min(end)..];
        match self.kind {
            Kind::Download => unchunked(body).0,
            _ => body.to_vec(),
        }
    }

    /// Checks what both sides got.
    pub fn check(&self, engine_got: Option<&[u8]>, client_got: &[u8]) {
        let client_cut = self.client_ends.0 < self.request.len();
        let reset = self.client_ends.1 == How::Reset;
        // Upwards.
        let got = engine_got.unwrap_or_default();
        let (head, body) = split(got);
        let (body, ended) =
            if self.kind == Kind::Upload { unchunked(body) } else { (body.to_vec(), false) };
        assert!(self.up.starts_with(&body), "the engine got other bytes than were sent");
        assert!(
            !head || self.client_ends.0 >= self.request_head,
            "the engine got a head that was not sent"
        );
        if self.engine_ends.is_none() && !reset {
            assert_eq!(head, self.client_ends.0 >= self.request_head, "a head is lost");
            if head {
                assert_eq!(body.len(), self.sent_by_client().len(), "bytes to the engine are lost");
            }
        }
        if self.kind == Kind::Upload && client_cut {
            assert!(!ended, "an upload that was cut ended cleanly");
        }
        // Downwards.
        let (head, body) = split(client_got);
        let engine_answered = match (self.kind, self.engine_ends) {
            (Kind::Upload, ends) => ends.is_none() && !client_cut,
            (_, ends) => {
                ends.is_none_or(|(at, _)| at >= self.answer_head)
                    && self.client_ends.0 >= self.request_head
            }
        };
        if reset {
            return;
        }
        let first = String::from_utf8_lossy(&client_got[..client_got.len().min(14)]).into_owned();
        if !engine_answered {
            assert!(
                !first.contains(" 200 ") && !first.contains(" 101 "),
                "a response that the engine did not send: {first}"
            );
            assert_eq!(head, self.client_ends.0 >= self.request_head, "no error came: {first}");
            return;
        }
        assert!(
            head && (first.contains(" 200 ") || first.contains(" 101 ")),
            "the response is lost: {first:?}"
        );
        match self.kind {
            Kind::Download => {
                let (body, ended) = unchunked(body);
                assert!(self.down.starts_with(&body), "the client got other bytes than were sent");
                assert_eq!(body.len(), self.sent_by_engine().len(), "bytes to the client are lost");
                let whole = self.engine_ends.is_none_or(|(at, _)| at == self.answer.len());
                assert_eq!(ended, whole, "a response ends as it was sent");
            }
            Kind::Upload => assert_eq!(body, b"ok"),
            Kind::Upgrade | Kind::Raw => {
                assert_eq!(body, self.sent_by_engine(), "bytes to the client")
            }
        }
    }
}

pub fn chunked(bytes: &[u8], chance: &mut StdRng) -> Vec<u8> {
    let mut chunked = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (chunk, behind) = rest.split_at(chance.random_range(1..=rest.len().min(300)));
        chunked.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        chunked.extend(chunk);
        chunked.extend(b"\r\n");
        rest = behind;
    }
    chunked.extend(b"0\r\n\r\n");
    chunked
}

/// The payload of the beginning of a chunked body, and whether the body is complete.
pub fn unchunked(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut read = Vec::new();
    loop {
        let Some(at) = bytes.windows(2).position(|window| window == b"\r\n") else {
            return (read, false);
        };
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[..at]).unwrap(), 16).unwrap();
        bytes = &bytes[at + 2..];
        if size == 0 {
            return (read, bytes == b"\r\n");
        }
        read.extend(&bytes[..size.min(bytes.len())]);
        if bytes.len() < size + 2 {
            return (read, false);
        }
        bytes = &bytes[size + 2..];
    }
}

/// Whether there is a head, and the bytes behind it.
pub fn split(bytes: &[u8]) -> (bool, &[u8]) {
    match bytes.windows(4).position(|window| window == b"\r\n\r\n") {
        Some(at) => (true, &bytes[at + 4..]),
        None => (false, &[]),
    }
}
