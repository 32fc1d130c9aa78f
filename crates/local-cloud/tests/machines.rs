//! Real machines, driven through the line that the API drives them by.

mod rig;

use std::time::Duration;

use local_cloud::hypervisor::{Format, Hypervisor, ImageSource, InboundRule};
use local_cloud::nspawn::clean;
use rig::{CEILING, Rig, left_on_host, passed_over};
use tokio::time::{Instant, sleep};

const LINK: &str = "/dev/disk/by-id/scsi-0HC_Volume_";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_boots_lets_root_in_by_key_and_runs_its_user_data() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    let machine =
        rig.create(1, Some("#cloud-config\nwrite_files: [{path: /root/told, content: by user-data}]\nruncmd: [touch /root/ran]\n")).await;
    let began = Instant::now();
    rig.cloud.start(1).await.unwrap();
    println!("start took {:?}", began.elapsed());
    machine.answers().await;
    println!("from start to ssh {:?}", began.elapsed());
    assert_eq!(machine.run("hostname").await, "box-1");
    machine.run_until("test -e /root/ran").await;
    assert_eq!(machine.run("cat /root/told").await, "by user-data");
    assert!(machine.run("cloud-init status --wait").await.contains("done"));
    println!(
        "{}",
        machine.run("systemd-analyze; systemd-analyze blame | head -12; docker info -f '{{.ServerVersion}} {{.CgroupVersion}}'").await
    );
    rig.end().await;
}
