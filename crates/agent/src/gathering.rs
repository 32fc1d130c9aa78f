//! A socket that lives only until all channels that it was made for have connected.
//!
//! The folder that it lies in is the login's alone: who reaches the socket has logged in.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_proto::{Direction, LANES_WAIT_SECONDS};
use tokio::io::AsyncReadExt as _;
use tokio::net::{UnixListener, UnixStream};

/// More lanes than a client may ask for.
const MOST: usize = 64;

pub struct Gathering {
    folder: Folder,
    listener: UnixListener,
    count: usize,
}

/// Lanes by the way they go.
#[derive(Default)]
pub struct Directed {
    /// What the client sends.
    pub up: Vec<UnixStream>,
    /// What it receives.
    pub down: Vec<UnixStream>,
}

/// Removed with what is in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is empty and harmless.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Gathering {
    /// Listens in a new folder.
    pub fn begin(count: usize) -> io::Result<Self> {
        if !(1..=MOST).contains(&count) {
            return Err(io::Error::other(format!("{count} lanes were asked for")));
        }
        let folder = Folder::create()?;
        let listener = UnixListener::bind(folder.0.join("lanes"))?;
        Ok(Self { folder, listener, count })
    }

    /// Where lanes connect to.
    pub fn path(&self) -> String {
        self.folder.0.join("lanes").display().to_string()
    }

    /// Waits for all of them.
    pub async fn all(self) -> io::Result<Vec<UnixStream>> {
        in_time(self.accept()).await
    }

    /// Waits until all of them have said which way they go.
    pub async fn directed(self) -> io::Result<Directed> {
        in_time(async {
            let mut directed = Directed::default();
            for mut lane in self.accept().await? {
                match Direction::of(lane.read_u8().await?) {
                    Some(Direction::Up) => directed.up.push(lane),
                    Some(Direction::Down) => directed.down.push(lane),
                    None => {
                        return Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            "a lane that \
                        does not say which way it goes",
                        ));
                    }
                }
            }
            Ok(directed)
        })
        .await
    }

    async fn accept(self) -> io::Result<Vec<UnixStream>> {
        let mut lanes = Vec::with_capacity(self.count);
        while lanes.len() < self.count {
            lanes.push(self.listener.accept().await?.0);
        }
        Ok(lanes)
    }
}

async fn in_time<T>(gathering: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(Duration::from_secs(LANES_WAIT_SECONDS), gathering)
        .await
        .map_err(|_| io::ErrorKind::TimedOut)?
}

impl Folder {
    fn create() -> io::Result<Self> {
        let below = match std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|folder| folder.is_dir())
        {
            Some(folder) => folder,
            None => Path::new("/tmp").to_path_buf(),
        };
        let mut attempt = 0;
        loop {
            let folder = below.join(format!("dockbridge-{}-{attempt}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => return Ok(Self(folder)),
                // Of an agent that was killed, or of another bundle.
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
    async fn the_socket_is_gone_when_all_lanes_have_come() {
        let gathering = Gathering::begin(2).unwrap();
        let path = PathBuf::from(gathering.path());
        let (mut down, mut up) =
            (UnixStream::connect(&path).await.unwrap(), UnixStream::connect(&path).await.unwrap());
        for (lane, direction) in [(&mut down, Direction::Down), (&mut up, Direction::Up)] {
            lane.write_u8(direction.byte()).await.unwrap();
        }
        let directed = gathering.directed().await.unwrap();
        assert!(!path.parent().unwrap().exists());
        let (mut ours, mut theirs) = (
            Bundle::new(directed.down, directed.up, Duration::ZERO),
            Bundle::new([up], [down], Duration::ZERO),
        );
        let mut heard = [0; 8];
        theirs.write_all(b"by lanes").await.unwrap();
        theirs.flush().await.unwrap();
        ours.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"by lanes");
        ours.write_all(b"and back").await.unwrap();
        ours.flush().await.unwrap();
        theirs.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"and back");
    }

    #[tokio::test]
    async fn a_lane_that_says_no_way_is_refused() {
        let gathering = Gathering::begin(1).unwrap();
        let mut lane = UnixStream::connect(gathering.path()).await.unwrap();
        lane.write_u8(0).await.unwrap();
        assert!(
            gathering
                .directed()
                .await
                .is_err_and(|error| error.kind() == io::ErrorKind::InvalidData)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn lanes_that_do_not_come_are_not_waited_for_for_ever() {
        let gathering = Gathering::begin(2).unwrap();
        let path = PathBuf::from(gathering.path());
        let _one = UnixStream::connect(&path).await.unwrap();
        assert!(gathering.all().await.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut));
        assert!(!path.parent().unwrap().exists());
    }

    #[tokio::test]
    async fn nobody_but_the_login_reaches_the_socket() {
        use std::os::unix::fs::PermissionsExt as _;
        let gathering = Gathering::begin(1).unwrap();
        let path = PathBuf::from(gathering.path());
        let mode = std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[tokio::test]
    async fn several_gather_at_once_and_only_as_many_lanes_as_there_may_be() {
        let (one, other) = (Gathering::begin(1).unwrap(), Gathering::begin(MOST).unwrap());
        assert_ne!(one.path(), other.path());
        assert!(Gathering::begin(0).is_err());
        assert!(Gathering::begin(MOST + 1).is_err());
    }
}
