//! A volume that fills up is reported before it is full, grows while containers run, and grows
//! without a machine, too.

use std::time::Duration;

use hetzner::Query;
use serde_json::Value;

use crate::rig::{Ran, Stage, pass_over};

const GIB: u64 = 1 << 30;

#[tokio::test]
async fn a_full_volume_is_reported_and_grows_under_running_containers() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage
        .start(&[
            ("DOCKBRIDGE_KEEPALIVE_INTERVAL", "1s"),
            ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "10m"),
        ])
        .await;
    resize(&stage, "20").await.failed_with("this profile has no volume");
    stage.make_image("tiny").await;
    let image = stage.directory.path().join("tiny.tar");
    stage.docker(&["save", "--output", image.to_str().unwrap(), "tiny"]).await.succeeded();
    let load = async || stage.docker(&["load", "--input", image.to_str().unwrap()]).await;
    start_writer(&stage).await;
    let since = stage
        .docker(&["inspect", "--format", "{{.State.StartedAt}} {{.RestartCount}}", "writer"])
        .await
        .succeeded()
        .stdout
        .clone();

    // A login may fall into the moment in which the host key is replaced.
    stage
        .eventually("a login", Duration::from_secs(20), async || {
            stage.on_machine("true").await.status.success()
        })
        .await;

    it_is_reported_before_it_is_full(&stage, &load).await;

    resize(&stage, "5").await.failed_with("no volume has 5 GB: choose 10 to 10240");
    let before = written(&stage).await;
    let grown = resize(&stage, "12").await;
    let disk =
        stage.on_machine("blockdev --getsize64 $(findmnt -n -o SOURCE /mnt/dockbridge)").await;
    assert_eq!(
        disk.succeeded().stdout.trim(),
        (12 * GIB).to_string(),
        "the machine's disk is larger"
    );
    assert_eq!(size_in_the_cloud(&stage).await, 12);
    resize(&stage, "10").await.failed_with("has 12 GB and cannot shrink to 10");
    file_system_grows_or_says_so(&stage, &grown).await;
    let volume =
        daemon.client().status().await.unwrap().machine.and_then(|machine| machine.volume).unwrap();
    assert_eq!(volume.size, 12, "the daemon knows");
    stage
        .eventually("it goes on writing", Duration::from_secs(20), async || {
            written(&stage).await > before
        })
        .await;
    let now = stage
        .docker(&["inspect", "--format", "{{.State.StartedAt}} {{.RestartCount}}", "writer"])
        .await;
    assert_eq!(now.succeeded().stdout, since, "it ran all the time");

    daemon.client().destroy().await.unwrap();
    it_grows_without_a_machine(&stage).await;
    daemon.stop().await;
    stage.close().await;
}

/// A container that appends a number to a file on a volume ten times a second.
async fn start_writer(stage: &Stage) {
    let writing = "i=0; while :; do i=$((i+1)); echo $i >>/keep/log; sleep 0.1; done";
    stage
        .docker(&[
            "run",
            "--detach",
            "--stop-timeout",
            "1",
            "--name",
            "writer",
            "-v",
            "keep:/keep",
            "tiny",
            "sh",
            "-c",
            writing,
        ])
        .await
        .succeeded();
}

/// `grown` is the output of the resize to 12 GB.
async fn file_system_grows_or_says_so(stage: &Stage, grown: &Ran) {
    if may_grow_mounted_volumes() {
        assert!(
            grown.succeeded().stdout.contains("has 12 GB instead of 10, for ")
                && grown.stdout.contains("has grown, too"),
            "{grown}"
        );
        assert!(file_system(stage).await > 23 * GIB / 2);
        let again = resize(stage, "12").await;
        assert!(again.succeeded().stdout.contains("has 12 GB, for "), "{again}");
    } else {
        eprintln!(
            "this host's root has no CAP_SYS_RESOURCE, without which no mounted file system grows: \
             that is reported"
        );
        grown
            .failed_with("the file system has not grown: ")
            .failed_with("it grows with the next machine");
    }
}

async fn it_grows_without_a_machine(stage: &Stage) {
    let without = resize(stage, "14").await;
    assert!(
        without
            .succeeded()
            .stdout
            .contains("No machine exists now: the file system grows with the next one."),
        "{without}"
    );
    stage
        .docker(&["run", "--rm", "-v", "keep:/keep", "tiny", "head", "-n", "1", "/keep/log"])
        .await
        .succeeded();
    stage
        .eventually("a login", Duration::from_secs(20), async || {
            stage.on_machine("true").await.status.success()
        })
        .await;
    assert!(file_system(stage).await > 27 * GIB / 2);
}

async fn it_is_reported_before_it_is_full(stage: &Stage, load: &impl AsyncFn() -> Ran) {
    let full = async |percent: u64| {
        // Blocks that are allocated and never written take no space on this host.
        let bytes = file_system(stage).await / 100 * percent;
        stage
            .on_machine(&format!(
                "fallocate -l {bytes} /mnt/dockbridge/ballast && sync /mnt/dockbridge/ballast"
            ))
            .await
            .succeeded();
    };
    let created = async || stage.docker(&["create", "--name", "waiting", "tiny"]).await;
    assert!(!created().await.succeeded().stderr.contains("WARNING"));
    stage.docker(&["rm", "waiting"]).await.succeeded();

    full(88).await;
    stage
        .eventually("`why` warns", Duration::from_secs(30), async || warning(stage).await.is_some())
        .await;
    let output = warning(stage).await.unwrap();
    let (code, message) = (&output["code"], output["message"].as_str().unwrap_or_default());
    assert!(
        code == "volume_nearly_full"
            && message.contains("% full")
            && output["hints"].to_string().contains("`dockbridge volume resize 20` grows it"),
        "{output}"
    );
    let words = stage.dockbridge(&["status"]).await;
    assert!(words.succeeded().stdout.contains(&format!("Note      {message}: `dock")), "{words}");
    let warns = |line: &str| line.contains(" WARN ") && line.contains("the volume is ");
    let logged = async || stage.daemon_log().lines().any(warns);
    stage.eventually("the log warns with the first look", Duration::from_secs(20), logged).await;
    let warned = async || {
        let created = created().await;
        stage.docker(&["rm", "waiting"]).await.succeeded();
        created.succeeded().stderr.contains("WARNING: the volume is ")
    };
    let heartbeat = Duration::from_secs(20);
    stage.eventually("a create warns after the next heartbeat", heartbeat, warned).await;
    load().await.succeeded();

    full(99).await;
    stage
        .eventually("a load is refused", Duration::from_secs(30), async || {
            !load().await.status.success()
        })
        .await;
    load()
        .await
        .failed_with("Error response from daemon: the volume is full, with ")
        .failed_with("`dockbridge volume resize 20` grows it");
    stage
        .docker(&["pull", "registry.invalid/any"])
        .await
        .failed_with("`dockbridge volume resize 20` grows it");
    stage.docker(&["ps"]).await.succeeded();
    let metrics = stage.directory.path().join("home/run/default/docker.sock.control");
    let mut curl = stage.command("curl");
    curl.args(["-sS", "--unix-socket"]).arg(metrics).arg("http://dockbridge/metrics");
    let metrics = crate::rig::run(curl, "").await;
    assert!(metrics.succeeded().stdout.contains("\ndockbridge_volume_used_bytes 1"), "{metrics}");

    // New space counts at once.
    stage.on_machine("rm /mnt/dockbridge/ballast && sync -f /mnt/dockbridge").await.succeeded();
    load().await.succeeded();
}

/// The kernel requires CAP_SYS_RESOURCE, number 24 (capability.h), which a container's root may
/// lack; its machines lack it, too.
fn may_grow_mounted_volumes() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let has = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(has.trim(), 16).unwrap() & (1 << 24) != 0
}

async fn resize(stage: &Stage, size: &str) -> Ran {
    stage.dockbridge(&["volume", "resize", size]).await
}

async fn warning(stage: &Stage) -> Option<Value> {
    let output: Value =
        serde_json::from_str(&stage.dockbridge(&["why", "--json"]).await.succeeded().stdout)
            .unwrap();
    output["warnings"].as_array()?.first().cloned()
}

/// In bytes, as a program on the machine sees it.
async fn file_system(stage: &Stage) -> u64 {
    let output = stage.on_machine("stat -f -c '%b %S' /mnt/dockbridge").await;
    let numbers: Vec<u64> = output
        .succeeded()
        .stdout
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect();
    numbers[0] * numbers[1]
}

async fn size_in_the_cloud(stage: &Stage) -> u32 {
    stage.api.volumes().list(&Query::default()).await.unwrap()[0].size
}

async fn written(stage: &Stage) -> u64 {
    let last = stage.docker(&["exec", "writer", "tail", "-n", "1", "/keep/log"]).await;
    last.succeeded().stdout.trim().parse().unwrap()
}
