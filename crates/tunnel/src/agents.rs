//! Where the agent's binaries are: in a directory, or compressed inside this program. This file
//! knows nothing of hosts and uploads.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// The source of the agent's binaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agents {
    /// A directory with `dockbridge-agent-<arch>` (as in `uname -m`) or `dockbridge-agent`.
    Directory(PathBuf),
    /// They are part of this program.
    Embedded(&'static [EmbeddedAgent]),
}

/// The agent for one architecture, as a part of this program.
#[derive(Clone, PartialEq, Eq)]
pub struct EmbeddedAgent {
    /// The architecture, as `uname -m` prints it.
    pub arch: &'static str,
    /// The binary, compressed by zstd.
    pub compressed: &'static [u8],
}

impl EmbeddedAgent {
    /// The binary. It fails only if the program was built with something else.
    pub fn unpack(&self) -> io::Result<Vec<u8>> {
        zstd::decode_all(self.compressed)
    }
}

impl From<PathBuf> for Agents {
    fn from(directory: PathBuf) -> Self {
        Self::Directory(directory)
    }
}

impl fmt::Display for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(directory) => directory.display().fmt(f),
            Self::Embedded(_) => f.write_str("this build of dockbridge"),
        }
    }
}

impl fmt::Debug for EmbeddedAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmbeddedAgent({}, {} bytes)", self.arch, self.compressed.len())
    }
}
