//! Small files of JSON in the profile's directory: what may be lost, and should not be without
//! need.

use std::io;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What it holds. `None` for one that is not there or was damaged.
pub fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Writes it. A reader sees the old file or the new one, never half of one.
pub fn write(path: &Path, value: &impl Serialize) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        platform::private_file::create_dir(folder)?;
    }
    platform::private_file::write(path, &serde_json::to_vec_pretty(value)?)
}
