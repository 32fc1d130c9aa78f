//! The files that are sent: an image's layer that cannot be compressed, and a source tree that can.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Sizes that rows ask for, in MiB.
pub const SIZES: [u64; 2] = [24, 256];

/// A tar archive of one file of noise.
pub fn noise(directory: &Path, mib: u64) -> PathBuf {
    directory.join(format!("noise{mib}.tar"))
}

/// The beginning of a tar archive of sources.
pub fn sources(directory: &Path, mib: u64) -> PathBuf {
    directory.join(format!("sources{mib}.tar"))
}

/// An image whose container writes a line a second.
pub fn logger(directory: &Path) -> PathBuf {
    directory.join("logger.tar")
}

/// Makes them all.
pub fn make(directory: &Path) -> Result<()> {
    let work = directory.join("work");
    std::fs::create_dir_all(work.join("bin"))?;
    std::fs::copy("/bin/busybox", work.join("bin/busybox")).context("/bin/busybox")?;
    for name in ["sh", "sleep", "echo"] {
        std::os::unix::fs::symlink("busybox", work.join("bin").join(name))?;
    }
    tar(&work, "bin", &logger(directory))?;
    for mib in SIZES {
        let random = File::open("/dev/urandom")?.take(mib << 20);
        io::copy(&mut { random }, &mut File::create(work.join("noise"))?)?;
        tar(&work, "noise", &noise(directory, mib))?;
    }
    std::fs::remove_dir_all(&work)?;
    for mib in SIZES {
        copy_sources(&sources(directory, mib), mib << 20)?;
    }
    Ok(())
}

fn tar(directory: &Path, what: &str, into: &Path) -> Result<()> {
    let made =
        Command::new("tar").arg("-C").arg(directory).arg("-cf").arg(into).arg(what).status()?;
    ensure!(made.success(), "tar ended with {made}");
    Ok(())
}

/// Like a build context: the sources of the crates that this program was built of, then what this
/// host has of that kind.
fn copy_sources(into: &Path, length: u64) -> Result<()> {
    let cargo = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let mut places = vec![
        PathBuf::from("/usr/include"),
        PathBuf::from("/usr/lib/python3"),
        PathBuf::from("/usr/share/perl"),
    ];
    if let Some(cargo) = cargo {
        places.insert(0, cargo.join("registry/src"));
    }
    places.retain(|place| place.is_dir());
    ensure!(!places.is_empty(), "there is no source tree on this host");
    let mut file = File::create(into)?;
    let mut left = length;
    // Where that is too little it is repeated, at a distance that no compressor looks back.
    while left > 0 {
        let mut tar = Command::new("tar");
        let mut tar =
            tar.arg("-cf-").args(&places).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let copied = tar
            .stdout
            .take()
            .map(|out| io::copy(&mut out.take(left), &mut file))
            .transpose()?
            .unwrap_or(0);
        let _ = tar.kill();
        tar.wait()?;
        ensure!(copied > 0, "no sources could be read");
        left -= copied;
    }
    file.flush()?;
    Ok(())
}
