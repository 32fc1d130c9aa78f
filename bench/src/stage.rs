//! What every row needs: the machine's address, the link, how much to measure, and the files that
//! are sent.

use std::path::PathBuf;
use std::time::Duration;

use crate::link::Link;

/// Where and how much.
pub struct Stage {
    /// The machine.
    pub host: String,
    /// Private key that lets root in.
    pub key: PathBuf,
    /// The path to it.
    pub link: Link,
    /// For sockets; short, since a socket's path has 107 bytes at most.
    pub directory: PathBuf,
    /// Where [`crate::data`] put its files.
    pub data: PathBuf,
    /// Fewer repetitions and smaller transfers.
    pub quick: bool,
    /// Another revision that is measured beside this one.
    pub against: Option<Against>,
}

/// The program of another revision.
#[derive(Debug, Clone)]
pub struct Against {
    /// Its `dockbridge-bench`.
    pub program: PathBuf,
    /// Directory with its agent.
    pub agent: PathBuf,
}

impl Stage {
    /// For OpenSSH: none of this user's settings, and any host key.
    pub fn ssh_options(&self) -> Vec<String> {
        let settings = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ConnectTimeout=30",
            "IdentitiesOnly=yes",
        ];
        let mut options = vec![
            "-F".to_owned(),
            "/dev/null".to_owned(),
            "-i".to_owned(),
            self.key.display().to_string(),
        ];
        options
            .extend(settings.iter().flat_map(|setting| ["-o".to_owned(), (*setting).to_owned()]));
        options
    }

    /// This many, or a quarter of it with `--quick`.
    pub fn times(&self, full: usize) -> usize {
        if self.quick { full.div_ceil(4) } else { full }
    }

    /// Repetitions of a transfer; the median is reported.
    pub fn repetitions(&self) -> usize {
        match self.link {
            _ if self.quick => 1,
            Link::Plain => 7,
            Link::Wan30 | Link::Wan25 => 2,
        }
    }

    /// Samples of a first transfer, each with a tunnel of its own; the median is reported.
    pub fn tunnels(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    /// MiB of a first upload: some seconds of the link.
    pub fn first_upload_mib(&self) -> u64 {
        if self.link == Link::Wan25 { 32 } else { 256 }
    }

    /// MiB of a first download.
    pub fn first_download_mib(&self) -> u64 {
        if self.link == Link::Wan25 { 64 } else { 256 }
    }

    /// MiB to send up: some seconds of the link, so that its beginning does not count for much.
    pub fn upload_mib(&self) -> u64 {
        match (self.link, self.quick) {
            (Link::Plain, false) => 1024,
            (Link::Plain, true) | (Link::Wan30, false) => 512,
            (Link::Wan30, true) => 256,
            (Link::Wan25, false) => 32,
            (Link::Wan25, true) => 16,
        }
    }

    /// MiB to fetch.
    pub fn download_mib(&self) -> u64 {
        if self.link == Link::Wan25 { 2 * self.upload_mib() } else { self.upload_mib() }
    }

    /// MiB of an image or of a source tree.
    pub fn file_mib(&self) -> u64 {
        if self.link == Link::Wan25 { 24 } else { 256 }
    }

    /// How long long streams are watched.
    pub fn watch(&self) -> Duration {
        Duration::from_secs(if self.quick { 4 } else { 6 })
    }
}
