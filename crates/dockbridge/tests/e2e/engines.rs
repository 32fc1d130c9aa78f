//! Several engines and clients: a volume that engines of several versions open in turn, and old
//! and new docker commands with old and new engines.

mod clients;

use std::time::Duration;

use local_cloud::ContainerEngine;

use crate::rig::{Daemon, Stage, has_engine, pass_over};

/// Enables containerd's image store for an empty volume, like engine 29 by default.
const BEGIN_AS_29: &str = "systemctl stop docker.socket docker containerd && rm -rf \
 /var/lib/docker/* /var/lib/containerd/* && mkdir -p /etc/docker && echo '{\"features\": \
 {\"containerd-snapshotter\": true}}' >/etc/docker/daemon.json && systemctl start docker.socket \
 docker && docker info --format '{{.Driver}}'";

/// A profile with one volume and a sequence of machines.
struct Profile {
    stage: Stage,
    daemon: Daemon,
}

impl Profile {
    async fn new(engine: ContainerEngine) -> Option<Self> {
        let stage = Stage::with_engine(engine).await?;
        let daemon = stage.start(&[("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "3h")]).await;
        Some(Self { stage, daemon })
    }

    /// The output of docker, which must succeed.
    async fn docker(&self, arguments: &[&str]) -> String {
        self.stage.docker(arguments).await.succeeded().stdout.clone()
    }

    /// Destroys the machine; the next one has this engine.
    async fn goes_on_with(&self, engine: &str) {
        self.stage.dockbridge(&["server", "destroy"]).await.succeeded();
        assert_eq!(self.stage.counts().await, (0, 1), "only the volume is left");
        self.stage.control().post("engine", &format!("{{\"engine\": \"{engine}\"}}")).await;
        // The client chose its API version for the last engine, and the next one may be older.
        self.docker(&["run", "--rm", "tiny", "true"]).await;
        let version = self.docker(&["info", "--format", "{{.ServerVersion}}"]).await;
        assert!(version.starts_with(&format!("{engine}.")), "{version}");
    }

    /// Creates an image, a volume with a file, a running container and one that has exited.
    async fn leaves(&self, mark: &str) {
        let ended = format!("ended-{mark}");
        let write = format!("echo {mark} >/made; exit 3");
        let three = self.stage.docker(&["run", "--name", &ended, "tiny", "sh", "-c", &write]).await;
        assert_eq!(three.status.code(), Some(3), "{three}");
        let image = format!("made-{mark}");
        self.docker(&["commit", &ended, &image]).await;
        let (bind, name) = (format!("data-{mark}:/data"), format!("runs-{mark}"));
        let write = format!("echo {mark} >>/data/starts; exec sleep 10000");
        self.docker(&[
            "run",
            "-d",
            "--init",
            "--restart",
            "always",
            "-v",
            &bind,
            "--name",
            &name,
            &image,
            "sh",
            "-c",
            &write,
        ])
        .await;
    }

    /// Checks that everything from [`Profile::leaves`] still exists, works, and runs again.
    async fn finds(&self, marks: &[&str]) {
        let names = async |arguments: &[&str]| {
            let printed = self.docker(arguments).await;
            let mut names: Vec<String> = printed.lines().map(str::to_owned).collect();
            names.sort();
            names
        };
        let all = |prefixes: &[&str]| {
            let mut names: Vec<String> = marks
                .iter()
                .flat_map(|mark| prefixes.iter().map(move |prefix| format!("{prefix}-{mark}")))
                .collect();
            names.sort();
            names
        };
        let mut images = all(&["made"]);
        images.push("tiny".to_owned());
        assert_eq!(names(&["images", "--format", "{{.Repository}}"]).await, images);
        assert_eq!(names(&["ps", "-a", "--format", "{{.Names}}"]).await, all(&["ended", "runs"]));
        assert_eq!(names(&["volume", "ls", "-q"]).await, all(&["data"]));
        let running = async || names(&["ps", "--format", "{{.Names}}"]).await == all(&["runs"]);
        self.stage.eventually("what ran runs again", Duration::from_secs(30), running).await;
        for mark in marks {
            let starts = self
                .docker(&["exec", &format!("runs-{mark}"), "cat", "/made", "/data/starts"])
                .await;
            assert!(starts.starts_with(&format!("{mark}\n{mark}\n")), "{starts}");
            let fresh =
                self.docker(&["run", "--rm", &format!("made-{mark}"), "cat", "/made"]).await;
            assert_eq!(fresh, format!("{mark}\n"));
        }
    }

    async fn close(self) {
        self.daemon.stop().await;
        self.stage.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_goes_from_engine_26_to_28_and_back_with_everything_on_it() {
    let Some(profile) = Profile::new(ContainerEngine::Docker26).await else { return pass_over() };
    if !has_engine(ContainerEngine::Docker28).await {
        return profile.close().await;
    }
    profile.stage.make_image("tiny").await;
    profile.leaves("first").await;
    profile.goes_on_with("28").await;
    profile.finds(&["first"]).await;
    profile.leaves("second").await;
    profile.goes_on_with("26").await;
    profile.finds(&["first", "second"]).await;
    profile.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_begun_with_containerds_image_store_hides_nothing_from_other_engines() {
    let Some(profile) = Profile::new(ContainerEngine::Docker28).await else { return pass_over() };
    let stage = &profile.stage;
    profile.docker(&["version"]).await;
    // After the first login the host key is replaced; until then ssh is refused.
    stage
        .eventually("a login by ssh", Duration::from_secs(20), async || {
            stage.on_machine("true").await.status.success()
        })
        .await;
    let driver = stage.on_machine(BEGIN_AS_29).await;
    assert_eq!(driver.succeeded().stdout, "overlayfs\n", "{driver}");
    let answers = async || stage.docker(&["version"]).await.status.success();
    stage.eventually("the engine answers again", Duration::from_secs(30), answers).await;
    stage.make_image("tiny").await;
    profile.leaves("first").await;

    profile.goes_on_with("28").await;
    profile.finds(&["first"]).await;
    profile.goes_on_with("26").await;
    profile.finds(&["first"]).await;
    profile.leaves("second").await;
    profile.goes_on_with("28").await;
    profile.finds(&["first", "second"]).await;
    profile.close().await;
}
