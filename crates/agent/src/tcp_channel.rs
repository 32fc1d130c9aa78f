//! A TCP connection over an SSH channel of its own, beside the session: over a short path it is
//! faster than a stream of the session. sshd cannot distinguish a break from an end, so both
//! directions carry an explicit end.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use striping::{Terminated, head_of_piece, terminator};
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use crate::pump::{End, Outcome, copy, directions};

/// Capacity of the pipe between the two sockets, in bytes: received data is in pages that are not
/// all full.
const PIPE: usize = 2 * striping::LONGEST_PIECE;

/// Carries both directions until both ended, or one failed such that the other ends.
pub async fn carry(mut channel: UnixStream, mut target: TcpStream) {
    // Without a pipe the channel is dropped, which the client sees as a break.
    let Ok(pipe) = Pipe::new() else { return };
    let outcome = {
        let (from_client, to_client) = channel.split();
        let (from_target, to_target) = target.split();
        directions(
            copy(Terminated::new(from_client), to_target, |_| {}),
            down(from_target, to_client, &pipe),
            || 0,
        )
        .await
    };
    if outcome == Outcome::ClientReset {
        // An orderly end would hide the break.
        let _ = target.set_zero_linger();
    }
}

/// A pipe through which the kernel moves bytes between two sockets without copying them here.
struct Pipe {
    from: OwnedFd,
    to: OwnedFd,
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (from, to) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Refused if the login has many pipes; pieces are then shorter.
        let _ = fcntl_setpipe_size(&to, PIPE);
        Ok(Self { from, to })
    }
}

async fn down(source: tcp::ReadHalf<'_>, mut sink: unix::WriteHalf<'_>, pipe: &Pipe) -> End {
    loop {
        let length = match source
            .as_ref()
            .async_io(Interest::READABLE, || {
                moved(source.as_ref(), &pipe.to, striping::LONGEST_PIECE)
            })
            .await
        {
            Ok(length) => length,
            Err(_) => return End::SourceFailed,
        };
        if length == 0 {
            // If the other side has gone already, this is still an orderly end.
            let _ = sink.write_all(&terminator()).await;
            let _ = sink.shutdown().await;
            return End::Finished;
        }
        if sink.write_all(&head_of_piece(length)).await.is_err() {
            return End::SinkFailed;
        }
        let mut left = length;
        while left > 0 {
            match sink
                .as_ref()
                .async_io(Interest::WRITABLE, || moved(&pipe.from, sink.as_ref(), left))
                .await
            {
                Ok(0) | Err(_) => return End::SinkFailed,
                Ok(moved) => left -= moved,
            }
        }
    }
}

fn moved(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
    Ok(splice(from, None, to, None, most, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;

    /// The client's end, the target's end, and the task that carries between them.
    async fn carried() -> (Terminated<UnixStream>, TcpStream, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(connecting, listener.accept());
        let (channel, client) = UnixStream::pair().unwrap();
        (Terminated::new(client), far.unwrap().0, tokio::spawn(carry(channel, near.unwrap())))
    }

    fn bytes(length: usize, seed: usize) -> Vec<u8> {
        (0..length).map(|at| (at / 5 * (seed + 3) / 7) as u8).collect()
    }

    #[tokio::test]
    async fn all_bytes_and_both_ends_arrive_in_both_directions() {
        let (client, target, carrying) = carried().await;
        let (mut from_target, mut to_target) = tokio::io::split(client);
        let (mut from_client, mut to_client) = target.into_split();
        let (down, up) = (bytes(5 * striping::LONGEST_PIECE + 1, 0), bytes(3 << 20, 1));
        let (sent_down, sent_up) = (down.clone(), up.clone());
        let answering = tokio::spawn(async move {
            for piece in sent_down.chunks(70_001) {
                to_client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        });
        let asking = tokio::spawn(async move {
            to_target.write_all(&sent_up).await.unwrap();
            to_target.shutdown().await.unwrap();
        });
        let (mut heard_up, mut heard_down) = (Vec::new(), Vec::new());
        let (read_up, read_down) = tokio::join!(
            from_client.read_to_end(&mut heard_up),
            from_target.read_to_end(&mut heard_down)
        );
        read_up.and(read_down).unwrap();
        let lengths = (heard_up.len(), heard_down.len());
        assert!(heard_up == up && heard_down == down, "{lengths:?} bytes");
        let (answered, asked, ended) = tokio::join!(answering, asking, carrying);
        answered.and(asked).and(ended).unwrap();
    }

    #[tokio::test]
    async fn a_broken_target_is_a_reset_for_the_client() {
        let (mut client, mut target, carrying) = carried().await;
        target.write_all(b"half of").await.unwrap();
        let mut half = [0; 7];
        client.read_exact(&mut half).await.unwrap();
        target.set_zero_linger().unwrap();
        drop(target);
        let error = client.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        carrying.await.unwrap();
    }

    #[tokio::test]
    async fn a_broken_client_is_a_reset_for_the_target() {
        let (mut client, mut target, carrying) = carried().await;
        client.write_all(b"half of").await.unwrap();
        client.flush().await.unwrap();
        let mut half = [0; 7];
        target.read_exact(&mut half).await.unwrap();
        drop(client);
        assert_eq!(
            target.read(&mut half).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
        carrying.await.unwrap();
    }
}
