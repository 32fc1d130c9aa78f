//! Test suites of other Docker clients, run on a machine's engine itself and through dockbridge:
//! each of their tests must end alike. Each engine has a registry of images. A test fails on both
//! paths if it needs something unavailable here.

mod images;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, timeout};

use self::images::Images;
use crate::docker_cli::Comparison;
use crate::rig::{Stage, pass_over};

/// A suite that hangs fails its test.
const LONGEST_SUITE: Duration = Duration::from_secs(600);
/// Maximum number of repetitions of tests that ended differently.
const AGAIN: u32 = 4;
/// Result of a test that may pass or fail.
const MAY_FAIL: &str = "may fail";

/// Result of each test of a suite, by its name.
type Endings = BTreeMap<String, String>;

/// A suite of another client: how to run it, and how to read its output.
struct Suite {
    name: &'static str,
    /// Run in the suite's directory by `sh`, with `DOCKER_HOST` set. Its arguments are the tests
    /// to run; none mean all.
    script: &'static str,
    /// The test and its result in a line of output.
    ending: fn(&str) -> Option<(String, String)>,
    /// Tests that may pass or fail on the engine itself.
    by_chance: &'static [&'static str],
    /// Fewer successes than this on the engine itself mean that the suite did not really run.
    at_least: usize,
}

/// Most of its plugin tests install one from Docker Hub, and an engine that cannot reach it tries
/// for minutes.
const DOCKER_PY: Suite = Suite {
    name: "docker-py",
    script: "export PYTHONDONTWRITEBYTECODE=1; suite() { ../python/bin/python -m pytest -v -p \
     no:cacheprovider --tb=short --durations 20 \"$@\"; }; if [ $# -gt 0 ]; then suite --timeout \
     60 \"$@\"; exit; fi; suite tests/integration --ignore tests/integration/api_plugin_test.py \
     --timeout 60; suite tests/integration/api_plugin_test.py --timeout 3",
    ending: pytest,
    // It attaches to an exited container and expects its output from the log, which the engine may
    // not have written by then: the faster path fails more often.
    by_chance: &[
        "tests/integration/api_container_test.py::AttachContainerTest::test_attach_no_stream",
    ],
    at_least: 340,
};

const BOLLARD: Suite = Suite {
    name: "bollard",
    script: "docker swarm init --advertise-addr 127.0.0.1 >/dev/null; export \
     REGISTRY_HTTP_ADDR=localhost:5000 REGISTRY_PASSWORD=none RUST_BACKTRACE=0; [ $# = 0 ] || set \
     -- --exact \"$@\"; for program in bin/*; do $program --test-threads 1 \"$@\"; done; docker \
     swarm leave --force",
    ending: libtest,
    by_chance: &[],
    at_least: 55,
};

/// `tests/integration/errors_test.py::ErrorsTest::test_api_error PASSED [ 7%]`. A test that its
/// authors have marked as one that may fail (`XFAIL`, `XPASS`) may pass or fail.
fn pytest(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let name = words.next().filter(|name| name.starts_with("tests/integration/"))?;
    let ending = words.next().filter(|word| {
        matches!(*word, "PASSED" | "FAILED" | "ERROR" | "SKIPPED" | "XFAIL" | "XPASS")
    })?;
    let ending = if ending.starts_with('X') { MAY_FAIL } else { ending };
    Some((name.to_owned(), ending.to_owned()))
}

/// `test integration_test_commit_container ... ok`. Output of the test may stand in between.
fn libtest(line: &str) -> Option<(String, String)> {
    let (name, ending) = line.strip_prefix("test ")?.split_once(" ... ")?;
    Some((name.to_owned(), ending.split_whitespace().next_back()?.to_owned()))
}

impl Suite {
    /// The directory of the suite, or `None` with the reason printed.
    fn directory(&self) -> Option<PathBuf> {
        let directory = std::env::var_os("DOCKBRIDGE_TEST_SUITES")
            .map(|directory| Path::new(&directory).join(self.name));
        let found = directory.filter(|directory| directory.is_dir());
        if found.is_none() {
            testkit::passed_over!("DOCKBRIDGE_TEST_SUITES names no directory with {}", self.name);
        }
        found
    }

    /// Runs all of it, or some tests by name, and reads the results. The output is kept if
    /// `DOCKBRIDGE_TEST_KEEP` names a directory.
    async fn run(
        &self,
        comparison: &Comparison,
        path: &str,
        socket: &Path,
        tests: &[String],
    ) -> Endings {
        let begun = Instant::now();
        let kept = std::env::var_os("DOCKBRIDGE_TEST_KEEP")
            .map_or_else(|| comparison.stage.directory.path().to_owned(), PathBuf::from);
        let log = kept.join(format!("{}, {path}.log", self.name));
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let mut command: Command = comparison.stage.command("sh");
        command.args(["-c", self.script, "sh"]).args(tests).current_dir(self.directory().unwrap());
        command
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        let ended = timeout(LONGEST_SUITE, command.spawn().unwrap().wait()).await;
        let said = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
        assert!(ended.is_ok(), "{} does not end {path}:\n{said}", self.name);
        // A later result of a test counts, because the log may contain an earlier attempt.
        let mut endings: Endings = said.lines().filter_map(self.ending).collect();
        endings.retain(|test, _| tests.is_empty() || tests.contains(test));
        for test in self.by_chance {
            // It must have run to its end all the same.
            if let Some(ending) = endings.get_mut(*test)
                && matches!(ending.as_str(), "PASSED" | "FAILED")
            {
                *ending = MAY_FAIL.to_owned();
            }
        }
        eprintln!(
            "{}, {path}: {} in {:.0} s",
            self.name,
            counted(&endings),
            begun.elapsed().as_secs_f64()
        );
        endings
    }

    /// Runs it on both paths side by side, on two equal machines; panics with each test that ends
    /// differently.
    async fn compare(&self) {
        let Some(directory) = self.directory() else { return };
        let (Some(plain), Some(own)) = tokio::join!(engine(), engine()) else {
            return pass_over();
        };
        let suites = directory.parent().unwrap();
        let (Some(plain_images), Some(our_images)) =
            tokio::join!(Images::serve(&plain, suites), Images::serve(&own, suites))
        else {
            return;
        };
        let (mut tests, mut before) = (Vec::new(), Vec::new());
        // Some tests measure how long a container takes to stop or to become healthy. Tests that
        // ended differently are repeated on both paths: chance does not end the same each time.
        for turn in 0..=AGAIN {
            let directly = async {
                plain_images.renew(&plain).await;
                self.run(&plain, "directly", &plain.direct, &tests).await
            };
            let through = async {
                our_images.renew(&own).await;
                self.run(&own, "through dockbridge", &own.stage.socket(), &tests).await
            };
            // Some tests use the same file of this host, so repetitions run alone.
            let (directly, through) = match turn {
                0 => tokio::join!(directly, through),
                _ => (directly.await, through.await),
            };
            let passed = directly
                .values()
                .filter(|ending| matches!(ending.as_str(), "PASSED" | "ok"))
                .count();
            assert!(
                turn > 0 || passed >= self.at_least,
                "only {passed} succeed on the engine itself: {directly:#?}"
            );
            let end = |endings: &Endings, test: &str| {
                endings.get(test).map_or_else(|| "nothing".to_owned(), String::clone)
            };
            let mut different: Vec<(String, String)> = (differences(&directly, &through)
                .into_iter())
            .map(|test| {
                let output = format!(
                    "{test}: {} on the engine itself, {} through dockbridge",
                    end(&directly, &test),
                    end(&through, &test)
                );
                (test, output)
            })
            .collect();
            different.retain(|difference| turn == 0 || before.contains(difference));
            if different.is_empty() {
                break;
            }
            let output =
                different.iter().map(|(_, output)| output.as_str()).collect::<Vec<_>>().join("\n");
            assert!(
                turn < AGAIN,
                "{} ends differently, {} times identically:\n{output}",
                self.name,
                turn + 1
            );
            eprintln!("asked again:\n{output}");
            tests = different.iter().map(|(test, _)| test.clone()).collect();
            before = different;
        }
        tokio::join!(plain.close(), own.close());
    }
}

/// Directories that the suites bind are the machine's, because each suite takes the engine's
/// computer for its own.
async fn engine() -> Option<Comparison> {
    let mut stage = Stage::new().await?;
    stage.environment.push(("DOCKBRIDGE_GATEWAY_BIND_MOUNTS".to_owned(), "remote".to_owned()));
    Some(Comparison::on(stage).await)
}

/// Tests that ended differently.
fn differences(directly: &Endings, through: &Endings) -> Vec<String> {
    let all: BTreeSet<&String> = directly.keys().chain(through.keys()).collect();
    all.into_iter().filter(|test| directly.get(*test) != through.get(*test)).cloned().collect()
}

/// E.g. `2 FAILED, 300 PASSED`.
fn counted(endings: &Endings) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for ending in endings.values() {
        *counts.entry(ending).or_default() += 1;
    }
    counts.iter().map(|(ending, count)| format!("{count} {ending}")).collect::<Vec<_>>().join(", ")
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_py_ends_its_own_tests_as_on_the_engine_itself() {
    DOCKER_PY.compare().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bollard_ends_its_own_tests_as_on_the_engine_itself() {
    BOLLARD.compare().await;
}
