//! Checks the first bytes of a source before anything is created. With the format `auto` it refuses
//! what is no disk image; with `raw` it accepts anything.

use std::path::Path;
use std::time::Duration;

use agent_proto::foreign::{HEAD, foreign};
use agent_proto::image::{Compression, Format};
use reqwest::header::{CONTENT_RANGE, RANGE};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use url::Url;

use crate::error::ImageError;
use crate::order::DiskImage;
use crate::source::Source;

/// No system boots from a smaller disk, in bytes.
const LEAST: u64 = 1024 * 1024;
/// A host that does not answer this computer by then may still answer the server of the build.
const LONGEST_CHECK: Duration = Duration::from_secs(10);

/// First bytes and file extensions of compressed files.
const COMPRESSED: &[(&[u8], &[&str], &str)] = &[
    (b"\xfd7zXZ\0", &["xz"], "xz"),
    (b"\x1f\x8b", &["gz"], "gzip"),
    (b"\x28\xb5\x2f\xfd", &["zst", "zstd"], "zstd"),
    (b"BZh", &["bz2"], "bzip2"),
];

/// The beginning of a source.
struct Seen {
    name: String,
    head: Vec<u8>,
    length: Option<u64>,
}

/// Refuses a source that cannot be a disk image. Accepts a source that this computer cannot read.
pub(crate) async fn check(disk: &DiskImage) -> Result<(), ImageError> {
    if disk.format != Format::Auto {
        return Ok(());
    }
    let seen = match &disk.source {
        Source::File(path) => of_file(path).await?,
        Source::Url(url) => match of_url(url).await {
            Ok(Some(seen)) => seen,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::debug!(
                    error = machine::with_causes(&error),
                    "this computer cannot read the source of the image"
                );
                return Ok(());
            }
        },
    };
    match refusal(&seen, disk.compression) {
        Some(what) => Err(ImageError::NoImage { origin: disk.source.to_string(), what }),
        None => Ok(()),
    }
}

/// Why it is no disk image, as a predicate of the source.
fn refusal(seen: &Seen, compression: Compression) -> Option<String> {
    let Seen { name, head, length } = seen;
    let found = COMPRESSED.iter().find(|(magic, ..)| head.starts_with(magic));
    let ending =
        name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    let promised = COMPRESSED.iter().find(|(_, endings, _)| endings.contains(&ending.as_str()));
    let is_open = match compression {
        Compression::Auto => found.is_none(),
        Compression::None => true,
        _ => false,
    };
    let what = is_open.then(|| foreign(head)).flatten();
    match (compression, promised, what) {
        (Compression::Auto, Some((magic, _, kind)), what) if !head.starts_with(magic) => {
            let instead = what.map(|what| format!(": it is {what}")).unwrap_or_default();
            Some(format!("is called .{ending} and is not compressed by {kind}{instead}"))
        }
        (_, _, Some(what)) => Some(format!("is {what}, and no disk image")),
        _ if is_open
            && !head.starts_with(b"QFI\xfb")
            && length.is_some_and(|length| length < LEAST) =>
        {
            Some(format!("has {} bytes, and no disk image is so small", length.unwrap_or(0)))
        }
        _ => None,
    }
}

async fn of_file(path: &Path) -> Result<Seen, ImageError> {
    let failed = |source| ImageError::File { path: path.to_owned(), source };
    let file = File::open(path).await.map_err(failed)?;
    let length = Some(file.metadata().await.map_err(failed)?.len());
    let mut head = Vec::new();
    file.take(HEAD as u64).read_to_end(&mut head).await.map_err(failed)?;
    Ok(Seen { name: path.display().to_string(), head, length })
}

/// `None` if the answer is no success: the server of the build may get another one.
async fn of_url(url: &Url) -> Result<Option<Seen>, reqwest::Error> {
    let client = reqwest::Client::builder().timeout(LONGEST_CHECK).build()?;
    let mut reply =
        client.get(url.clone()).header(RANGE, format!("bytes=0-{}", HEAD - 1)).send().await?;
    if !reply.status().is_success() {
        return Ok(None);
    }
    let total = reply
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|range| range.to_str().ok()?.rsplit_once('/')?.1.parse().ok());
    let length = total.or(if reply.status() == reqwest::StatusCode::OK {
        reply.content_length()
    } else {
        None
    });
    let mut head = Vec::new();
    while head.len() < HEAD
        && let Some(piece) = reply.chunk().await?
    {
        head.extend_from_slice(&piece);
    }
    head.truncate(HEAD);
    Ok(Some(Seen { name: url.path().to_owned(), head, length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, head: &[u8], length: u64, compression: Compression) -> Option<String> {
        refusal(
            &Seen { name: name.to_owned(), head: head.to_vec(), length: Some(length) },
            compression,
        )
    }

    #[test]
    fn source_that_is_no_image_is_refused_with_what_it_is() {
        let auto = |name: &str, head: &[u8], length| refused(name, head, length, Compression::Auto);
        let vmdk = auto("disk.raw", b"KDMV\x01\0\0\0", 9 << 20);
        assert_eq!(vmdk.as_deref(), Some("is a VMDK disk of VMware, and no disk image"));
        let json = auto("/x/metal.raw.xz", b"{\"error\": \"no such version\"}", 27);
        assert_eq!(
            json.as_deref(),
            Some("is called .xz and is not compressed by xz: it is a JSON answer")
        );
        let plain = auto("metal.raw.zst", &[0; 512], 9 << 20);
        assert_eq!(plain.as_deref(), Some("is called .zst and is not compressed by zstd"));
        let small = auto("disk.img", &[0; 512], 512);
        assert_eq!(small.as_deref(), Some("has 512 bytes, and no disk image is so small"));
        let page = auto("disk", b"<!doctype html><html>", 9 << 20);
        assert_eq!(page.as_deref(), Some("is a web page, and no disk image"));
    }

    #[test]
    fn images_are_accepted_under_any_name() {
        let auto = |name: &str, head: &[u8], length| refused(name, head, length, Compression::Auto);
        assert_eq!(
            auto("disk.raw.xz", b"\xfd7zXZ\0\0\x04", 600),
            None,
            "a compressed image may be small"
        );
        assert_eq!(
            auto("download", b"\x28\xb5\x2f\xfd\0", 600),
            None,
            "a name without extension is accepted"
        );
        assert_eq!(auto("disk.qcow2", b"QFI\xfb\0\0\0\x03", 200_000), None);
        assert_eq!(auto("disk.raw", &[0; 512], 9 << 20), None);
        assert_eq!(
            refused("disk.raw.xz", &[0; 512], 9 << 20, Compression::None),
            None,
            "the compression is set"
        );
        assert_eq!(
            refused("x", b"KDMV", 9 << 20, Compression::None).as_deref(),
            Some("is a VMDK disk of VMware, and no disk image")
        );
    }
}
