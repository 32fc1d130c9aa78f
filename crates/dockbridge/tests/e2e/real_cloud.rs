//! The first runs in a cloud project that costs money, if `HCLOUD_TOKEN_E2E` is set: an image, and
//! the main job. Each is done by the commands, verified by an independent client that only reads,
//! undone by the commands, and leaves nothing whatever happens. Without the variable the same code
//! runs on the local cloud: only endpoint and token differ.

mod budget;
mod main_job;
mod reader;

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::rig::{Ran, Stage, agent_directory, pass_over, run, run_within};
use reader::{Reader, id};

/// The owner of everything that these tests create, wherever they run, so that the next run finds
/// the remains of a killed one.
pub const OWNER: &str = "e2e0e2e0e2e0";
const REAL: &str = "https://api.hetzner.cloud/v1";
/// Rescue system, writing and the snapshot of a disk take minutes on real hardware.
const LONGEST_BUILD: Duration = Duration::from_secs(40 * 60);
const LONGEST_EMPTYING: Duration = Duration::from_secs(10 * 60);
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const IMAGE_BYTES: usize = 16 << 20;
/// Kinds of resources, those that cost money first.
const KINDS: [&str; 6] = ["servers", "images", "volumes", "primary_ips", "firewalls", "ssh_keys"];

/// A cloud project, and a user whose settings name it.
struct Project {
    endpoint: String,
    token: String,
    directory: TempDir,
    /// In place of a real one.
    local: Option<Stage>,
}

impl Project {
    /// The real one if its token is set, else one of the local cloud; `None` if this host can run
    /// neither.
    async fn open() -> Option<Self> {
        match std::env::var("HCLOUD_TOKEN_E2E").ok().filter(|token| !token.is_empty()) {
            Some(token) => {
                let endpoint =
                    std::env::var("HCLOUD_ENDPOINT_E2E").unwrap_or_else(|_| REAL.to_owned());
                eprintln!("this runs against {endpoint} and costs money: {}", budget::COST);
                Some(Self::of(endpoint, token, None))
            }
            None => {
                eprintln!(
                    "HCLOUD_TOKEN_E2E is not set: this runs against the local cloud and shows \
                     nothing of the real one"
                );
                Self::open_local().await
            }
        }
    }

    async fn open_local() -> Option<Self> {
        let stage = Stage::new().await?;
        Some(Self::of(
            stage.cloud.machine_endpoint().unwrap(),
            stage.cloud.token().to_owned(),
            Some(stage),
        ))
    }

    fn of(endpoint: String, token: String, local: Option<Stage>) -> Self {
        let directory =
            tempfile::Builder::new().prefix("dockbridge-e2e-").tempdir_in("/var/tmp").unwrap();
        std::fs::create_dir_all(directory.path().join("home/config")).unwrap();
        std::fs::write(directory.path().join("home/config/owner"), OWNER).unwrap();
        Self { endpoint, token, directory, local }
    }

    fn reader(&self) -> Reader<'_> {
        Reader { endpoint: &self.endpoint, token: &self.token }
    }

    fn dockbridge(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockbridge"));
        for name in ["HCLOUD_TOKEN", "HCLOUD_ENDPOINT", "HETZNER_API_TOKEN"] {
            command.env_remove(name);
        }
        command
            .env("DOCKBRIDGE_HOME", self.directory.path().join("home"))
            .env("DOCKBRIDGE_AGENT_DIR", agent_directory());
        command
            .env("DOCKBRIDGE_HETZNER_ENDPOINT", &self.endpoint)
            .env("DOCKBRIDGE_HETZNER_API_TOKEN", &self.token);
        command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Ran {
        run_within(LONGEST_BUILD, self.dockbridge(arguments), "").await
    }

    /// An image of noise and its SHA-256.
    async fn image(&self) -> (PathBuf, String) {
        let path = self.directory.path().join("image.raw");
        let noise: Vec<u8> = (0..IMAGE_BYTES as u64 / 8)
            .flat_map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).to_le_bytes())
            .collect();
        std::fs::write(&path, noise).unwrap();
        let mut sum = Command::new("sha256sum");
        sum.arg(&path);
        let sum = run(sum, "").await.succeeded().stdout.split(' ').next().unwrap().to_owned();
        (path, sum)
    }

    /// These tests' resources in the project, as `kind/id`.
    async fn own(&self) -> Vec<String> {
        let mut own = Vec::new();
        for kind in KINDS {
            own.extend(
                self.reader().own(kind).await.iter().map(|one| format!("{kind}/{}", id(one))),
            );
        }
        own
    }

    /// Removes all of these tests' resources in the project, whatever their state, without the
    /// product.
    async fn empty(&self) {
        let begun = Instant::now();
        loop {
            let own = self.own().await;
            if own.is_empty() {
                return;
            }
            assert!(
                begun.elapsed() < LONGEST_EMPTYING,
                "delete it by hand, it may be billed: {own:?}"
            );
            for one in &own {
                self.reader().delete(one).await;
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Refuses a project with other resources and runs that would cost too much; removes the
    /// remains of a killed run. Returns the server types that may be used.
    async fn prepare(&self) -> Vec<String> {
        let reader = self.reader();
        let (servers, types) =
            (reader.list("servers", "").await, reader.list("server_types", "").await);
        budget::may_begin(&servers, jiff::Timestamp::now())
            .unwrap_or_else(|why| panic!("not begun: {why}"));
        self.empty().await;
        budget::affordable(&types).unwrap_or_else(|why| panic!("not begun: {why}"))
    }

    /// Runs a test in the project and leaves nothing there, however it ends.
    async fn visit(&self, doing: impl AsyncFn(&Self, &str)) {
        let types = self.prepare().await.join(",");
        let outcome = AssertUnwindSafe(doing(self, &types)).catch_unwind().await;
        self.empty().await;
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    }

    async fn close(self) {
        if let Some(stage) = self.local {
            stage.close().await;
        }
    }
}

#[tokio::test]
async fn an_image_is_built_verified_by_another_client_and_deleted() {
    let Some(project) = Project::open().await else { return pass_over() };
    project
        .visit(async |project, types| {
            let (image, sha256) = project.image().await;
            let build = [
                "image",
                "build",
                "raw",
                "--json",
                "--name",
                "e2e",
                "--os",
                "noise",
                "--version",
                "1.0",
            ];
            let from =
                ["--file", image.to_str().unwrap(), "--sha256", &sha256, "--server-type", types];
            let arguments = [&build[..], &from].concat();
            let built = last_event(&project.run(&arguments).await);
            assert_eq!(
                (&built["event"], &built["existed"]),
                (&"built".into(), &false.into()),
                "{built}"
            );

            let images = project.reader().own("images").await;
            let [image] = images.as_slice() else { panic!("one image: {images:?}") };
            assert_eq!(
                (id(image), image["type"].as_str()),
                (built["id"].as_u64().unwrap(), Some("snapshot")),
                "{image}"
            );
            assert_eq!(
                (image["status"].as_str(), image["architecture"].as_str()),
                (Some("available"), Some("x86")),
                "{image}"
            );
            let labels = &image["labels"];
            for (key, value) in
                [("os", "noise"), ("version", "1.0"), ("arch", "x86"), ("dockbridge-image", "e2e")]
            {
                assert_eq!(labels[key].as_str(), Some(value), "{labels}");
            }
            assert_eq!(labels["image-sha256"].as_str(), Some(base32(&sha256).as_str()), "{labels}");
            assert_eq!(
                project.own().await,
                [format!("images/{}", id(image))],
                "server, firewall and key are gone"
            );

            let again = last_event(&project.run(&arguments).await);
            assert_eq!((&again["id"], &again["existed"]), (&built["id"], &true.into()), "{again}");
            let listed = project.run(&["image", "list"]).await;
            assert!(
                listed.succeeded().stdout.contains("e2e (")
                    && listed.stdout.contains("EUR net a month"),
                "{listed}"
            );
            project.run(&["image", "delete", "e2e"]).await.succeeded();
            assert_eq!(project.own().await, Vec::<String>::new());
        })
        .await;
    project.close().await;
}

/// Only on the local cloud: a failure elsewhere would cost an hour.
#[tokio::test]
async fn a_run_that_panics_in_the_middle_leaves_nothing() {
    let Some(project) = Project::open_local().await else { return pass_over() };
    let panicking = project.visit(async |project, types| {
        let (image, _) = project.image().await;
        let mut build = project.dockbridge(&[
            "image",
            "build",
            "raw",
            "--json",
            "--name",
            "e2e",
            "--server-type",
            types,
            "--file",
        ]);
        let mut child = build.arg(&image).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("\"rescue\"") {
                assert_eq!(project.own().await.len(), 3, "server, firewall and key");
                panic!("in the middle");
            }
        }
    });
    let panicked = AssertUnwindSafe(panicking).catch_unwind().await.unwrap_err();
    assert_eq!(panicked.downcast_ref::<&str>(), Some(&"in the middle"));
    assert_eq!(project.own().await, Vec::<String>::new());
    project.close().await;
}

fn last_event(ran: &Ran) -> Value {
    serde_json::from_str(ran.succeeded().stdout.lines().last().unwrap()).unwrap()
}

/// A hash that fits into a label: all hex digits would be too many.
fn base32(hex: &str) -> String {
    let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
    data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
}
