//! Frames of the protocol on a stream, read to the byte: what follows a frame belongs to somebody
//! else.

use std::io;

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// One frame.
pub async fn receive<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let mut frame = Vec::new();
    loop {
        let (heard, missing) =
            (frame.len(), agent_proto::missing(&frame).map_err(io::Error::other)?);
        if missing == 0 {
            break;
        }
        frame.resize(heard + missing, 0);
        stream.read_exact(&mut frame[heard..]).await?;
    }
    match agent_proto::decode(&frame).map_err(io::Error::other)? {
        Some((value, _)) => Ok(value),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// One frame.
pub async fn send<T: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    value: &T,
) -> io::Result<()> {
    let frame = agent_proto::encode(value).map_err(io::Error::other)?;
    stream.write_all(&frame).await?;
    stream.flush().await
}
