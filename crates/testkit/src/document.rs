//! Documents and parts of documents that are generated from the program: compared by tests, and
//! written by the same tests where the environment asks for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Set to write the generated parts instead of comparing them.
const UPDATE: &str = "DOCKBRIDGE_UPDATE_DOCS";

/// Held while a document is read and written: two tests may own a part each of the same one.
static UPDATING: Mutex<()> = Mutex::new(());

/// Compares the part of a document between its two markers with what it has to be. `test` are the
/// arguments of `cargo test` that run only the caller.
///
/// # Panics
///
/// If the part differs, with the command that updates it; or if the document has no such part.
#[track_caller]
pub fn compare_generated(document: &Path, part: &str, generated: &str, test: &str) {
    let (begin, end) = (format!("<!-- begin: {part} -->\n"), format!("<!-- end: {part} -->\n"));
    let _one_at_a_time = UPDATING.lock().unwrap_or_else(PoisonError::into_inner);
    let text = std::fs::read_to_string(document)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", document.display()));
    let parts = text.split_once(&begin).and_then(|(before, rest)| {
        rest.split_once(&end).map(|(written, after)| (before, written, after))
    });
    let Some((before, written, after)) = parts else {
        panic!("{} has no part between {begin} and {end}", document.display())
    };
    if std::env::var_os(UPDATE).is_some() {
        let updated = format!("{before}{begin}{generated}{end}{after}");
        std::fs::write(document, updated).unwrap();
        return;
    }
    equal(document, written, generated, test);
}

/// Compares a whole file with what it has to be, as [`compare_generated`] does for a part of one.
///
/// # Panics
///
/// If the file differs or does not exist, with the command that updates it.
#[track_caller]
pub fn compare_generated_file(file: &Path, generated: &str, test: &str) {
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(file, generated).unwrap();
        return;
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    equal(file, &written, generated, test);
}

#[track_caller]
fn equal(document: &Path, written: &str, generated: &str, test: &str) {
    let first = written.lines().zip(generated.lines()).find(|(one, other)| one != other);
    assert!(
        written == generated,
        "{} is out of date ({}); update it with: {UPDATE}=1 cargo test {test}",
        document.display(),
        first.map_or_else(
            || "one has more lines".to_owned(),
            |(is, has_to)| format!("it has\n  {is}\nin place of\n  {has_to}\n"),
        ),
    );
}

/// Compares the files of a directory with what they have to be: file names with contents. `test`
/// are the arguments of `cargo test` that run only the caller.
///
/// # Panics
///
/// If a file differs, is missing or is one too many, with the command that updates the directory.
#[track_caller]
pub fn compare_generated_files(directory: &Path, files: &BTreeMap<String, String>, test: &str) {
    if std::env::var_os(UPDATE).is_some() {
        std::fs::remove_dir_all(directory).ok();
        std::fs::create_dir_all(directory).unwrap();
        for (name, content) in files {
            std::fs::write(directory.join(name), content).unwrap();
        }
        return;
    }
    let mut found: Vec<String> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.retain(|name| {
        files.get(name) != std::fs::read_to_string(directory.join(name)).ok().as_ref()
    });
    found.extend(files.keys().filter(|name| !directory.join(name).exists()).cloned());
    assert!(
        found.is_empty(),
        "{} is out of date ({}); update it with: {UPDATE}=1 cargo test {test}",
        directory.display(),
        found.join(", "),
    );
}

/// A paragraph in lines of at most 100 columns; each line but the first begins with `indent`.
pub fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= 100 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_missing_and_superfluous_files_are_named() {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in [("same", "1"), ("changed", "old"), ("superfluous", "3")] {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        let files = [("same", "1"), ("changed", "new"), ("missing", "4")]
            .map(|(name, content)| (name.to_owned(), content.to_owned()))
            .into();
        let failure = std::panic::catch_unwind(|| {
            compare_generated_files(directory.path(), &files, "-p it");
        });
        let message = *failure.unwrap_err().downcast::<String>().unwrap();
        for name in ["changed", "missing", "superfluous", "=1 cargo test -p it"] {
            assert!(message.contains(name), "{name}: {message}");
        }
        assert!(!message.contains("same"), "{message}");
    }

    #[test]
    fn outdated_part_fails_with_the_command_that_updates_it() {
        let directory = tempfile::tempdir().unwrap();
        let document = directory.path().join("a.md");
        std::fs::write(&document, "x\n<!-- begin: p -->\nold\n<!-- end: p -->\ny\n").unwrap();
        compare_generated(&document, "p", "old\n", "-p it");
        let failure =
            std::panic::catch_unwind(|| compare_generated(&document, "p", "new\n", "-p it"));
        let message = failure.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("DOCKBRIDGE_UPDATE_DOCS=1 cargo test -p it"), "{message}");
    }

    #[test]
    fn outdated_or_missing_file_fails() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.json");
        let fails = |generated: &str| {
            std::panic::catch_unwind(|| compare_generated_file(&file, generated, "-p it")).is_err()
        };
        assert!(fails("{}\n"));
        std::fs::write(&file, "{}\n").unwrap();
        assert_eq!([fails("{}\n"), fails("[]\n")], [false, true]);
    }
}
