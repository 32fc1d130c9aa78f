//! Rescue systems: what they write is the server's disk and boots next, and an unused one expires.

use std::time::Duration;

use dockbridge_local_cloud::hypervisor::{Event, Hypervisor, ImageSource, Rescue};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::{CEILING, Machine, Rig, passed_over, until};

/// The rescue system's root, without what makes it one, as an operating system on the disk.
const INSTALL: &str = "set -e; mkfs.ext4 -q -F -E lazy_itable_init=1,nodiscard /dev/sda; mount \
 /dev/sda /mnt; tar --one-file-system -C / -c --exclude=./mnt/* --exclude=./root/* \
 --exclude=./etc/ssh/ssh_host_* . | tar -C /mnt -x; rm /mnt/etc/cloud/cloud-init.disabled \
 /mnt/etc/systemd/network/10-host0.network /mnt/etc/systemd/system/docker.* \
 /mnt/etc/systemd/system/containerd.service; : >/mnt/etc/machine-id; echo installed \
 >/mnt/etc/mark; umount /mnt; sync";

#[tokio::test(flavor = "multi_thread")]
async fn data_written_by_the_rescue_system_is_the_disk_that_boots() {
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
        machine.run_until("blockdev --getsize64 /dev/sda").await,
        40_000_000_000_u64.to_string()
    );
    assert_eq!(
        machine
            .run(
                "systemctl is-active docker; command -v curl zstd xz gzip bzip2 blkdiscard dd | wc \
                 -l"
            )
            .await,
        "inactive\n7"
    );

    // Nothing bootable: it is on and silent, as without a boot loader, and only a power cut stops
    // it.
    machine.run("printf nothing >/dev/sda; sync").await;
    rig.cloud.power_off(1).await.unwrap();
    rig.cloud.start(1).await.unwrap();
    rig.cloud.shutdown(1).await.unwrap();
    let answer = timeout(Duration::from_secs(1), TcpStream::connect((machine.address, 22))).await;
    assert!(!matches!(answer, Ok(Ok(_))), "nothing answers");
    rig.cloud.power_off(1).await.unwrap();
    assert!(rig.events.try_recv().is_err());

    rig.cloud.set_rescue(1, Some(rescue())).await.unwrap();
    rig.cloud.start(1).await.unwrap();
    machine.answers().await;
    assert_eq!(
        machine.run_until("head -c 7 /dev/sda").await,
        "nothing",
        "the disk survives two rescue boots"
    );
    machine.run(&format!("blkdiscard -f /dev/sda; {INSTALL}")).await;
    rig.cloud.power_off(1).await.unwrap();
    let size = rig.cloud.snapshot(1, 70).await.unwrap();
    assert!(
        (100 << 20..2_000 << 20).contains(&size),
        "{size} bytes of 40 GB: holes are not copied"
    );
    rig.cloud.delete(1).await.unwrap();

    let server = rig.create_from(2, ImageSource::Snapshot(70), None).await;
    rig.cloud.start(2).await.unwrap();
    server.answers().await;
    assert_eq!(
        server.run("cat /etc/mark; hostname; findmnt -no FSTYPE /").await,
        "installed\nbox-2\next4"
    );
    rig.cloud.set_rescue(2, Some(rescue())).await.unwrap();
    reboots_into_rescue_once(&mut rig, &server).await;
    rig.cloud.delete_snapshot(70).await.unwrap();
    rig.end().await;
}

/// A reboot from inside boots the rescue system once, if that was requested.
async fn reboots_into_rescue_once(rig: &mut Rig, server: &Machine) {
    server.ssh("reboot").await;
    let event = timeout(CEILING, rig.events.recv()).await.expect("the event arrives").unwrap();
    assert_eq!(event, Event::Rescued(2));
    server.answers().await;
    assert_eq!(server.run("hostname").await, "rescue");
    server.ssh("reboot").await;
    until("the disk's own system is back", async || {
        let output = server.ssh("hostname").await;
        output.status.success() && output.stdout.starts_with(b"box-2")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unused_rescue_system_expires() {
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
