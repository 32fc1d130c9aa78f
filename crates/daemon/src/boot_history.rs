//! How machines came up, in the profile's directory for the next daemon. It may be lost: unknown
//! times are measured again.

use std::path::Path;

use machine::BootHistory;

use crate::json_file;

/// The history in a profile's directory, which is updated there.
pub fn boot_history_of(directory: &Path) -> BootHistory {
    let path = directory.join("wakes.json");
    let known = json_file::read(&path).unwrap_or_default();
    BootHistory::new(known, move |history| {
        if let Err(error) = json_file::write(&path, history) {
            let path = path.display();
            tracing::warn!(%error, %path, "how machines come up could not be written");
        }
    })
}

#[cfg(test)]
mod tests {
    use machine::History;

    use super::*;

    #[test]
    fn damaged_file_is_ignored() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(boot_history_of(directory.path()).history(), History::default());
        std::fs::write(directory.path().join("wakes.json"), b"{\"wakes\": [{").unwrap();
        assert_eq!(boot_history_of(directory.path()).history(), History::default());
    }
}
