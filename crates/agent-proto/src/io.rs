//! Frames on an asynchronous stream, read to the byte: the bytes after a frame belong to another
//! reader.

use std::io;

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Reads one frame. A frame that is not understood is an error of kind `Other`.
pub async fn receive<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let mut frame = Vec::new();
    loop {
        let (received, missing) = (frame.len(), crate::missing(&frame).map_err(io::Error::other)?);
        if missing == 0 {
            break;
        }
        frame.resize(received + missing, 0);
        stream.read_exact(&mut frame[received..]).await?;
    }
    match crate::decode(&frame).map_err(io::Error::other)? {
        Some((value, _)) => Ok(value),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Writes and flushes one frame.
pub async fn send<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    value: &T,
) -> io::Result<()> {
    let frame = crate::encode(value).map_err(io::Error::other)?;
    stream.write_all(&frame).await?;
    stream.flush().await
}
