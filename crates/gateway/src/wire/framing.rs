//! Finds the end of each request before hyper reads it. A request that two readers could take for
//! different ones (request smuggling) is refused, so that neither hyper nor the engine has to
//! guess.
//!
//! Heads are read by `httparse`, the parser that hyper uses. Refused although some servers accept
//! it: a length beside a transfer encoding, several lengths, any transfer encoding but `chunked`.
//! What Go's server (and so dockerd) refuses is refused with the same words. A bare line feed ends
//! a line, as it does for Go; hyper writes the head again without any.

use std::mem::MaybeUninit;

use super::chunked::Chunks;
use super::limits::{MAX_HEAD, MAX_HEADERS};
use super::refusal::Refusal;

/// The longest path and query that hyper's types can hold.
const MAX_TARGET: usize = u16::MAX as usize - 1;

/// Heads up to this size are parsed again with each piece that arrives, so that a malformed head is
/// refused before it ends.
const SMALL: usize = 16 * 1024;

/// The body that a head announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    /// Exactly so many bytes.
    Length(u64),
    /// Chunks, to the end of their trailers.
    Chunked(Chunks),
}

impl Body {
    /// How many of these bytes belong to the body, and whether it ends with them.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(usize, bool), Refusal> {
        match self {
            Self::Length(left) => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                Ok((taken, *left == 0))
            }
            Self::Chunked(chunks) => chunks.take(bytes),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Length(0))
    }
}

/// An unambiguous head.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// In bytes, with the empty line.
    pub(crate) length: usize,
    /// Bytes of the empty line: 1 or 2.
    pub(crate) end: usize,
    pub(crate) body: Body,
    /// The client can receive trailers, but sends no `TE` that says so.
    pub(crate) takes_trailers: bool,
    /// The client waits for a `100 Continue` before it sends the body.
    pub(crate) expects: bool,
}

/// Parses the head at the beginning of `bytes`, of which `known` were there the last time. `None`
/// while it is not complete.
pub(crate) fn head(bytes: &[u8], known: usize) -> Result<Option<Head>, Refusal> {
    const TOO_LARGE: Refusal = Refusal::new("431 Request Header Fields Too Large");
    if bytes.len() > SMALL && !ends_in(bytes, known) {
        return if bytes.len() >= MAX_HEAD { Err(TOO_LARGE) } else { Ok(None) };
    }
    let mut few = [const { MaybeUninit::uninit() }; 64];
    let mut request = httparse::Request::new(&mut []);
    let mut parsed = request.parse_with_uninit_headers(bytes, &mut few);
    let mut many;
    if parsed == Err(httparse::Error::TooManyHeaders) {
        many = vec![MaybeUninit::uninit(); MAX_HEADERS];
        request = httparse::Request::new(&mut []);
        parsed = request.parse_with_uninit_headers(bytes, &mut many);
    }
    match parsed {
        Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => {
            check(&request, bytes, length).map(Some)
        }
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(TOO_LARGE),
        Err(_) => Err(Refusal::new("400 Bad Request")),
    }
}

/// Whether an empty line ends among the new bytes.
pub(crate) fn ends_in(bytes: &[u8], known: usize) -> bool {
    let new = &bytes[known.saturating_sub(3)..];
    new.windows(2).any(|window| window == b"\n\n")
        || new.windows(3).any(|window| window == b"\n\r\n")
}

fn check(
    request: &httparse::Request<'_, '_>,
    bytes: &[u8],
    length: usize,
) -> Result<Head, Refusal> {
    let modern = request.version == Some(1);
    if request.method == Some("CONNECT") {
        return Err(Refusal::bad("there is nothing to connect to"));
    }
    if request.path.is_some_and(|path| path.len() > MAX_TARGET) {
        return Err(Refusal::new("414 URI Too Long"));
    }
    let (mut hosts, mut size, mut chunked, mut te, mut expects) = (0, None, false, false, false);
    for header in &*request.headers {
        let named = |name: &str| header.name.eq_ignore_ascii_case(name);
        if named("host") {
            hosts += 1;
        } else if named("content-length") {
            let length = digits(header.value).ok_or(Refusal::bad("invalid Content-Length"))?;
            if size.replace(length).is_some_and(|before| before != length) {
                return Err(Refusal::bad("several values of Content-Length"));
            }
        } else if named("transfer-encoding") {
            if chunked || !modern || !header.value.eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::bad("unsupported transfer encoding"));
            }
            chunked = true;
        } else if named("te") {
            te = true;
        } else if named("expect") {
            expects = header.value.eq_ignore_ascii_case(b"100-continue");
        }
    }
    if hosts > 1 {
        return Err(Refusal::bad("too many Host headers"));
    }
    if modern && hosts == 0 {
        return Err(Refusal::bad("missing required Host header"));
    }
    if chunked && size.is_some() {
        return Err(Refusal::bad("both Content-Length and Transfer-Encoding"));
    }
    let body =
        if chunked { Body::Chunked(Chunks::default()) } else { Body::Length(size.unwrap_or(0)) };
    let end = if bytes[..length].ends_with(b"\r\n") { 2 } else { 1 };
    Ok(Head {
        length,
        end,
        expects: expects && modern && !body.is_empty(),
        body,
        takes_trailers: modern && !te,
    })
}

/// A length by the grammar of HTTP: digits only.
fn digits(value: &[u8]) -> Option<u64> {
    // hyper reserves the highest values.
    let plain = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value)
        .ok()
        .filter(|_| plain)?
        .parse()
        .ok()
        .filter(|length| *length <= i64::MAX as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Head>, &'static str> {
        head(text.as_bytes(), 0)
            .map_err(|refusal| if refusal.why.is_empty() { refusal.status } else { refusal.why })
    }

    fn body(text: &str) -> Body {
        read(text).unwrap().unwrap().body
    }

    #[test]
    fn request_ends_where_its_head_says() {
        assert_eq!(body("GET / HTTP/1.1\r\nHost: d\r\n\r\n"), Body::Length(0));
        assert_eq!(
            body("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 12\r\n\r\n"),
            Body::Length(12)
        );
        assert_eq!(
            body("POST / HTTP/1.1\r\nHost: d\r\nContent-Length: 12\r\ncontent-length: 12\r\n\r\n"),
            Body::Length(12)
        );
        assert_eq!(
            body("POST / HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: Chunked\r\n\r\n"),
            Body::Chunked(Chunks::default())
        );
        assert_eq!(body("GET / HTTP/1.0\r\n\r\n"), Body::Length(0));
        let head = read("\r\nGET / HTTP/1.1\nHost: d\n\nGET /").unwrap().unwrap();
        assert_eq!((head.length, head.end), (26, 1));
        assert_eq!(read("GET / HTTP/1.1\r\nHost: d\r\n"), Ok(None));
    }

    #[test]
    fn ambiguous_requests_are_refused() {
        for (lines, why) in [
            (
                "Host: d\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
                "both Content-Length and Transfer-Encoding",
            ),
            (
                "Host: d\r\nTransfer-Encoding: chunked\r\nContent-Length: 3",
                "both Content-Length and Transfer-Encoding",
            ),
            (
                "Host: d\r\nContent-Length: 3\r\nContent-Length: 4",
                "several values of Content-Length",
            ),
            ("Host: d\r\nContent-Length: 3, 3", "invalid Content-Length"),
            ("Host: d\r\nContent-Length: +3", "invalid Content-Length"),
            ("Host: d\r\nContent-Length: -3", "invalid Content-Length"),
            ("Host: d\r\nContent-Length: 0x3", "invalid Content-Length"),
            ("Host: d\r\nContent-Length:", "invalid Content-Length"),
            ("Host: d\r\nContent-Length: 99999999999999999999", "invalid Content-Length"),
            ("Host: d\r\nTransfer-Encoding: gzip, chunked", "unsupported transfer encoding"),
            ("Host: d\r\nTransfer-Encoding: chunked, identity", "unsupported transfer encoding"),
            ("Host: d\r\nTransfer-Encoding: xchunked", "unsupported transfer encoding"),
            (
                "Host: d\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
                "unsupported transfer encoding",
            ),
            ("Host: d\r\nTransfer-Encoding:", "unsupported transfer encoding"),
            ("Host: d\r\nHost: d", "too many Host headers"),
            ("X: y", "missing required Host header"),
            ("Host: d\r\nContent-Length : 3", "400 Bad Request"),
            ("Host: d\r\nX: a\r\n b", "400 Bad Request"),
            (" Host: d", "400 Bad Request"),
            ("Host: d\r\nX: a\rb", "400 Bad Request"),
            ("Host: d\r\nX: a\0b", "400 Bad Request"),
            ("Host: d\r\nno colon", "400 Bad Request"),
            ("Host: d\r\nTransfer-Encoding\x0b: chunked", "400 Bad Request"),
        ] {
            assert_eq!(read(&format!("POST / HTTP/1.1\r\n{lines}\r\n\r\n")), Err(why), "{lines:?}");
        }
        assert_eq!(
            read("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Err("unsupported transfer encoding")
        );
        assert_eq!(read("GET /a b HTTP/1.1\r\nHost: d\r\n\r\n"), Err("400 Bad Request"));
        assert_eq!(
            read("CONNECT d:1 HTTP/1.1\r\nHost: d\r\n\r\n"),
            Err("there is nothing to connect to")
        );
        assert_eq!(read("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Err("400 Bad Request"));
    }

    #[test]
    fn heads_have_the_limits_of_go() {
        let big =
            |size: usize| format!("GET / HTTP/1.1\r\nHost: d\r\nX: {}\r\n\r\n", "x".repeat(size));
        assert!(read(&big(1 << 20)).unwrap().is_some());
        assert_eq!(read(&big(MAX_HEAD)), Err("431 Request Header Fields Too Large"));
        assert_eq!(read(&big(MAX_HEAD)[..MAX_HEAD]), Err("431 Request Header Fields Too Large"));
        assert_eq!(
            read(&format!("GET /{} HTTP/1.1\r\nHost: d\r\n\r\n", "x".repeat(70_000))),
            Err("414 URI Too Long")
        );
        let many: String = (0..MAX_HEADERS - 1).map(|n| format!("X-{n}: {n}\r\n")).collect();
        assert!(read(&format!("GET / HTTP/1.1\r\nHost: d\r\n{many}\r\n")).unwrap().is_some());
        assert_eq!(
            read(&format!("GET / HTTP/1.1\r\nHost: d\r\nX: y\r\n{many}\r\n")),
            Err("431 Request Header Fields Too Large")
        );
    }

    #[test]
    fn head_in_pieces_is_complete_with_its_last_byte() {
        let text = format!("GET / HTTP/1.1\r\nHost: d\r\nX: {}\r\n\r\n", "x".repeat(SMALL));
        let mut known = 0;
        for cut in [1, 30, SMALL + 1, SMALL + 20, text.len() - 3, text.len() - 2, text.len() - 1] {
            assert_eq!(head(&text.as_bytes()[..cut], known), Ok(None), "{cut}");
            known = cut;
        }
        assert!(head(text.as_bytes(), known).unwrap().is_some());
    }
}
