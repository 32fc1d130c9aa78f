//! Standard input and output as one asynchronous stream. sshd passes a socket or pipes; tokio's own
//! types would use a thread for each call.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, fstat};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;

/// Takes both over; no other code may read or write them afterwards.
pub fn take() -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
    Ok(tokio::io::join(input(owned(io::stdin())?)?, output(owned(io::stdout())?)?))
}

fn owned(descriptor: impl AsFd) -> io::Result<OwnedFd> {
    descriptor.as_fd().try_clone_to_owned()
}

fn input(descriptor: OwnedFd) -> io::Result<Box<dyn AsyncRead + Send + Unpin>> {
    Ok(match is_socket(&descriptor)? {
        true => Box::new(socket(descriptor)?),
        false => Box::new(pipe::Receiver::from_owned_fd(descriptor)?),
    })
}

fn output(descriptor: OwnedFd) -> io::Result<Box<dyn AsyncWrite + Send + Unpin>> {
    Ok(match is_socket(&descriptor)? {
        true => Box::new(socket(descriptor)?),
        false => Box::new(pipe::Sender::from_owned_fd(descriptor)?),
    })
}

fn is_socket(descriptor: &OwnedFd) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(descriptor)?.st_mode) == FileType::Socket)
}

fn socket(descriptor: OwnedFd) -> io::Result<UnixStream> {
    let socket = std::os::unix::net::UnixStream::from(descriptor);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}
