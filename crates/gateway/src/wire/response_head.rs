//! Finds where the body of the engine's response begins, and whether it can be relayed: a chunked
//! body, whose end can be found without an HTTP client.
//!
//! Heads are read by `httparse`, the parser that hyper uses, so that both find the same last byte.

use std::mem::MaybeUninit;

use super::framing::ends_in;
use super::limits::MAX_HEAD;

/// The body that follows a response head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    /// Chunks that begin at this byte, on a connection that stays open.
    Chunks(usize),
    /// Any other body.
    Other,
}

/// Parses the beginning of a response, of which `known` bytes were there the last time. `None`
/// while its head is not complete. Informational responses before it are skipped.
pub(crate) fn behind(bytes: &[u8], known: usize) -> Option<Behind> {
    if bytes.len() > MAX_HEAD {
        return Some(Behind::Other);
    }
    if !ends_in(bytes, known) {
        return None;
    }
    let mut headers = [const { MaybeUninit::uninit() }; 64];
    let mut begin = 0;
    loop {
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(
            &mut response,
            &bytes[begin..],
            &mut headers,
        ) {
            Ok(httparse::Status::Complete(length)) => match response.code {
                // 101 is a final response.
                Some(100 | 102..200) => begin += length,
                _ if can_be_relayed(&response) => return Some(Behind::Chunks(begin + length)),
                _ => return Some(Behind::Other),
            },
            Ok(httparse::Status::Partial) => return None,
            // A response with more headers is no log, and the HTTP client refuses a malformed one.
            Err(_) => return Some(Behind::Other),
        }
    }
}

fn can_be_relayed(response: &httparse::Response<'_, '_>) -> bool {
    let mut chunked = 0;
    for header in &*response.headers {
        let named = |name: &str| header.name.eq_ignore_ascii_case(name);
        if named("transfer-encoding") {
            chunked += if header.value.eq_ignore_ascii_case(b"chunked") { 1 } else { 2 };
        } else if named("content-length") || named("connection") {
            return false;
        }
    }
    response.version == Some(1) && response.code == Some(200) && chunked == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::limits::MAX_HEADERS;

    const LOG: &str = "HTTP/1.1 200 OK\r\nServer: Docker/28\r\nTransfer-Encoding: chunked\r\n\r\n";

    fn read(text: &str) -> Option<Behind> {
        behind(text.as_bytes(), 0)
    }

    #[test]
    fn chunks_begin_behind_the_head() {
        assert_eq!(read(&format!("{LOG}5\r\nhello\r\n")), Some(Behind::Chunks(LOG.len())));
        let lower = LOG.to_lowercase().replace("http/", "HTTP/").replace("\r\n", "\n");
        assert_eq!(read(&format!("{lower}5\r\n")), Some(Behind::Chunks(lower.len())));
        let early = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
        assert_eq!(read(early), None, "that is no final response");
        assert_eq!(read(&format!("{early}{LOG}")), Some(Behind::Chunks(early.len() + LOG.len())));
    }

    #[test]
    fn head_in_pieces_is_complete_with_its_last_byte() {
        for cut in 0..LOG.len() {
            assert_eq!(behind(&LOG.as_bytes()[..cut], cut.saturating_sub(1)), None, "{cut}");
        }
        assert_eq!(behind(LOG.as_bytes(), LOG.len() - 1), Some(Behind::Chunks(LOG.len())));
    }

    #[test]
    fn other_responses_are_left_to_the_http_client() {
        for head in [
            "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert_eq!(read(head), Some(Behind::Other), "{head:?}");
        }
        let many: String = (0..MAX_HEADERS).map(|n| format!("X-{n}: {n}\r\n")).collect();
        assert_eq!(read(&LOG.replace("Server", &format!("{many}Server"))), Some(Behind::Other));
        assert_eq!(behind(&vec![b'x'; MAX_HEAD + 1], 0), Some(Behind::Other));
    }
}
