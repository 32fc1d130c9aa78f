//! A rendezvous: a socket that exists only until the channels that it was made for have connected.
//!
//! Only the login can enter the socket's directory, so every peer has logged in.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::time::Duration;

use agent_proto::{Direction, LANES_WAIT_SECONDS};
use tokio::io::AsyncReadExt as _;
use tokio::net::{UnixListener, UnixStream};

/// The most channels per rendezvous, more than a client asks for.
const MAX: usize = 64;

pub struct Rendezvous {
    directory: Directory,
    listener: UnixListener,
    count: usize,
}

/// Lanes by direction.
#[derive(Default)]
pub struct Lanes {
    /// From the client.
    pub up: Vec<UnixStream>,
    /// To the client.
    pub down: Vec<UnixStream>,
}

/// A directory that is removed with its content when dropped.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        // A directory that cannot be removed is empty and harmless.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Rendezvous {
    /// Listens in a new directory for `count` channels.
    pub fn listen(count: usize) -> io::Result<Self> {
        if !(1..=MAX).contains(&count) {
            return Err(io::Error::other(format!("{count} channels were requested")));
        }
        let directory = Directory::create()?;
        let listener = UnixListener::bind(directory.0.join("lanes"))?;
        Ok(Self { directory, listener, count })
    }

    /// The socket's path.
    pub fn path(&self) -> String {
        self.directory.0.join("lanes").display().to_string()
    }

    /// Waits for all channels.
    pub async fn channels(self) -> io::Result<Vec<UnixStream>> {
        in_time(self.accept()).await
    }

    /// Waits until all lanes have connected and sent their direction.
    pub async fn lanes(self) -> io::Result<Lanes> {
        in_time(async {
            let mut lanes = Lanes::default();
            for mut lane in self.accept().await? {
                match Direction::of(lane.read_u8().await?) {
                    Some(Direction::Up) => lanes.up.push(lane),
                    Some(Direction::Down) => lanes.down.push(lane),
                    None => {
                        let message = "a lane without a direction";
                        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                    }
                }
            }
            Ok(lanes)
        })
        .await
    }

    async fn accept(self) -> io::Result<Vec<UnixStream>> {
        let mut channels = Vec::with_capacity(self.count);
        while channels.len() < self.count {
            channels.push(self.listener.accept().await?.0);
        }
        Ok(channels)
    }
}

async fn in_time<T>(waiting: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(Duration::from_secs(LANES_WAIT_SECONDS), waiting)
        .await
        .map_err(|_| io::ErrorKind::TimedOut)?
}

impl Directory {
    fn create() -> io::Result<Self> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let parent = runtime.filter(|path| path.is_dir()).unwrap_or_else(|| "/tmp".into());
        let mut attempt = 0;
        loop {
            let path = parent.join(format!("dockbridge-{}-{attempt}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                // It belongs to a killed agent, or to another rendezvous.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => {
                    attempt += 1
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use striping::Bundle;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn the_socket_is_removed_when_all_lanes_have_connected() {
        let rendezvous = Rendezvous::listen(2).unwrap();
        let path = PathBuf::from(rendezvous.path());
        let (mut down, mut up) =
            (UnixStream::connect(&path).await.unwrap(), UnixStream::connect(&path).await.unwrap());
        for (lane, direction) in [(&mut down, Direction::Down), (&mut up, Direction::Up)] {
            lane.write_u8(direction.byte()).await.unwrap();
        }
        let lanes = rendezvous.lanes().await.unwrap();
        assert!(!path.parent().unwrap().exists());
        let (mut agent, mut client) = (
            Bundle::new(lanes.down, lanes.up, Duration::ZERO),
            Bundle::new([up], [down], Duration::ZERO),
        );
        let mut heard = [0; 8];
        client.write_all(b"by lanes").await.unwrap();
        client.flush().await.unwrap();
        agent.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"by lanes");
        agent.write_all(b"and back").await.unwrap();
        agent.flush().await.unwrap();
        client.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"and back");
    }

    #[tokio::test]
    async fn a_lane_without_a_direction_is_refused() {
        let rendezvous = Rendezvous::listen(1).unwrap();
        let mut lane = UnixStream::connect(rendezvous.path()).await.unwrap();
        lane.write_u8(0).await.unwrap();
        assert!(
            rendezvous.lanes().await.is_err_and(|error| error.kind() == io::ErrorKind::InvalidData)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_lanes_times_out() {
        let rendezvous = Rendezvous::listen(2).unwrap();
        let path = PathBuf::from(rendezvous.path());
        let _one = UnixStream::connect(&path).await.unwrap();
        assert!(
            rendezvous.channels().await.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
        );
        assert!(!path.parent().unwrap().exists());
    }

    #[tokio::test]
    async fn only_the_login_can_enter_the_directory() {
        use std::os::unix::fs::PermissionsExt as _;
        let rendezvous = Rendezvous::listen(1).unwrap();
        let path = PathBuf::from(rendezvous.path());
        let mode = std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[tokio::test]
    async fn several_rendezvous_coexist_and_their_size_is_limited() {
        let (one, other) = (Rendezvous::listen(1).unwrap(), Rendezvous::listen(MAX).unwrap());
        assert_ne!(one.path(), other.path());
        assert!(Rendezvous::listen(0).is_err());
        assert!(Rendezvous::listen(MAX + 1).is_err());
    }
}
