//! A server's disk as a block device: a sparse file, with a loop device on it where one is needed.
//! Most servers have none, because their disk is a directory. It is created when the rescue system
//! boots, and is the server's disk once something is written to it. Knows nothing of machines.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::tool::{During, run};
use super::volume::Loop;
use crate::hypervisor::Failure;

/// The type of a root partition on x86-64 and on arm64 (Discoverable Partitions Specification).
const ROOT_TYPES: &[&str] =
    &["4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", "B921B045-1DF0-41C3-AF44-4C6F280D3FAE"];

/// File systems that may contain a Linux root.
const ROOT_FILE_SYSTEMS: &[&str] = &["ext4", "xfs", "btrfs"];

/// Unit of `stat`'s block count, in bytes.
const STAT_BLOCK: u64 = 512;

#[derive(Debug, Clone)]
pub(super) struct RawDisk {
    path: PathBuf,
}

impl RawDisk {
    pub(super) fn at(path: PathBuf) -> RawDisk {
        RawDisk { path }
    }

    /// Whether something was written to it.
    pub(super) fn is_written(&self) -> bool {
        self.weight() > 0
    }

    /// Bytes that are not holes.
    pub(super) fn weight(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.blocks() * STAT_BLOCK)
    }

    /// Creates it, or lengthens it, to a size in GB.
    pub(super) fn provide(&self, size: u64) -> Result<(), Failure> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&self.path)
            .during("make the disk")?;
        let length = size.saturating_mul(1_000_000_000);
        if file.metadata().during("look at the disk")?.len() < length {
            file.set_len(length).during("make the disk")?;
        }
        Ok(())
    }

    /// Copies it, holes as holes; does nothing if it does not exist.
    pub(super) async fn copy_to(&self, to: &RawDisk) -> Result<(), Failure> {
        if !self.path.exists() {
            return Ok(());
        }
        let args = [
            Path::new("--reflink=auto"),
            Path::new("--sparse=always"),
            Path::new("-T"),
            &self.path,
            &to.path,
        ];
        run("copy a disk", "cp", &args).await.map(drop)
    }

    /// A loop device on all of it.
    pub(super) async fn open(&self) -> Result<Loop, Failure> {
        Loop::over(&self.path, None).await
    }

    /// A loop device on the file system that may contain a Linux, if there is one: the whole disk,
    /// a root partition, or the largest suitable one.
    pub(super) async fn open_root(&self) -> Result<Option<Loop>, Failure> {
        for part in self.parts().await {
            if self.has_root_file_system(part).await {
                return Loop::over(&self.path, part).await.map(Some);
            }
        }
        Ok(None)
    }

    /// Candidates, best first. Without a partition table it is the whole disk.
    async fn parts(&self) -> Vec<Option<(u64, u64)>> {
        #[derive(Deserialize)]
        struct Output {
            partitiontable: Table,
        }
        #[derive(Deserialize)]
        struct Table {
            #[serde(default = "usual_sector")]
            sectorsize: u64,
            #[serde(default)]
            partitions: Vec<Partition>,
        }
        #[derive(Deserialize)]
        struct Partition {
            start: u64,
            size: u64,
            #[serde(default, rename = "type")]
            kind: String,
        }
        fn usual_sector() -> u64 {
            512
        }
        let json = run("read the partition table", "sfdisk", &[Path::new("--json"), &self.path])
            .await
            .ok();
        let Some(Output { partitiontable: table }) =
            json.and_then(|json| serde_json::from_str(&json).ok())
        else {
            return vec![None];
        };
        let mut partitions = table.partitions;
        partitions.sort_by_key(|part| {
            (!ROOT_TYPES.contains(&part.kind.as_str()), std::cmp::Reverse(part.size))
        });
        partitions
            .into_iter()
            .map(|part| Some((part.start * table.sectorsize, part.size * table.sectorsize)))
            .collect()
    }

    async fn has_root_file_system(&self, part: Option<(u64, u64)>) -> bool {
        let mut arguments =
            vec!["--probe".to_owned(), "--match-tag=TYPE".to_owned(), "--output=value".to_owned()];
        if let Some((offset, length)) = part {
            arguments.extend([format!("--offset={offset}"), format!("--size={length}")]);
        }
        arguments.push(self.path.display().to_string());
        // blkid fails if it finds nothing.
        let found = run("look for a file system", "blkid", &arguments).await.unwrap_or_default();
        ROOT_FILE_SYSTEMS.contains(&found.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(program: &str, arguments: &[&str]) {
        let status = std::process::Command::new(program)
            .args(arguments)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .status()
            .unwrap();
        assert!(status.success(), "{program} {arguments:?}");
    }

    #[tokio::test]
    async fn a_root_is_found_on_the_whole_disk_and_in_the_right_partition() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.img");
        let disk = RawDisk::at(path.clone());
        assert!(!disk.is_written());
        disk.provide(1).unwrap();
        assert!(!disk.is_written(), "a fresh disk is all hole");
        let name = path.to_str().unwrap();
        run("mkfs.ext4", &["-q", "-F", name]);
        assert!(disk.is_written());
        assert_eq!(disk.parts().await, [None]);
        assert!(disk.has_root_file_system(None).await);

        run("truncate", &["-s", "0", name]);
        disk.provide(1).unwrap();
        let table = directory.path().join("table");
        let root = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709";
        std::fs::write(
            &table,
            format!(
                "label: gpt\nsize=1MiB, \
                 type=21686148-6449-6E6F-744E-656564454649\nsize=600MiB\nsize=200MiB, type={root}\n"
            ),
        )
        .unwrap();
        run("sh", &["-c", &format!("sfdisk -q {name} <{}", table.display())]);
        let parts = disk.parts().await;
        assert_eq!(
            parts.iter().map(|part| part.unwrap().1 >> 20).collect::<Vec<_>>(),
            [200, 600, 1],
            "the root's type first, then by size"
        );
        let (offset, _) = parts[1].unwrap();
        run("mkfs.ext4", &["-q", "-F", "-E", &format!("offset={offset}"), name, "300M"]);
        assert!(!disk.has_root_file_system(parts[0]).await);
        assert!(disk.has_root_file_system(parts[1]).await);
    }
}
