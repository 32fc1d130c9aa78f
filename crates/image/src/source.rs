//! Where an image comes from, and what tells it from another.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_proto::image::Checksum;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256, Sha512};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;
use url::Url;

use crate::error::ImageError;

/// Read at once, in bytes.
const PIECE: usize = 1 << 20;
/// Between two words about how far the reading of a file is.
const BETWEEN_WORDS: Duration = Duration::from_millis(500);

/// Where the bytes of an image come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Fetched by the rescue system, over its own line.
    Url(Url),
    /// A file of this computer, sent by SSH.
    File(PathBuf),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Url(url) => write!(f, "{url}"),
            Source::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A source that was looked at.
#[derive(Debug, Clone)]
pub(crate) struct Identified {
    /// What tells it from others: its checksum, or, where none is known, its address.
    pub(crate) text: String,
    /// What it has to be when it arrives.
    pub(crate) checksum: Option<Checksum>,
    /// Bytes, where that is known before it comes.
    pub(crate) length: Option<u64>,
}

/// Looks at a source: a file is read once, so that a wrong one is told before anything is made.
/// `progress` hears bytes and total.
pub(crate) async fn identify(
    source: &Source,
    wanted: Option<&Checksum>,
    progress: impl Fn(u64, u64),
) -> Result<Identified, ImageError> {
    match source {
        Source::Url(url) => {
            let text = wanted.map_or_else(|| url.to_string(), text);
            Ok(Identified { text, checksum: wanted.cloned(), length: None })
        }
        Source::File(path) => {
            let (length, sha256, sha512) = hash(path, wanted, progress).await?;
            let found = match wanted {
                Some(Checksum::Sha512(_)) => Checksum::Sha512(sha512),
                _ => Checksum::Sha256(sha256.clone()),
            };
            match wanted {
                Some(wanted) if *wanted != found => {
                    return Err(ImageError::Checksum {
                        what: path.display().to_string(),
                        found: text(&found),
                        wanted: text(wanted),
                    });
                }
                _ => {}
            }
            if length == 0 {
                return Err(ImageError::Empty { path: path.clone() });
            }
            // Should it change until it is sent, the writer refuses it.
            let checksum = Some(Checksum::Sha256(sha256.clone()));
            Ok(Identified {
                text: text(&wanted.cloned().unwrap_or(Checksum::Sha256(sha256))),
                checksum,
                length: Some(length),
            })
        }
    }
}

fn text(checksum: &Checksum) -> String {
    match checksum {
        Checksum::Sha256(hex) => format!("sha256:{hex}"),
        Checksum::Sha512(hex) => format!("sha512:{hex}"),
    }
}

async fn hash(
    path: &Path,
    wanted: Option<&Checksum>,
    progress: impl Fn(u64, u64),
) -> Result<(u64, String, String), ImageError> {
    let failed = |source| ImageError::File { path: path.to_owned(), source };
    let mut file = File::open(path).await.map_err(failed)?;
    let total = file.metadata().await.map_err(failed)?.len();
    let is_512 = matches!(wanted, Some(Checksum::Sha512(_)));
    let (mut sha256, mut sha512, mut read) = (Sha256::new(), Sha512::new(), 0);
    let mut piece = vec![0; PIECE];
    let mut told = Instant::now();
    loop {
        let length = file.read(&mut piece).await.map_err(failed)?;
        if length == 0 {
            return Ok((
                read,
                HEXLOWER.encode(&sha256.finalize()),
                HEXLOWER.encode(&sha512.finalize()),
            ));
        }
        sha256.update(&piece[..length]);
        if is_512 {
            sha512.update(&piece[..length]);
        }
        read += length as u64;
        if told.elapsed() >= BETWEEN_WORDS {
            told = Instant::now();
            progress(read, total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_known_by_its_content_and_a_wrong_checksum_is_told_before_anything_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        std::fs::write(&path, "abc").unwrap();
        let source = Source::File(path);
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let found = identify(&source, None, |_, _| {}).await.unwrap();
        assert_eq!(
            (found.text.as_str(), found.length),
            (format!("sha256:{abc}").as_str(), Some(3))
        );
        let wrong = Checksum::Sha512("00".repeat(64));
        let error = identify(&source, Some(&wrong), |_, _| {}).await.unwrap_err();
        assert!(matches!(error, ImageError::Checksum { .. }), "{error}");
    }

    #[tokio::test]
    async fn an_address_with_a_checksum_is_the_same_image_wherever_it_is() {
        let sum = Checksum::Sha256("aa".repeat(32));
        let at = async |url: &str, sum| {
            identify(&Source::Url(url.parse().unwrap()), sum, |_, _| {}).await.unwrap().text
        };
        assert_eq!(at("http://a/x", Some(&sum)).await, at("http://b/y", Some(&sum)).await);
        assert_ne!(at("http://a/x", None).await, at("http://b/y", None).await);
    }
}
