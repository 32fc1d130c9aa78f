//! Data that was acknowledged as written, and whether it is there: as a container reads it, and on
//! the volume when no machine exists any more.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::process::Command;

use crate::rig::{Stage, run};

/// Path of docker's named volume on the disk.
const DIRECTORY: &str = "/docker/volumes/keep/_data";

/// Numbered files, each with a line of its own.
#[derive(Debug, Default)]
pub struct Written {
    acknowledged: BTreeMap<u32, String>,
    tried: u32,
}

impl Written {
    /// Makes a container write the next file and sync it. Once docker reports success, the data
    /// must survive.
    pub async fn write(&mut self, stage: &Stage, seed: u64) -> bool {
        self.tried += 1;
        let (number, line) = (self.tried, format!("{} of {seed}", self.tried));
        let script = format!("echo {line} >/keep/{number} && sync /keep/{number} && sync /keep");
        let ran =
            stage.docker(&["run", "--rm", "-v", "keep:/keep", "tiny", "sh", "-c", &script]).await;
        if ran.status.success() {
            self.acknowledged.insert(number, line);
        }
        ran.status.success()
    }

    /// Fails if a container cannot see all data; false if none can read now.
    pub async fn is_read(&self, stage: &Stage) -> bool {
        let script = "for file in /keep/*; do [ -f \"$file\" ] && cat \"$file\"; done; true";
        let ran =
            stage.docker(&["run", "--rm", "-v", "keep:/keep", "tiny", "sh", "-c", script]).await;
        if !ran.status.success() {
            return false;
        }
        self.is_all_in(&ran.stdout, "read by a container");
        true
    }

    /// Examines a copy of the disk, repaired like a machine does at its start.
    pub async fn is_on(&self, image: &Path) {
        let copy = image.with_extension("copy");
        tool("cp", &["--sparse=always", "--reflink=auto", path(image), path(&copy)]).await;
        let mut repair = Command::new("e2fsck");
        repair.args(["-fp", path(&copy)]);
        let repaired = run(repair, "").await;
        assert!(
            repaired.status.code().is_some_and(|code| code <= 1),
            "the file system cannot be repaired by itself: {repaired}"
        );
        let questions: String =
            self.acknowledged.keys().map(|number| format!("cat {DIRECTORY}/{number}\n")).collect();
        let mut look = Command::new("debugfs");
        look.args(["-f", "-", path(&copy)]);
        let output = run(look, &questions).await;
        self.is_all_in(&output.succeeded().stdout, "on the volume");
        std::fs::remove_file(&copy).unwrap();
    }

    pub fn count(&self) -> usize {
        self.acknowledged.len()
    }

    fn is_all_in(&self, text: &str, place: &str) {
        let found: Vec<&str> = text.lines().collect();
        let lost: Vec<&String> =
            self.acknowledged.values().filter(|line| !found.contains(&line.as_str())).collect();
        assert!(lost.is_empty(), "acknowledged and not {place}: {lost:?}");
    }
}

async fn tool(program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.args(arguments);
    run(command, "").await.succeeded();
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
