//! Machines from dockbridge's own image: they work like others, and what the image contains is not
//! sent to them again.

use hetzner::Query;
use serde_json::Value;

use super::Site;
use crate::rig::{Daemon, pass_over, run};

const AUTO: [(&str, &str); 1] = [("DOCKBRIDGE_HETZNER_IMAGE", "auto")];

impl Site {
    async fn build_own(&self) -> u64 {
        let built = self.begin_of("docker", &[]).built().await;
        assert_eq!(built["existed"], false);
        built["id"].as_u64().unwrap()
    }

    /// A machine, and the id and reason of its image from `status`.
    async fn wake(&self) -> (u64, String) {
        self.stage.dockbridge(&["wake"]).await.succeeded();
        let status: Value = serde_json::from_str(
            &self.stage.dockbridge(&["status", "--json"]).await.succeeded().stdout,
        )
        .unwrap();
        let image = &status["machine"]["image"];
        (image["id"].as_u64().unwrap(), image["because"].as_str().unwrap_or_default().to_owned())
    }

    async fn destroy(&self) {
        self.stage.dockbridge(&["server", "destroy"]).await.succeeded();
    }

    /// The program that the resident agent runs.
    async fn agent_runs(&self) -> String {
        let ran = self
            .stage
            .on_machine(
                "readlink /proc/$(systemctl show --property=MainPID --value dockbridge-agent)/exe",
            )
            .await;
        ran.succeeded().stdout.trim().to_owned()
    }

    async fn restart(&self, daemon: Daemon) -> Daemon {
        daemon.stop().await;
        self.stage.start(&AUTO).await
    }

    /// The measurements so far: image, and milliseconds from the request to docker's answer.
    fn measured(&self) -> Vec<(u64, u64)> {
        let kept: Value = serde_json::from_slice(
            &std::fs::read(self.path("home/state/default/wakes.json")).unwrap(),
        )
        .unwrap();
        let wakes = kept["wakes"].as_array().unwrap();
        wakes
            .iter()
            .map(|wake| (wake["image"].as_u64().unwrap(), wake["took_ms"].as_u64().unwrap()))
            .collect()
    }
}

#[tokio::test]
async fn our_own_image_is_built_once_and_others_see_it() {
    let Some(site) = Site::new().await else { return pass_over() };
    let id = site.build_own().await;
    assert_eq!(site.left().await, Vec::<String>::new());
    let snapshots = site.snapshots().await;
    let [snapshot] = snapshots.as_slice() else { panic!("one snapshot: {snapshots:?}") };
    let label = |key: &str| snapshot.labels.get(key).map(String::as_str).unwrap_or_default();
    assert_eq!(
        (label("os"), label("arch"), label("dockbridge-image")),
        ("docker", "x86", "docker")
    );
    assert!(
        label("version").starts_with(&format!("{}-", env!("CARGO_PKG_VERSION"))),
        "{:?}",
        snapshot.labels
    );
    assert!(
        !label("docker-engine").is_empty() && label("dockbridge-machine-image").len() == 16,
        "{:?}",
        snapshot.labels
    );

    let again = site.stage.dockbridge(&["image", "build", "docker"]).await;
    assert!(
        again.succeeded().stdout.contains(&format!("({id})"))
            && again.stdout.contains("existed already"),
        "{again}"
    );
    let other_name = site.begin_of("docker", &["--name", "other"]).built().await;
    assert!(other_name["existed"] == false && site.snapshots().await.len() == 2);
    assert_eq!(site.left().await, Vec::<String>::new());

    if tokio::process::Command::new("hcloud").arg("version").output().await.is_ok() {
        let mut list = tokio::process::Command::new("hcloud");
        list.args([
            "image",
            "list",
            "-l",
            "os=docker,dockbridge-machine-image,dockbridge-image=docker",
            "-o",
            "noheader",
            "-o",
            "columns=id",
        ]);
        list.env("HCLOUD_ENDPOINT", site.stage.cloud.endpoint())
            .env("HCLOUD_TOKEN", site.stage.cloud.token());
        assert_eq!(run(list, "").await.succeeded().stdout.trim(), id.to_string());
    } else {
        testkit::passed_over_in_part!("no `hcloud` in PATH");
    }
    site.stage.close().await;
}

#[tokio::test]
async fn a_machine_from_our_own_image_is_like_any_other_and_is_sent_no_agent() {
    let Some(site) = Site::new().await else { return pass_over() };
    let plain = site.stage.start(&[]).await;
    site.stage.make_image("tiny").await;
    site.stage.docker(&["volume", "create", "kept"]).await.succeeded();
    site.stage
        .docker(&["run", "--rm", "-v", "kept:/v", "tiny", "sh", "-c", "echo data >/v/file"])
        .await
        .succeeded();
    assert!(site.agent_runs().await.starts_with("/run/dockbridge/agent-"), "it was sent");
    site.destroy().await;
    plain.stop().await;

    let id = site.build_own().await;
    let setting = id.to_string();
    for image in ["auto", &setting] {
        let daemon = site.stage.start(&[("DOCKBRIDGE_HETZNER_IMAGE", image)]).await;
        let read =
            site.stage.docker(&["run", "--rm", "-v", "kept:/v", "tiny", "cat", "/v/file"]).await;
        assert_eq!(read.succeeded().stdout, "data\n", "images and volumes are there");
        assert_eq!(site.wake().await.0, id);
        assert!(
            site.agent_runs().await.starts_with("/usr/local/lib/dockbridge/agent-"),
            "it came with the image"
        );
        site.is_as_safe_as_any_other().await;
        site.destroy().await;
        assert_eq!(site.stage.counts().await, (0, 1));
        daemon.stop().await;
    }
    site.stage.close().await;
}

impl Site {
    /// What the user data contains for each machine.
    async fn is_as_safe_as_any_other(&self) {
        let output = |command: &'static str| async move {
            self.stage.on_machine(command).await.succeeded().stdout.trim().to_owned()
        };
        assert_eq!(
            output("ls /run/dockbridge | grep -c ^agent-; true").await,
            "0",
            "nothing was sent"
        );
        assert_eq!(
            output(
                "systemctl is-active dockbridge-dead-man dockbridge-volume docker containerd | \
                 sort -u"
            )
            .await,
            "active"
        );
        assert_eq!(
            output("systemctl is-enabled dockbridge-dead-man dockbridge-volume | sort -u").await,
            "enabled"
        );
        assert_eq!(output("systemctl --failed --no-legend").await, "");
        for directory in ["docker", "containerd"] {
            let mount = format!("/mnt/dockbridge on /var/lib/{directory}");
            let found = self
                .stage
                .on_machine(&format!("findmnt --noheadings --output SOURCE /var/lib/{directory}"))
                .await;
            assert!(
                found.succeeded().stdout.contains(&format!("[/{directory}]")),
                "{mount}: {found}"
            );
        }
        for unit in ["docker.service", "docker.socket", "containerd.service"] {
            let needs = self
                .stage
                .on_machine(&format!("systemctl show --property=Requires --value {unit}"))
                .await;
            assert!(
                needs.succeeded().stdout.contains("dockbridge-volume.service"),
                "{unit}: {needs}"
            );
        }
        let metadata =
            self.stage.on_machine("curl -sS -m 3 http://169.254.169.254/hetzner/v1/userdata").await;
        assert!(!metadata.status.success(), "{metadata}");
        assert_eq!(
            output(
                "sshd -T | grep -E '^(passwordauthentication|maxsessions)' | sort | tr '\\n' ' '"
            )
            .await,
            "maxsessions 100 passwordauthentication no"
        );
        assert_ne!(output("cat /etc/machine-id").await, "", "an id of its own");
        let (label, ceiling) = ("dockbridge-next-host-key", std::time::Duration::from_secs(30));
        self.stage
            .eventually("the host key of the user-data is replaced", ceiling, async || {
                let server =
                    self.stage.api.servers().list(&Query::default()).await.unwrap().remove(0);
                let replaced =
                    self.stage.on_machine("test -e /etc/dockbridge/host-key-replaced").await;
                replaced.status.success() && !server.labels.contains_key(label)
            })
            .await;
    }
}

#[tokio::test]
async fn measurements_decide_and_survive_the_daemon() {
    let Some(site) = Site::new().await else { return pass_over() };
    let own = site.build_own().await;
    let mut daemon = site.stage.start(&AUTO).await;
    let (image, because) = site.wake().await;
    assert!(image == own && because.contains("0 of 2 wakes are known"), "{because}");
    let why = site.stage.dockbridge(&["why"]).await;
    assert!(
        why.succeeded()
            .stdout
            .contains(&format!("Made from snapshot {own} ({own}), because it is being measured")),
        "{why}"
    );
    site.destroy().await;
    // That one had to format its volume, so it is no measurement.
    let mut seen = Vec::new();
    for wake in 0..4 {
        if wake == 2 {
            daemon = site.restart(daemon).await;
        }
        seen.push(site.wake().await.0);
        site.destroy().await;
    }
    assert!(seen[0] == own && seen[1] != own && seen[2] == own && seen[3] == seen[1], "{seen:?}");

    let median = |image: u64| {
        let mut times: Vec<u64> = site
            .measured()
            .into_iter()
            .filter(|(measured, _)| *measured == image)
            .map(|(_, took)| took)
            .collect();
        assert_eq!(times.len(), 2, "image {image}");
        times.sort_unstable();
        u64::midpoint(times[0], times[1])
    };
    let (of_own, of_plain) = (median(own), median(seen[1]));
    eprintln!(
        "from the request for a server to docker's answer, medians of two: our own image {of_own} \
         ms, plain {of_plain} ms"
    );
    let (image, because) = site.wake().await;
    assert_eq!(image == own, of_own <= of_plain, "{because}");
    assert!(because.starts_with("its median wake in fsn1 took"), "{because}");
    let log = site.stage.daemon_log();
    assert!(
        log.contains("the machine is made from this image")
            && log.contains("its median wake in fsn1 took"),
        "the log contains it, too"
    );
    daemon = site.restart(daemon).await;
    site.stage.docker(&["ps"]).await.succeeded();
    assert_eq!(site.wake().await, (image, because), "the next daemon knows why");
    daemon.stop().await;
    site.stage.close().await;
}

#[tokio::test]
async fn a_snapshot_that_does_not_come_up_is_passed_over_at_once_and_later() {
    let Some(site) = Site::new().await else { return pass_over() };
    for fault in [r#""kind": "action_error""#, r#""kind": "image_gone""#] {
        let own = site.begin_of("docker", &[]).built().await["id"].as_u64().unwrap();
        let daemon = site.stage.start(&AUTO).await;
        let matching = format!(r#"{{"path": "/v1/servers", "body": {{"image": "{own}"}}}}"#);
        let order = format!(r#"{{{fault}, "match": {matching}}}"#);
        site.stage.control().post("faults", &order).await;
        for _ in 0..2 {
            let (image, because) = site.wake().await;
            assert_ne!(image, own, "{fault}");
            assert!(
                because.contains(&format!("a machine from snapshot {own} did not come up")),
                "{because}"
            );
            site.destroy().await;
        }
        daemon.stop().await;
        // The next round starts without measurements.
        std::fs::remove_file(site.path("home/state/default/wakes.json")).unwrap();
    }
    site.stage.close().await;
}
