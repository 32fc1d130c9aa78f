//! A killed daemon leaves no machine behind: the machine ends itself cleanly when its lease is not
//! renewed. Containers are asked to stop first, and have their own stop timeouts.

use std::time::Duration;

use hetzner::ServerStatus;
use tokio::time::Instant;

use super::Holdings;
use crate::rig::{Stage, pass_over, run};

const LEASE: Duration = Duration::from_secs(10);
/// Beyond the lease: stopping the containers and docker, and the cloud's own time.
const MARGIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_machine_of_a_killed_daemon_deletes_itself_and_its_volume_is_clean() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let volume = killed_at_work(&stage, "token").await;
    let begun = Instant::now();
    stage
        .eventually("the machine has deleted itself", LEASE + MARGIN, async || {
            stage.counts().await == (0, 1)
        })
        .await;
    eprintln!(
        "gone {:.1} s after the daemon, with a lease of {} s",
        begun.elapsed().as_secs_f64(),
        LEASE.as_secs()
    );
    assert!(begun.elapsed() > LEASE / 2, "the lease was kept");
    assert_clean(&stage, volume).await;
    assert_kept(&stage, volume).await;
    stage.close().await;
}

#[tokio::test]
async fn a_machine_without_a_token_powers_itself_off_and_the_next_start_removes_it() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let volume = killed_at_work(&stage, "power-off").await;
    let (server, _) = Holdings::of(&stage).await.only();
    let status =
        async || stage.api.servers().get(server).await.unwrap().map(|server| server.status);
    stage
        .eventually("the machine is off", LEASE + MARGIN, async || {
            status().await == Some(ServerStatus::Off)
        })
        .await;
    assert_clean_file_system(&stage, volume).await;

    let daemon = stage.start(&[]).await;
    stage
        .eventually("a start removes it", Duration::from_secs(20), async || {
            stage.counts().await == (0, 1)
        })
        .await;
    daemon.stop().await;
    assert_clean(&stage, volume).await;
    assert_kept(&stage, volume).await;
    stage.close().await;
}

/// Kills a daemon with a short lease while a container writes; returns the volume's id.
async fn killed_at_work(stage: &Stage, self_destruct: &str) -> u64 {
    let lease = format!("{}s", LEASE.as_secs());
    let settings = [
        ("DOCKBRIDGE_KEEPALIVE_TIMEOUT", lease.as_str()),
        ("DOCKBRIDGE_KEEPALIVE_INTERVAL", "2s"),
        ("DOCKBRIDGE_KEEPALIVE_SELF_DESTRUCT", self_destruct),
    ];
    let daemon = stage.start(&settings).await;
    stage.make_image("tiny").await;
    let writing = "while :; do date >>/keep/log; sleep 0.1; done";
    let arguments =
        ["run", "--detach", "--stop-timeout", "1", "-v", "keep:/keep", "tiny", "sh", "-c", writing];
    stage.docker(&arguments).await.succeeded();
    // Longer than docker's own ten seconds, and than the other container's timeout.
    let last_words = "trap 'sleep 12; echo farewell >/keep/farewell; exit' TERM; echo \
     >/keep/heeds; while :; do sleep 0.1; done";
    let arguments = [
        "run",
        "--detach",
        "--stop-timeout",
        "25",
        "-v",
        "keep:/keep",
        "tiny",
        "sh",
        "-c",
        last_words,
    ];
    stage.docker(&arguments).await.succeeded();
    let before = "while [ ! -e /keep/heeds ]; do sleep 0.1; done; echo of before >/keep/file";
    stage
        .docker(&["run", "--rm", "-v", "keep:/keep", "tiny", "sh", "-c", before])
        .await
        .succeeded();
    let (_, volume) = Holdings::of(stage).await.only();
    daemon.kill().await;
    volume
}

/// Detached, and its file system needs no repair.
async fn assert_clean(stage: &Stage, volume: u64) {
    let found = stage.api.volumes().get(volume).await.unwrap().expect("the volume stays");
    assert_eq!(found.server, None, "detached");
    assert_clean_file_system(stage, volume).await;
}

async fn assert_clean_file_system(stage: &Stage, volume: u64) {
    let image = stage.volume_image(volume);
    let mut check = stage.command("e2fsck");
    check.arg("-fn").arg(&image);
    run(check, "").await.succeeded();
    let mut superblock = stage.command("dumpe2fs");
    superblock.arg("-h").arg(&image);
    let output = run(superblock, "").await;
    // Unmounted: the journal is empty.
    assert!(!output.succeeded().stdout.contains("needs_recovery"), "{output}");
}

async fn assert_kept(stage: &Stage, volume: u64) {
    let daemon = stage.start(&[]).await;
    let read = stage
        .docker(&["run", "--rm", "-v", "keep:/keep", "tiny", "cat", "/keep/file", "/keep/farewell"])
        .await;
    assert_eq!(
        read.succeeded().stdout,
        "of before\nfarewell\n",
        "what a container wrote when it was asked to stop is there"
    );
    assert_eq!(Holdings::of(stage).await.only().1, volume);
    daemon.stop().await;
}
