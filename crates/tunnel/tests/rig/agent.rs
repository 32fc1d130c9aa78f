//! The agent that the tests send: the one of this host, or the one for arm64 under emulation.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use testkit::{Emulation, NoEmulation};

/// With `DOCKBRIDGE_TEST_EMULATED=1` the agent of these tests is the one for arm64, emulated.
pub fn is_emulated() -> bool {
    std::env::var_os("DOCKBRIDGE_TEST_EMULATED").is_some_and(|value| value == "1")
}

/// The architecture of the agent, as `uname -m` prints it.
pub fn arch() -> &'static str {
    if is_emulated() { "aarch64" } else { std::env::consts::ARCH }
}

// Host programs: nsenter qemu-aarch64-static unshare
/// Where the agent runs; `None` for this host as it is.
pub fn emulation() -> Result<Option<&'static Emulation>, &'static NoEmulation> {
    static AGENT: OnceLock<Result<PathBuf, NoEmulation>> = OnceLock::new();
    if !is_emulated() {
        return Ok(None);
    }
    AGENT.get_or_init(|| testkit::arm64_agent(&agent_directory())).as_ref()?;
    Emulation::arm64().map(Some)
}

/// The directory of the agent, built once, or `DOCKBRIDGE_AGENT_DIR`.
pub fn agent_directory() -> PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        if let Some(directory) = std::env::var_os("DOCKBRIDGE_AGENT_DIR") {
            return directory.into();
        }
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "-p", "dockbridge-agent"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.unwrap().success(), "the agent does not build");
        // This test's program is in <target>/debug/deps.
        let test = std::env::current_exe().unwrap();
        let directory = test.parent().and_then(Path::parent).unwrap().to_path_buf();
        assert!(directory.join("dockbridge-agent").exists(), "no agent in {}", directory.display());
        directory
    };
    DIRECTORY.get_or_init(build).clone()
}
