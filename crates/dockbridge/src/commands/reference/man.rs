//! docs/man: a manual page for each command, as clap knows it. Packages install them.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use clap::CommandFactory as _;

use crate::Arguments;

/// File names with their contents.
type Pages = BTreeMap<String, String>;

fn generated() -> Pages {
    let directory = tempfile::tempdir().unwrap();
    clap_mangen::generate_to(Arguments::command(), directory.path()).unwrap();
    pages(directory.path())
}

fn pages(directory: &Path) -> Pages {
    let mut pages = Pages::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        pages.insert(name, fs::read_to_string(entry.path()).unwrap());
    }
    pages
}

#[test]
fn manual_pages_are_up_to_date() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/man");
    let test = "-p dockbridge --bin dockbridge reference";
    testkit::compare_generated_files(&directory, &generated(), test);
    let committed = pages(&directory);
    assert!(committed.contains_key("dockbridge-server-ssh.1"), "{:?}", committed.keys());
    for (name, page) in committed {
        assert!(page.contains(".SH SYNOPSIS"), "{name} is no manual page");
    }
}
