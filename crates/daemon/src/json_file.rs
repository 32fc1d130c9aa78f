//! Small JSON files in the profile's directory. They may be lost, and should not be without need.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The value in the file; `None` if the file is missing or damaged.
pub fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Writes the file. A reader sees the old file or the new one, never half of one.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        platform::private_file::create_dir(directory)?;
    }
    platform::private_file::write(path, &serde_json::to_vec_pretty(value)?)
}
