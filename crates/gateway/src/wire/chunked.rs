//! Finds the end of a chunked body. Sizes, extensions and trailers pass unchanged to the HTTP
//! parser behind. Accepts what hyper accepts, except lines that do not end in CR LF.

use super::refusal::Refusal;

/// Bytes of extensions and trailers together. hyper has limits of this order, too.
const MAX_EXTRAS: usize = 64 * 1024;

/// A position in a chunked body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chunks {
    at: At,
    /// Bytes of the chunk that are still to come.
    left: u64,
    extras: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    MoreSize,
    Space,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerLine,
    Trailer,
    TrailerLf,
    LastLf,
    End,
}

impl Chunks {
    /// How many of these bytes belong to the body, and whether it ends with them.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(usize, bool), Refusal> {
        let mut taken = 0;
        while taken < bytes.len() && self.at != At::End {
            if self.at == At::Data {
                let data =
                    usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - taken);
                self.left -= data as u64;
                taken += data;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
                continue;
            }
            self.at = self.step(bytes[taken])?;
            taken += 1;
        }
        Ok((taken, self.at == At::End))
    }

    fn step(&mut self, byte: u8) -> Result<At, Refusal> {
        const BROKEN: Refusal = Refusal::bad("malformed chunked encoding");
        Ok(match (self.at, byte) {
            (At::Size | At::MoreSize, digit) if digit.is_ascii_hexdigit() => {
                let digit = char::from(digit).to_digit(16).map_or(0, u64::from);
                // hyper reads sixteen digits; no body is that long.
                self.left = self
                    .left
                    .checked_mul(16)
                    .filter(|left| *left <= i64::MAX as u64)
                    .ok_or(BROKEN)?
                    + digit;
                At::MoreSize
            }
            (At::MoreSize | At::Space, b' ' | b'\t') => self.extra(At::Space)?,
            (At::MoreSize | At::Space, b';') => At::Extension,
            (At::MoreSize | At::Space | At::Extension, b'\r') => At::SizeLf,
            (At::SizeLf, b'\n') if self.left == 0 => At::TrailerLine,
            (At::SizeLf, b'\n') => At::Data,
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size,
            (At::TrailerLine, b'\r') => At::LastLf,
            (At::Trailer, b'\r') => At::TrailerLf,
            (At::TrailerLf, b'\n') => At::TrailerLine,
            (At::LastLf, b'\n') => At::End,
            (At::Extension, byte) if byte != b'\n' => self.extra(At::Extension)?,
            (At::TrailerLine | At::Trailer, byte) if byte != b'\n' => self.extra(At::Trailer)?,
            _ => return Err(BROKEN),
        })
    }

    fn extra(&mut self, then: At) -> Result<At, Refusal> {
        self.extras += 1;
        if self.extras > MAX_EXTRAS {
            Err(Refusal::bad("too much beside the chunks"))
        } else {
            Ok(then)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The end, which must be the same for any cut into pieces.
    fn end(text: &str) -> Result<Option<usize>, ()> {
        let bytes = text.as_bytes();
        let whole = Chunks::default()
            .take(bytes)
            .map(|(taken, ended)| ended.then_some(taken))
            .map_err(|_| ());
        let mut chunks = Chunks::default();
        let mut piecewise = Ok(None);
        for (at, byte) in bytes.iter().enumerate() {
            match chunks.take(std::slice::from_ref(byte)) {
                Ok((_, true)) => {
                    piecewise = Ok(Some(at + 1));
                    break;
                }
                Ok(_) => {}
                Err(_) => {
                    piecewise = Err(());
                    break;
                }
            }
        }
        assert_eq!(whole, piecewise, "{text:?}");
        whole
    }

    #[test]
    fn body_ends_behind_the_last_chunk_and_the_trailers() {
        for body in [
            "0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "A;x=y\r\n0123456789\r\n00 \r\nX: y\r\nY: z\r\n\r\n",
            "5\r\n0\r\n\r\n\r\n0\r\n\r\n",
        ] {
            assert_eq!(end(&format!("{body}GET /")), Ok(Some(body.len())), "{body:?}");
            assert_eq!(end(&body[..body.len() - 1]), Ok(None), "{body:?}");
        }
    }

    #[test]
    fn ambiguous_chunks_are_refused() {
        for body in [
            "\r\n",
            "3\nabc",
            "3\r\nabcd",
            "3\r\nabc\n",
            "3\r\nabc0\r\n",
            "0x3\r\n",
            "-1\r\n",
            "+1\r\n",
            " 3\r\n",
            "3 4\r\n",
            "3\r\r\n",
            "3;x\nGET",
            "0\r\nX: y\n\r\n",
            "0\r\nX: y\r\r\n",
            "0\r\n\n",
            "g\r\n",
            "fffffffffffffffff\r\n",
        ] {
            assert_eq!(end(body), Err(()), "{body:?}");
        }
    }
}
