//! As much HTTP/1.1 as the benchmark's clients and its engine need of each other and of dockerd.
//! Blocking and without hidden buffers, so that the measured time is that of the code here.

use std::io::{self, ErrorKind, Read, Write};

/// No program here sends longer heads.
const MAX_HEAD: usize = 64 * 1024;

/// A request's or an answer's first line and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// `GET /path HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub first: String,
    headers: Vec<(String, String)>,
}

impl Head {
    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let headers = lines.filter_map(|line| line.split_once(':'));
        Self {
            first,
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
                .collect(),
        }
    }

    /// The word after the first one: a request's path, an answer's status.
    pub fn second_word(&self) -> &str {
        self.first.split(' ').nth(1).unwrap_or_default()
    }

    /// Whether the request wants no body in its answer.
    pub fn is_head(&self) -> bool {
        self.first.starts_with("HEAD ")
    }

    /// The length of the body, where the head has it.
    pub fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    fn is_chunked(&self) -> bool {
        self.header("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The next head, or `None` where the peer has ended between two. What was read beyond it is left
/// in `early`.
pub fn read_head(from: &mut impl Read, early: &mut Vec<u8>) -> io::Result<Option<Head>> {
    loop {
        if let Some(end) = find(early, b"\r\n\r\n") {
            let rest = early.split_off(end + 4);
            let text = String::from_utf8_lossy(&early[..end]).into_owned();
            *early = rest;
            return Ok(Some(Head::parse(&text)));
        }
        if early.len() > MAX_HEAD {
            return Err(io::Error::new(ErrorKind::InvalidData, "a head without an end"));
        }
        match more(from, early)? {
            0 if early.is_empty() => return Ok(None),
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
    }
}

/// A request without a body.
pub fn get(to: &mut impl Write, path: &str, close: bool) -> io::Result<()> {
    let close = if close { "Connection: close\r\n" } else { "" };
    to.write_all(format!("GET {path} HTTP/1.1\r\nHost: docker\r\n{close}\r\n").as_bytes())
}

/// The body of an answer; another status than 2xx is an error.
pub fn read_answer(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut early = Vec::new();
    let head = read_good_head(from, &mut early)?;
    if let Some(length) = head.content_length() {
        while (early.len() as u64) < length {
            some(from, &mut early)?;
        }
    } else if head.is_chunked() {
        // Nothing here is answered with trailers.
        while !early.ends_with(b"0\r\n\r\n") {
            some(from, &mut early)?;
        }
    }
    Ok(early)
}

/// The head of an answer; another status than 2xx is an error.
pub fn read_good_head(from: &mut impl Read, early: &mut Vec<u8>) -> io::Result<Head> {
    let head = read_head(from, early)?.ok_or(ErrorKind::UnexpectedEof)?;
    if !head.second_word().starts_with('2') {
        return Err(io::Error::other(format!("answered with {:?}", head.first)));
    }
    Ok(head)
}

/// Reads at least one byte more.
pub fn some(from: &mut impl Read, into: &mut Vec<u8>) -> io::Result<()> {
    if more(from, into)? == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

fn more(from: &mut impl Read, into: &mut Vec<u8>) -> io::Result<usize> {
    let mut piece = [0; 16 * 1024];
    loop {
        match from.read(&mut piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(count) => {
                into.extend_from_slice(&piece[..count]);
                return Ok(count);
            }
        }
    }
}

/// Where `what` stands in `text`.
pub fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_where_the_body_begins() {
        let mut from: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOKHTTP/1.1 404 Not";
        let mut early = Vec::new();
        let head = read_head(&mut from, &mut early).unwrap().unwrap();
        assert_eq!((head.second_word(), head.content_length()), ("200", Some(2)));
        assert!(early.starts_with(b"OKHTTP"));
        early.drain(..2);
        assert_eq!(read_head(&mut from, &mut early).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(read_head(&mut from, &mut Vec::new()).unwrap(), None);
    }

    #[test]
    fn answers_are_read_to_their_end_and_bad_ones_are_errors() {
        let answer = |text: &str| read_answer(&mut text.as_bytes());
        assert_eq!(answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK").unwrap(), b"OK");
        assert!(
            answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
                .unwrap()
                .starts_with(b"1\r\nx")
        );
        assert!(answer("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOK").is_err());
        assert!(answer("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n").is_err());
    }
}
