//! Makes the agents a part of the program: those in the directory that the environment variable
//! `DOCKBRIDGE_EMBED_AGENTS` names, as `scripts/build --release` sets it. Without the variable the
//! program carries none and looks for them in a directory.

#![allow(clippy::print_stdout, reason = "cargo reads standard output")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const VARIABLE: &str = "DOCKBRIDGE_EMBED_AGENTS";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let mut list = String::new();
    if let Some(directory) = env::var_os(VARIABLE) {
        for (arch, file) in compressed_agents(Path::new(&directory))? {
            println!("cargo::rerun-if-changed={}", file.display());
            let name = format!("agent-{arch}.zst");
            fs::copy(&file, out.join(&name))?;
            let bytes = format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}\"))");
            let _ = writeln!(list, "EmbeddedAgent {{ arch: {arch:?}, compressed: {bytes} }},");
        }
    }
    fs::write(out.join("agents.rs"), format!("&[\n{list}]\n"))
}

/// Each architecture with its file, `dockbridge-agent-ARCH.zst`, in the order of names, so that
/// builds are reproducible.
fn compressed_agents(directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let arch = name
            .to_str()
            .and_then(|name| name.strip_prefix("dockbridge-agent-")?.strip_suffix(".zst"));
        found.extend(arch.map(|arch| (arch.to_owned(), entry.path())));
    }
    found.sort();
    match found.is_empty() {
        true => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("{VARIABLE}: {} contains no dockbridge-agent-ARCH.zst", directory.display()),
        )),
        false => Ok(found),
    }
}
