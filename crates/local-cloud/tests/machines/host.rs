//! Several local clouds on one host, and the remains of a killed one.

use std::fs;

use dockbridge_local_cloud::Sshd;
use dockbridge_local_cloud::hypervisor::{Format, Hypervisor};
use dockbridge_local_cloud::nspawn::{Nspawn, clean};
use tokio::time::Instant;

use crate::rig::{LINK, Rig, left_on_host, passed_over, until};

#[tokio::test(flavor = "multi_thread")]
async fn two_local_clouds_run_side_by_side() {
    if passed_over() {
        return;
    }
    let (first, second) = tokio::join!(Rig::start(), Rig::start());
    assert_ne!(first.slot(), second.slot());
    let gateway = |rig: &Rig| {
        fs::read_to_string(format!("/sys/class/net/dbcloud{}/address", rig.slot())).unwrap()
    };
    let before = gateway(&first);
    let (one, two) = tokio::join!(first.boot(1), second.boot(1));
    assert_eq!(gateway(&first), before, "machines that come do not change the gateway");
    assert_ne!(one.address, two.address);
    let hostname = "curl -sS -m 5 http://169.254.169.254/hetzner/v1/metadata/public-ipv4";
    assert_eq!(one.run(hostname).await, one.address.to_string());
    assert_eq!(two.run(hostname).await, two.address.to_string());

    assert!(clean().await.is_ok());
    first.end().await;
    assert_eq!(
        two.run("echo alive").await,
        "alive",
        "neither a cleanup nor the other's end affects it"
    );
    second.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_serves_one_local_cloud_at_a_time_and_keeps_its_disks() {
    if passed_over() {
        return;
    }
    let mut rig = Rig::start().await;
    let machine = rig.boot(3).await;
    rig.cloud.create_volume(9, 10, Some(Format::Ext4)).await.unwrap();
    rig.cloud.attach(9, 3).await.unwrap();
    machine
        .run(&format!("mount {LINK}9 /mnt && echo kept > /mnt/file && echo kept > /root/file"))
        .await;
    let refused = Nspawn::start(&rig.state(), Sshd::Socket).await.unwrap_err();
    assert!(refused.to_string().contains("another local cloud uses it"), "{refused}");

    rig.again().await;
    rig.cloud.start(3).await.unwrap();
    let machine = rig.machine(3);
    machine.answers().await;
    let kept = machine.run(&format!("cat /root/file; mount {LINK}9 /mnt && cat /mnt/file")).await;
    assert_eq!(kept, "kept\nkept", "the end of a local cloud is no power cut");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_killed_local_cloud_after_cleanup() {
    if passed_over() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut victim = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "host::a_local_cloud_to_be_killed", "--ignored", "--nocapture"])
        .env("VICTIM_DIRECTORY", directory.path())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ready = directory.path().join("ready");
    until("the victim is up", async || ready.exists()).await;
    let slot = std::fs::read_to_string(&ready).unwrap().parse().unwrap();
    let state = directory.path().join("state").canonicalize().unwrap();
    let before = left_on_host(slot, &state);
    for kind in ["loop", "link", "table", "control group", "process", "mount"] {
        assert!(before.iter().any(|line| line.starts_with(kind)), "no {kind} in {before:?}");
    }

    victim.kill().await.unwrap();
    let began = Instant::now();
    until("machines and loop devices disappear by themselves", async || {
        left_on_host(slot, &state).iter().all(|line| {
            ["link: ", "table: ", "control group: "].iter().any(|kind| line.starts_with(kind))
        })
    })
    .await;
    println!("all but link, table and control group gone {:?} after kill -9", began.elapsed());
    let report = clean().await.unwrap();
    println!("cleaned: {report}");
    // Unless a local cloud of another test has claimed the slot, and cleaned it, in between.
    until("the slot is empty or claimed", async || {
        let left = left_on_host(slot, &state);
        left.is_empty() || report.links.is_empty()
    })
    .await;
}

/// Run by the test above, in a process of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "only to be killed"]
async fn a_local_cloud_to_be_killed() {
    let Some(directory) = std::env::var_os("VICTIM_DIRECTORY").map(std::path::PathBuf::from) else {
        return;
    };
    let rig = Rig::start_in(&directory).await;
    rig.cloud.create_volume(1, 10, Some(Format::Ext4)).await.unwrap();
    let machine = rig.boot(1).await;
    rig.cloud.attach(1, 1).await.unwrap();
    machine.run(&format!("mount {LINK}1 /mnt")).await;
    std::fs::write(directory.join("ready.new"), rig.slot().to_string()).unwrap();
    std::fs::rename(directory.join("ready.new"), directory.join("ready")).unwrap();
    std::future::pending::<()>().await;
}
