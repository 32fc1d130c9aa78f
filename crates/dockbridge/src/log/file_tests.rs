//! Tests of the rotated file.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::*;

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn contents(path: &Path, kept: u32) -> Vec<String> {
    let older = (1..=kept + 1).rev().map(|number| rotated(path, number));
    older.chain([path.to_owned()]).map(|path| read(&path)).collect()
}

#[test]
fn file_that_is_full_is_moved_aside_and_the_oldest_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("daemon.log");
    let mut log = LogFile::open(&path, Rotation { longest: 12, kept: 2 }).unwrap();
    for record in ["first line\n", "second line\n", "third line\n", "4th\n"] {
        log.write_all(record.as_bytes()).unwrap();
    }
    let expected = ["", "second line\n", "third line\n", "4th\n"];
    assert_eq!(contents(&path, 2), expected);
}

#[test]
fn all_files_are_their_owners_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("daemon.log");
    std::fs::write(&path, "of an older version\n").unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let mut log = LogFile::open(&path, Rotation { longest: 4, kept: 2 }).unwrap();
    for record in ["one\n", "two\n"] {
        log.write_all(record.as_bytes()).unwrap();
    }
    for path in [path.clone(), rotated(&path, 1), rotated(&path, 2)] {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
}

#[test]
fn file_that_the_user_deletes_begins_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("daemon.log");
    let mut log = LogFile::open(&path, Rotation::OF_THE_DAEMON).unwrap();
    log.write_all(b"gone\n").unwrap();
    std::fs::remove_file(&path).unwrap();
    log.write_all(b"here\n").unwrap();
    assert_eq!(read(&path), "here\n");
}

proptest! {
    /// What the files have is a suffix of what was written, in whole records; as long as the oldest
    /// file was not dropped, it is all of it. The total is bounded.
    #[test]
    fn nothing_is_lost_but_the_oldest_and_the_total_is_bounded(
        longest in 1_u64..200,
        kept in 1_u32..4,
        lengths in prop::collection::vec(0_usize..60, 1..60),
        reopened in 1_usize..20,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.log");
        let rotation = Rotation { longest, kept };
        let mut log = LogFile::open(&path, rotation).unwrap();
        let mut written = String::new();
        for (number, length) in lengths.iter().enumerate() {
            if number % reopened == 0 {
                log = LogFile::open(&path, rotation).unwrap();
            }
            let record = format!("{number}:{}\n", "x".repeat(*length));
            written.push_str(&record);
            log.write_all(record.as_bytes()).unwrap();
        }
        let files = contents(&path, kept);
        let all = files.concat();
        prop_assert!(written.ends_with(&all), "{all:?} of {written:?}");
        prop_assert!(all.len() == written.len() || !files[1].is_empty(), "dropped too early");
        prop_assert_eq!(&files[0], "", "one file too many");
        for file in &files {
            let records = file.lines().count();
            prop_assert!(file.len() as u64 <= longest || records == 1, "{file:?} is too long");
        }
    }
}
