//! The data of a volume: a sparse file in the state directory, and the loop device that connects
//! it to a machine. Does not know how a machine sees it.

use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::tool::{During, failure, run};
use crate::hypervisor::{Failure, Format};

/// The saved record of a volume.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// Where it is attached.
    pub(super) server: Option<u64>,
}

/// The files of one volume.
#[derive(Debug, Clone)]
pub(super) struct Volume {
    pub(super) id: u64,
    directory: PathBuf,
}

impl Volume {
    pub(super) fn of(state: &Path, id: u64) -> Volume {
        Volume { id, directory: state.join("volumes") }
    }

    fn image(&self) -> PathBuf {
        self.directory.join(format!("{}.img", self.id))
    }

    fn note(&self) -> PathBuf {
        self.directory.join(format!("{}.json", self.id))
    }

    /// Creates it; an existing one stays as it is. The file gets its name only when the file
    /// system is complete.
    pub(super) async fn make(&self, size: u64, format: Option<Format>) -> Result<(), Failure> {
        if self.image().exists() {
            return Ok(());
        }
        std::fs::create_dir_all(&self.directory)
            .during(format!("make {}", self.directory.display()))?;
        let raw = self.directory.join(format!("{}.new", self.id));
        let file = File::create(&raw).during("make a volume")?;
        file.set_len(bytes(size)).during("make a volume")?;
        drop(file);
        let path = raw.display().to_string();
        match format {
            None => {}
            Some(Format::Ext4) => {
                run(
                    "format a volume",
                    "mkfs.ext4",
                    &["-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard", &path],
                )
                .await?;
            }
            Some(Format::Xfs) => {
                run("format a volume", "mkfs.xfs", &["-q", "-f", &path]).await?;
            }
        }
        std::fs::rename(&raw, self.image()).during("make a volume")
    }

    /// Lengthens the file; a loop device on it must be refreshed.
    pub(super) fn grow(&self, size: u64) -> Result<(), Failure> {
        let file = File::options().write(true).open(self.image()).during("open the volume")?;
        let now = file.metadata().during("look at the volume")?.len();
        if bytes(size) < now {
            return Err(failure("resize a volume", "it cannot shrink"));
        }
        file.set_len(bytes(size)).during("resize the volume")
    }

    pub(super) fn remove(&self) -> Result<(), Failure> {
        for path in [self.image(), self.note(), self.directory.join(format!("{}.new", self.id))] {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(failure("remove the volume", error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn write(&self, record: &Record) -> Result<(), Failure> {
        let text = serde_json::to_vec(record).during("save the volume's record")?;
        std::fs::write(self.note(), text).during("save the volume's record")
    }

    /// Attaches a loop device to it.
    pub(super) async fn open(&self) -> Result<Loop, Failure> {
        Loop::over(&self.image(), None).await
    }
}

/// The volumes in the state directory.
pub(super) fn records(state: &Path) -> Vec<(u64, Record)> {
    let files = std::fs::read_dir(state.join("volumes")).into_iter().flatten().flatten();
    let volume = |id: u64| {
        let note = std::fs::read(Volume::of(state, id).note()).ok();
        (id, note.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default())
    };
    files
        .filter_map(|file| {
            file.file_name().to_str()?.strip_suffix(".img")?.parse().ok().map(volume)
        })
        .collect()
}

/// A loop device that lives as long as this value, or while a machine has it mounted.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) number: u32,
    pub(super) path: PathBuf,
    _device: File,
}

impl Loop {
    /// Attaches one to a file, or to a part of it: offset and length in bytes.
    pub(super) async fn over(image: &Path, part: Option<(u64, u64)>) -> Result<Loop, Failure> {
        let mut arguments = vec!["--find".to_owned(), "--show".to_owned()];
        if let Some((offset, length)) = part {
            arguments.extend([format!("--offset={offset}"), format!("--sizelimit={length}")]);
        }
        arguments.push(image.display().to_string());
        let said = run("open a loop device", "losetup", &arguments).await?;
        let path = PathBuf::from(said.trim());
        let device = File::open(&path).during(format!("open {}", path.display()))?;
        // From here the kernel removes the device when it is no longer open, whatever happens to
        // this process.
        run("hand the loop device to the kernel", "losetup", &[Path::new("--detach"), &path])
            .await?;
        let number = path
            .to_string_lossy()
            .trim_start_matches("/dev/loop")
            .parse()
            .during("read the number of the loop device")?;
        Ok(Loop { number, path, _device: device })
    }

    /// Updates it to the new length of its file.
    pub(super) async fn refresh(&self) -> Result<(), Failure> {
        run(
            "update the size of the loop device",
            "losetup",
            &[Path::new("--set-capacity"), &self.path],
        )
        .await
        .map(drop)
    }
}

fn bytes(gibibytes: u64) -> u64 {
    gibibytes.saturating_mul(1 << 30)
}
