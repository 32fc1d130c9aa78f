//! The source of a disk image, and what identifies it.

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

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;
/// Between two reports of progress.
const BETWEEN_REPORTS: Duration = Duration::from_millis(500);

/// The source of the bytes of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The rescue system downloads it.
    Url(Url),
    /// A file of this computer, sent over SSH.
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

/// A source that was checked.
#[derive(Debug, Clone)]
pub(crate) struct Identified {
    /// What identifies it: its checksum, or its address if no checksum is known.
    pub(crate) text: String,
    /// The checksum that the writer expects.
    pub(crate) checksum: Option<Checksum>,
    /// Its length in bytes, if known before the transfer.
    pub(crate) length: Option<u64>,
}

/// Identifies a source. Reads a file once, so that a wrong file is reported before anything is
/// created. Calls `progress` with the bytes read and the total.
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
            // If the file changes before it is sent, the writer refuses it.
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
    let mut reported = Instant::now();
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
        if reported.elapsed() >= BETWEEN_REPORTS {
            reported = Instant::now();
            progress(read, total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn file_is_identified_by_its_content_and_a_wrong_checksum_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("image");
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
    async fn url_with_a_checksum_is_the_same_image_at_any_address() {
        let sum = Checksum::Sha256("aa".repeat(32));
        let at = async |url: &str, sum| {
            identify(&Source::Url(url.parse().unwrap()), sum, |_, _| {}).await.unwrap().text
        };
        assert_eq!(at("http://a/x", Some(&sum)).await, at("http://b/y", Some(&sum)).await);
        assert_ne!(at("http://a/x", None).await, at("http://b/y", None).await);
    }
}
