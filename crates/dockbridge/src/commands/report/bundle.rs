//! The files of a bundle as a compressed archive. Pure.

use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

/// A file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub name: &'static str,
    /// What it is, for the user.
    pub about: &'static str,
    /// Without secrets.
    pub text: String,
}

/// The archive, with all files in one directory.
pub fn archive(directory: &str, pieces: &[Piece], now: i64) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for Piece { name, text, .. } in pieces {
        let mut header = Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now).unwrap_or(0));
        archive.append_data(&mut header, format!("{directory}/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}
