//! The main job of the README: `init`, `start`, a docker command that wakes a machine, a published
//! port, idleness that ends it, a second wake with all data, `server destroy`, `volume delete`,
//! `sweep`.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::{LOOK_AGAIN, Project};
use crate::rig::{Ran, pass_over, run_within};

/// A first wake on real hardware takes a minute; this includes all rungs of the ladder and a slow
/// boot.
const LONGEST_WAKE: Duration = Duration::from_secs(12 * 60);
/// Idle time, grace, and a clean end.
const LONGEST_END: Duration = Duration::from_secs(5 * 60);

/// The machine goes half a minute after the last command, so that the run does not pay for
/// waiting.
const SETTINGS: [(&str, &str); 5] = [
    ("DOCKBRIDGE_ACTIVITY_KEEP_PAID_HOUR", "false"),
    ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "20s"),
    ("DOCKBRIDGE_ACTIVITY_CONNECTION_TIMEOUT", "20s"),
    ("DOCKBRIDGE_ACTIVITY_GRACE_PERIOD", "10s"),
    ("DOCKBRIDGE_HETZNER_VOLUME_SIZE", "10"),
];

/// The commands of one user in the project, with a daemon.
struct Desk<'a> {
    project: &'a Project,
    types: &'a str,
    _daemon: Child,
}

impl<'a> Desk<'a> {
    async fn start(project: &'a Project, types: &'a str) -> Self {
        let mut command = Self::with_settings(project, types, &["start"]);
        let log = std::fs::File::create(project.directory.path().join("daemon.log")).unwrap();
        let daemon = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let desk = Self { project, types, _daemon: daemon };
        desk.eventually("the daemon serves its socket", LONGEST_END, async |desk| {
            desk.socket().exists()
        })
        .await;
        desk
    }

    fn with_settings(project: &Project, types: &str, arguments: &[&str]) -> Command {
        let mut command = project.dockbridge(arguments);
        command.envs(SETTINGS).env("DOCKBRIDGE_HETZNER_SERVER_TYPES", types);
        command.env("DOCKER_CONFIG", project.directory.path().join("docker"));
        command
    }

    fn socket(&self) -> PathBuf {
        self.project.directory.path().join("home/run/default/docker.sock")
    }

    async fn dockbridge(&self, arguments: &[&str]) -> Ran {
        run_within(LONGEST_END, Self::with_settings(self.project, self.types, arguments), "").await
    }

    async fn docker(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new("docker");
        command
            .env("DOCKER_HOST", format!("unix://{}", self.socket().display()))
            .env_remove("DOCKER_CONTEXT");
        command
            .env("DOCKER_CONFIG", self.project.directory.path().join("docker"))
            .args(arguments)
            .kill_on_drop(true);
        let ran = run_within(LONGEST_WAKE, command, "").await;
        assert!(ran.status.success(), "{ran}\nlog of the daemon:\n{}", self.log());
        ran
    }

    /// An image of a static busybox with a web server that answers `hello`.
    async fn import_image(&self) {
        let tree = self.project.directory.path().join("image");
        std::fs::create_dir_all(tree.join("bin")).unwrap();
        std::fs::create_dir_all(tree.join("www")).unwrap();
        std::fs::copy("/bin/busybox", tree.join("bin/busybox")).unwrap();
        std::fs::write(tree.join("www/index.html"), "hello\n").unwrap();
        let archive = self.project.directory.path().join("image.tar");
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&tree).arg("-c").arg("-f").arg(&archive).arg(".");
        run_within(LONGEST_END, tar, "").await.succeeded();
        self.docker(&["import", archive.to_str().unwrap(), "hello"]).await;
    }

    async fn eventually(
        &self,
        what: &str,
        ceiling: Duration,
        mut holds: impl AsyncFnMut(&Self) -> bool,
    ) {
        let begun = Instant::now();
        while !holds(self).await {
            let seconds = ceiling.as_secs();
            assert!(
                begun.elapsed() < ceiling,
                "not within {seconds} s: {what}; log of the daemon:\n{}",
                self.log()
            );
            sleep(LOOK_AGAIN).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.project.directory.path().join("daemon.log"))
            .unwrap_or_default()
    }

    /// Servers and volumes of these tests, according to the other client.
    async fn counts(&self) -> (usize, usize) {
        (
            self.project.reader().own("servers").await.len(),
            self.project.reader().own("volumes").await.len(),
        )
    }
}

fn say(what: &str, took: Instant) {
    eprintln!("{what}: {:.1} s", took.elapsed().as_secs_f64());
}

/// What must hold for an unattended machine: it can end itself, and only SSH is open.
async fn is_as_promised(desk: &Desk<'_>) {
    let status: Value =
        serde_json::from_str(&desk.dockbridge(&["status", "--json"]).await.succeeded().stdout)
            .unwrap();
    assert_eq!(
        (status["state"].as_str(), &status["warnings"]),
        (Some("up"), &serde_json::json!([])),
        "{status}"
    );
    assert!(
        status["report"]["lease_seconds"].is_u64(),
        "the agent runs and holds the lease: {status}"
    );
    assert!(status["cost"]["hourly"].as_f64().is_some_and(|hourly| hourly > 0.0), "{status}");
    let servers = desk.project.reader().own("servers").await;
    let firewalls = servers[0]["public_net"]["firewalls"].as_array().map(Vec::len);
    assert_eq!(firewalls, Some(1), "{}", servers[0]);
    let replaced = desk
        .dockbridge(&[
            "server",
            "ssh",
            "test -e /etc/dockbridge/host-key-replaced && cloud-init status",
        ])
        .await;
    assert!(replaced.succeeded().stdout.contains("done"), "{replaced}");
}

async fn wakes_and_works(desk: &Desk<'_>) {
    let begun = Instant::now();
    desk.docker(&["version"]).await;
    say("from nothing to docker's answer", begun);
    assert_eq!(desk.counts().await, (1, 1));
    desk.import_image().await;
    let answer = desk.docker(&[
        "run",
        "--rm",
        "-v",
        "kept:/kept",
        "hello",
        "/bin/busybox",
        "sh",
        "-c",
        "echo of before >/kept/file",
    ]);
    answer.await;
    desk.docker(&[
        "run",
        "-d",
        "--name",
        "web",
        "-p",
        "127.0.0.1::80",
        "hello",
        "/bin/busybox",
        "httpd",
        "-f",
        "-h",
        "/www",
    ])
    .await;
    let published = desk.docker(&["port", "web", "80"]).await.stdout;
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--retry", "5", "--retry-connrefused"])
        .arg(format!("http://{}/", published.trim()));
    assert_eq!(run_within(LONGEST_END, curl, "").await.succeeded().stdout, "hello\n");
    let settled = async |desk: &Desk<'_>| {
        let ran =
            desk.dockbridge(&["server", "ssh", "test -e /etc/dockbridge/host-key-replaced"]).await;
        ran.status.success()
    };
    desk.eventually("the first host key is replaced", LONGEST_END, settled).await;
    is_as_promised(desk).await;
    desk.docker(&["rm", "-f", "web"]).await;
}

async fn goes_idle_and_wakes_again(desk: &Desk<'_>) {
    let begun = Instant::now();
    desk.eventually("the idle machine is gone, its volume is there", LONGEST_END, async |desk| {
        desk.counts().await == (0, 1)
    })
    .await;
    say("from the last command to the end", begun);

    let begun = Instant::now();
    let read = desk
        .docker(&["run", "--rm", "-v", "kept:/kept", "hello", "/bin/busybox", "cat", "/kept/file"])
        .await;
    say("from nothing to the output of a container on the old volume", begun);
    assert_eq!(read.stdout, "of before\n");
}

#[tokio::test]
async fn the_main_job_is_done_and_nothing_is_left() {
    let Some(project) = Project::open().await else { return pass_over() };
    project
        .visit(async |project, types| {
            let initialized = project.run(&["init", "--yes", "--no-context"]).await;
            assert!(initialized.succeeded().stdout.contains("The token is valid"), "{initialized}");
            let desk = Desk::start(project, types).await;
            assert_eq!(desk.counts().await, (0, 0), "start creates nothing");

            wakes_and_works(&desk).await;
            goes_idle_and_wakes_again(&desk).await;

            let begun = Instant::now();
            desk.dockbridge(&["server", "destroy"]).await.succeeded();
            say("server destroy", begun);
            assert_eq!(desk.counts().await, (0, 1));
            let bill = desk.dockbridge(&["cost"]).await;
            eprintln!("{}", bill.succeeded().stdout);
            desk.dockbridge(&["stop"]).await.succeeded();

            let volumes = project.reader().own("volumes").await;
            let volume = volumes[0]["name"].as_str().unwrap();
            desk.dockbridge(&["volume", "delete", volume, "--yes"]).await.succeeded();
            desk.dockbridge(&["sweep", "--yes"]).await.succeeded();
            assert_eq!(project.own().await, Vec::<String>::new());
        })
        .await;
    project.close().await;
}
