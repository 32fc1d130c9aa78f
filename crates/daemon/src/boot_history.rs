//! How machines came up, kept in the profile's directory for the next daemon. It may be lost: what is
//! not known is measured again.

use std::path::Path;

use machine::Wakes;

use crate::json_file;

/// What a profile's directory tells, which is kept up to date there.
pub fn boot_history_of(directory: &Path) -> Wakes {
    let path = directory.join("wakes.json");
    let known = json_file::read(&path).unwrap_or_default();
    Wakes::new(known, move |history| {
        if let Err(error) = json_file::write(&path, history) {
            tracing::warn!(%error, path = %path.display(), "how machines come up could not be \
                kept");
        }
    })
}

#[cfg(test)]
mod tests {
    use machine::History;

    use super::*;

    #[test]
    fn a_file_that_was_damaged_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(boot_history_of(directory.path()).history(), History::default());
        std::fs::write(directory.path().join("wakes.json"), b"{\"wakes\": [{").unwrap();
        assert_eq!(boot_history_of(directory.path()).history(), History::default());
    }
}
