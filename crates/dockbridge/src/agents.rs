//! Where this program has the agent's binaries from: the directory that the environment names, the
//! program itself, or a directory beside it that `scripts/build` fills. Releases are single files
//! that carry the agents of all architectures.

use std::fs;
use std::path::{Path, PathBuf};

use tunnel::{Agents, EmbeddedAgent};

/// What the build put into the program, see build.rs.
static EMBEDDED: &[EmbeddedAgent] = include!(concat!(env!("OUT_DIR"), "/agents.rs"));

/// Where the agent is.
pub fn agents() -> Agents {
    if let Some(directory) = std::env::var_os("DOCKBRIDGE_AGENT_DIR") {
        return Agents::Directory(directory.into());
    }
    if !EMBEDDED.is_empty() {
        return Agents::Embedded(EMBEDDED);
    }
    let executable = std::env::current_exe().and_then(fs::canonicalize).unwrap_or_default();
    let beside = executable.parent().unwrap_or(Path::new(".")).to_owned();
    let library = beside.join("../lib/dockbridge");
    Agents::Directory(if holds_agent(&library) { library } else { beside })
}

/// Whether there is an agent for any architecture.
pub fn are_there(agents: &Agents) -> bool {
    match agents {
        Agents::Directory(directory) => holds_agent(directory),
        Agents::Embedded(agents) => !agents.is_empty(),
    }
}

/// The directory of the agents, for the environment of a child process that is the same program.
pub fn directory() -> Option<PathBuf> {
    match agents() {
        Agents::Directory(directory) => Some(directory),
        Agents::Embedded(_) => None,
    }
}

fn holds_agent(directory: &Path) -> bool {
    let names = fs::read_dir(directory).into_iter().flatten().flatten();
    names
        .into_iter()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("dockbridge-agent"))
}
