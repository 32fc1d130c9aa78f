//! How machines came up, kept in the profile's folder for the next daemon. It may be lost: what is
//! not known is measured again.

use std::path::Path;

use machine::BootHistory;

use crate::kept_file;

/// What a profile's folder tells, which is kept up to date there.
pub fn wakes_of(folder: &Path) -> BootHistory {
    let path = folder.join("wakes.json");
    let known = kept_file::read(&path).unwrap_or_default();
    BootHistory::new(known, move |history| {
        if let Err(error) = kept_file::write(&path, history) {
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
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(wakes_of(folder.path()).history(), History::default());
        std::fs::write(folder.path().join("wakes.json"), b"{\"wakes\": [{").unwrap();
        assert_eq!(wakes_of(folder.path()).history(), History::default());
    }
}
