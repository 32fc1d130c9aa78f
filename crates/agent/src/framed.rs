//! Frames of the protocol on a stream, read to the byte: what follows a frame belongs to somebody else.

use std::io;

use agent_proto::MAX_FRAME;
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// One frame.
pub async fn receive<T: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let length = stream.read_u32().await?;
    if length as usize > MAX_FRAME {
        return Err(io::Error::other(agent_proto::FrameError::TooLong(length as usize)));
    }
    let mut frame = length.to_be_bytes().to_vec();
    frame.resize(4 + length as usize, 0);
    stream.read_exact(&mut frame[4..]).await?;
    match agent_proto::decode(&frame).map_err(io::Error::other)? {
        Some((value, _)) => Ok(value),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// One frame.
pub async fn send<T: Serialize>(stream: &mut (impl AsyncWrite + Unpin), value: &T) -> io::Result<()> {
    let frame = agent_proto::encode(value).map_err(io::Error::other)?;
    stream.write_all(&frame).await?;
    stream.flush().await
}
