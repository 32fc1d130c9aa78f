//! Tests that cannot run on this host pass over, with a reason. Each is recorded in the file that
//! `DOCKBRIDGE_TEST_PASSED_OVER` names, because a test runner shows no output of a test that
//! succeeds. With `DOCKBRIDGE_TEST_STRICT=1` such a test fails, unless
//! `scripts/lib/passed-over.txt` lists it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

/// Tests that may be passed over even if that is strict: a name and its reason per line.
const PERMITTED: &str = include_str!("../../../scripts/lib/passed-over.txt");

/// Passes a test over, with a reason in the form of `format!`. The value is `()`, so that a test
/// can end with `return testkit::passed_over!("no IPv6 on this host")`.
#[macro_export]
macro_rules! passed_over {
    ($($reason:tt)*) => {
        $crate::pass_over(
            concat!(env!("CARGO_PKG_NAME"), "::", env!("CARGO_CRATE_NAME")),
            &format!($($reason)*),
        )
    };
}

/// Records that a test runs without one of its parts, with the reason. It never fails: the rest of
/// the test has something to say.
#[macro_export]
macro_rules! passed_over_in_part {
    ($($reason:tt)*) => {
        $crate::pass_over_in_part(
            concat!(env!("CARGO_PKG_NAME"), "::", env!("CARGO_CRATE_NAME")),
            &format!($($reason)*),
        )
    };
}

/// [`passed_over_in_part!`] for a test binary.
pub fn pass_over_in_part(binary: &str, reason: &str) {
    eprintln!("passed over in part: {reason}");
    if let Some(file) = std::env::var_os("DOCKBRIDGE_TEST_PASSED_OVER") {
        record(Path::new(&file), &test_name(binary), &format!("in part: {reason}"));
    }
}

/// [`passed_over!`] for a test binary, such as `dockbridge::e2e`.
pub fn pass_over(binary: &str, reason: &str) {
    let name = test_name(binary);
    eprintln!("passed over: {reason}");
    if let Some(file) = std::env::var_os("DOCKBRIDGE_TEST_PASSED_OVER") {
        record(Path::new(&file), &name, reason);
    }
    let is_strict = std::env::var_os("DOCKBRIDGE_TEST_STRICT").is_some_and(|value| value == "1");
    assert!(
        !is_strict || is_permitted(&name, PERMITTED),
        "{name} was passed over ({reason}), which DOCKBRIDGE_TEST_STRICT=1 forbids: provide what \
         is missing, or list the test with a reason in scripts/lib/passed-over.txt"
    );
}

/// The test runner names the test's thread after it.
fn test_name(binary: &str) -> String {
    let thread = std::thread::current();
    format!("{binary} {}", thread.name().unwrap_or("(unnamed thread)"))
}

fn record(file: &Path, name: &str, reason: &str) {
    let line = format!("{name}: {}\n", reason.replace('\n', " "));
    // One write to a file opened for appending: lines of concurrent tests do not mix.
    File::options()
        .create(true)
        .append(true)
        .open(file)
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
}

fn is_permitted(name: &str, list: &str) -> bool {
    list.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(": "))
        .any(|(listed, _)| listed == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_contain_binary_and_test() {
        assert_eq!(
            test_name("dockbridge::e2e"),
            "dockbridge::e2e passed_over::tests::names_contain_binary_and_test"
        );
    }

    #[test]
    fn every_passed_over_test_gets_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("passed-over");
        record(&file, "a::b c", "no\nroot");
        record(&file, "a::b d", "no docker client");
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, "a::b c: no root\na::b d: no docker client\n");
    }

    #[test]
    fn only_listed_tests_are_permitted() {
        let list = "# comment\na::b c: this kernel has no IPVS\n";
        assert!(is_permitted("a::b c", list));
        assert!(!is_permitted("a::b", list));
        assert!(!is_permitted("# comment", list));
    }

    #[test]
    fn every_listed_test_has_a_reason() {
        for line in PERMITTED.lines().filter(|line| !line.starts_with('#')) {
            let (name, reason) = line.split_once(": ").expect(line);
            assert!(name.contains(' ') && name.contains("::") && !reason.is_empty(), "{line}");
        }
    }
}
