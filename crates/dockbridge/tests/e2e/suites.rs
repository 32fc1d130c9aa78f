//! Other Docker clients' own test suites, run on a machine's engine itself and through dockbridge:
//! each of their tests must end alike. There is a registry of images beside each engine. What a
//! suite wants and nobody here has makes a test fail on both ways.

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

/// A suite that hangs is a failed test.
const LONGEST_SUITE: Duration = Duration::from_secs(600);
/// How often what ended differently is asked again at most.
const AGAIN: u32 = 4;
/// How a test ends that is allowed to end in either way.
const MAY_FAIL: &str = "may fail";

/// How each test of a suite ended, by its name.
type Endings = BTreeMap<String, String>;

/// A suite of another client: how to run it, and how its words are read.
struct Suite {
    name: &'static str,
    /// Run in the suite's folder by `sh`, with `DOCKER_HOST` set. Its arguments are the tests to
    /// run; none mean all.
    script: &'static str,
    /// The test and its ending in a line of output.
    ending: fn(&str) -> Option<(String, String)>,
    /// Tests that the engine itself lets end in either way.
    by_chance: &'static [&'static str],
    /// Fewer successes on the engine itself than this mean that the suite did not really run.
    at_least: usize,
}

/// Most of its tests of plugins install one from Docker Hub, and an engine that cannot reach it
/// tries for minutes.
const DOCKER_PY: Suite = Suite {
    name: "docker-py",
    script: "export PYTHONDONTWRITEBYTECODE=1; suite() { ../python/bin/python -m pytest -v -p \
     no:cacheprovider --tb=short --durations 20 \"$@\"; }; if [ $# -gt 0 ]; then suite --timeout \
     60 \"$@\"; exit; fi; suite tests/integration --ignore tests/integration/api_plugin_test.py \
     --timeout 60; suite tests/integration/api_plugin_test.py --timeout 3",
    ending: pytest,
    // It attaches to a container that has ended and wants its output from the log, which the engine
    // may not have written by then: the faster way fails more often.
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

/// `tests/integration/errors_test.py::ErrorsTest::test_api_error PASSED [ 7%]`. What its authors
/// have marked as a test that may fail (`XFAIL`, `XPASS`) is allowed to end in either way.
fn pytest(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let name = words.next().filter(|name| name.starts_with("tests/integration/"))?;
    let ending = words.next().filter(|word| {
        matches!(*word, "PASSED" | "FAILED" | "ERROR" | "SKIPPED" | "XFAIL" | "XPASS")
    })?;
    let ending = if ending.starts_with('X') { MAY_FAIL } else { ending };
    Some((name.to_owned(), ending.to_owned()))
}

/// `test integration_test_commit_container ... ok`. What a test prints may stand in between.
fn libtest(line: &str) -> Option<(String, String)> {
    let (name, ending) = line.strip_prefix("test ")?.split_once(" ... ")?;
    Some((name.to_owned(), ending.split_whitespace().next_back()?.to_owned()))
}

impl Suite {
    /// The folder that holds it, or `None` with the reason printed.
    fn folder(&self) -> Option<PathBuf> {
        let folder = std::env::var_os("DOCKBRIDGE_TEST_SUITES")
            .map(|folder| Path::new(&folder).join(self.name));
        let found = folder.filter(|folder| folder.is_dir());
        if found.is_none() {
            eprintln!("passed over: DOCKBRIDGE_TEST_SUITES names no folder with {}", self.name);
        }
        found
    }

    /// Runs all of it, or some tests by name, and reads how they ended. All it said is kept where
    /// `DOCKBRIDGE_TEST_KEEP` names a folder.
    async fn run(
        &self,
        comparison: &Comparison,
        way: &str,
        socket: &Path,
        tests: &[String],
    ) -> Endings {
        let begun = Instant::now();
        let kept = std::env::var_os("DOCKBRIDGE_TEST_KEEP")
            .map_or_else(|| comparison.stage.folder.path().to_owned(), PathBuf::from);
        let log = kept.join(format!("{}, {way}.log", self.name));
        let output = File::options().create(true).append(true).open(&log).unwrap();
        let mut command: Command = comparison.stage.command("sh");
        command.args(["-c", self.script, "sh"]).args(tests).current_dir(self.folder().unwrap());
        command
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        let ended = timeout(LONGEST_SUITE, command.spawn().unwrap().wait()).await;
        let said = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
        assert!(ended.is_ok(), "{} does not end {way}:\n{said}", self.name);
        // A later ending of a test counts, for the log may hold a first time.
        let mut endings: Endings = said.lines().filter_map(self.ending).collect();
        endings.retain(|test, _| tests.is_empty() || tests.contains(test));
        for test in self.by_chance {
            // That it ran, and to its end, is asked for all the same.
            if let Some(ending) = endings.get_mut(*test)
                && matches!(ending.as_str(), "PASSED" | "FAILED")
            {
                *ending = MAY_FAIL.to_owned();
            }
        }
        eprintln!(
            "{}, {way}: {} in {:.0} s",
            self.name,
            counted(&endings),
            begun.elapsed().as_secs_f64()
        );
        endings
    }

    /// Runs it both ways side by side, on two machines that are alike; panics with each test that
    /// ends differently.
    async fn compare(&self) {
        let Some(folder) = self.folder() else { return };
        let (Some(plain), Some(ours)) = tokio::join!(engine(), engine()) else {
            return pass_over();
        };
        let suites = folder.parent().unwrap();
        let (Some(plain_images), Some(our_images)) =
            tokio::join!(Images::serve(&plain, suites), Images::serve(&ours, suites))
        else {
            return;
        };
        let (mut tests, mut before) = (Vec::new(), Vec::new());
        // How long a container takes to stop or to become healthy is asked by some tests. What
        // ended differently is asked again, on both ways: chance does not end the same way each
        // time.
        for turn in 0..=AGAIN {
            let directly = async {
                plain_images.renew(&plain).await;
                self.run(&plain, "directly", &plain.direct, &tests).await
            };
            let through = async {
                our_images.renew(&ours).await;
                self.run(&ours, "through dockbridge", &ours.stage.socket(), &tests).await
            };
            // Some tests use one and the same file of this host: from the second time on nobody is
            // beside them.
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
                let told = format!(
                    "{test}: {} on the engine itself, {} through dockbridge",
                    end(&directly, &test),
                    end(&through, &test)
                );
                (test, told)
            })
            .collect();
            different.retain(|difference| turn == 0 || before.contains(difference));
            if different.is_empty() {
                break;
            }
            let told =
                different.iter().map(|(_, told)| told.as_str()).collect::<Vec<_>>().join("\n");
            assert!(
                turn < AGAIN,
                "{} ends differently, {} times the same way:\n{told}",
                self.name,
                turn + 1
            );
            eprintln!("asked again:\n{told}");
            tests = different.iter().map(|(test, _)| test.clone()).collect();
            before = different;
        }
        tokio::join!(plain.close(), ours.close());
    }
}

/// Folders that the suites bind are the machine's, as each suite takes the engine's computer for
/// its own.
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

/// Such as `2 FAILED, 300 PASSED`.
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
