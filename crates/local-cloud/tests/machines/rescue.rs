//! Rescue systems: what they write is the disk, what boots next, and the one that nobody booted in
//! time.

use std::time::Duration;

use dockbridge_local_cloud::hypervisor::{Event, Hypervisor, ImageSource, Rescue};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::{self, Rig, passed_over, until};

/// The rescue system's root, without what makes it one, as an operating system on the disk.
const INSTALL: &str = "set -e; mkfs.ext4 -q -F -E lazy_itable_init=1,nodiscard /dev/sda; mount \
    /dev/sda /mnt; \
    tar --one-file-system -C / -c --exclude=./mnt/* --exclude=./root/* \
    --exclude=./etc/ssh/ssh_host_* . | tar -C /mnt -x; \
    rm /mnt/etc/cloud/cloud-init.disabled /mnt/etc/systemd/network/10-host0.network \
    /mnt/etc/systemd/system/docker.* \
      /mnt/etc/systemd/system/containerd.service; : >/mnt/etc/machine-id; echo installed \
    >/mnt/etc/mark; umount /mnt; sync";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_rescue_system_writes_is_the_disk_that_is_kept_and_booted() {
    if passed_over() {
        return;
    }
    let mut rig = Rig::start().await;
    let machine = rig.create(1, None).await;
    let key = rig.public_key();
    let rescue = || Rescue {
        ssh_keys: vec![key.clone()],
        until: jiff::Timestamp::now() + Duration::from_secs(3600),
    };
    rig.cloud.set_rescue(1, Some(rescue())).await.unwrap();
    rig.cloud.start(1).await.unwrap();
    machine.answers().await;
    assert_eq!(machine.run("hostname").await, "rescue");
    assert_eq!(
        machine
            .run_until(
                "blockdev --getsize64 \
        /dev/sda"
            )
            .await,
        40_000_000_000_u64.to_string()
    );
    assert_eq!(
        machine
            .run(
                "systemctl is-active docker; command -v curl zstd xz gzip bzip2 \
        blkdiscard dd | wc -l"
            )
            .await,
        "inactive\n7"
    );

    // Nothing that boots: it is on and silent, as without a boot loader, and takes the plug only.
    machine.run("printf nothing >/dev/sda; sync").await;
    rig.cloud.power_off(1).await.unwrap();
    rig.cloud.start(1).await.unwrap();
    rig.cloud.shutdown(1).await.unwrap();
    let answer = timeout(Duration::from_secs(1), TcpStream::connect((machine.address, 22))).await;
    assert!(!matches!(answer, Ok(Ok(_))), "nobody is there");
    rig.cloud.power_off(1).await.unwrap();
    assert!(rig.events.try_recv().is_err());

    rig.cloud.set_rescue(1, Some(rescue())).await.unwrap();
    rig.cloud.start(1).await.unwrap();
    machine.answers().await;
    assert_eq!(
        machine
            .run_until(
                "head -c 7 \
        /dev/sda"
            )
            .await,
        "nothing",
        "the disk is kept between two rescues"
    );
    machine.run(&format!("blkdiscard -f /dev/sda; {INSTALL}")).await;
    rig.cloud.power_off(1).await.unwrap();
    let size = rig.cloud.snapshot(1, 70).await.unwrap();
    assert!(
        (100 << 20..2_000 << 20).contains(&size),
        "{size} bytes of 40 GB: holes are not \
        copied"
    );
    rig.cloud.delete(1).await.unwrap();

    let server = rig.create_from(2, ImageSource::Snapshot(70), None).await;
    rig.cloud.start(2).await.unwrap();
    server.answers().await;
    assert_eq!(
        server.run("cat /etc/mark; hostname; findmnt -no FSTYPE /").await,
        "installed\nbox-2\next4"
    );
    // A reboot from inside leads to the rescue system, once, if that was ordered.
    rig.cloud.set_rescue(2, Some(rescue())).await.unwrap();
    server.ssh("reboot").await;
    let event = timeout(rig::CEILING, rig.events.recv()).await.expect("it is told").unwrap();
    assert_eq!(event, Event::Rescued(2));
    server.answers().await;
    assert_eq!(server.run("hostname").await, "rescue");
    server.ssh("reboot").await;
    until("the disk's own system is back", async || {
        let told = server.ssh("hostname").await;
        told.status.success() && told.stdout.starts_with(b"box-2")
    })
    .await;
    rig.cloud.delete_snapshot(70).await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rescue_system_that_nobody_booted_in_time_is_forgotten() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    let machine = rig.create(1, None).await;
    let late =
        Rescue { ssh_keys: Vec::new(), until: jiff::Timestamp::now() - Duration::from_secs(1) };
    rig.cloud.set_rescue(1, Some(late)).await.unwrap();
    rig.cloud.start(1).await.unwrap();
    machine.answers().await;
    assert_eq!(machine.run("hostname").await, "box-1");
    rig.end().await;
}
