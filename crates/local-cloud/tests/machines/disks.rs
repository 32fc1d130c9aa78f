//! Volumes, disks and snapshots.

use std::time::Duration;

use dockbridge_local_cloud::hypervisor::{Format, Hypervisor, ImageSource};
use tokio::time::{Instant, timeout};

use crate::rig::{LINK, Rig, passed_over, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_appears_late_by_link_and_serial_and_outlives_its_server() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    rig.cloud.create_volume(4711, 10, Some(Format::Ext4)).await.unwrap();
    let first = rig.boot(1).await;
    assert!(!first.ssh(&format!("test -e {LINK}4711")).await.status.success());

    let began = Instant::now();
    rig.cloud.attach(4711, 1).await.unwrap();
    println!("attach took {:?}", began.elapsed());
    assert_eq!(first.run(&format!("readlink -f {LINK}4711")).await, "/dev/sdb");
    let serial = "tail -c +5 /sys/dev/block/$(lsblk -dno MAJ:MIN /dev/sdb | tr -d ' \
     ')/device/vpd_pg80";
    assert_eq!(first.run(serial).await, "4711");
    let header = "head -c 4 /sys/dev/block/$(lsblk -dno MAJ:MIN /dev/sdb | tr -d ' \
     ')/device/vpd_pg80 | od -An -tx1";
    assert_eq!(first.run(header).await, "00 80 00 04");
    assert_eq!(first.run("blkid -o value -s TYPE /dev/sdb").await, "ext4");
    assert_eq!(first.run("blockdev --getsize64 /dev/sdb").await, (10_u64 << 30).to_string());
    first.run("mount /dev/sdb /mnt && echo kept > /mnt/file").await;

    rig.cloud.resize_volume(4711, 12).await.unwrap();
    assert_eq!(first.run("blockdev --getsize64 /dev/sdb").await, (12_u64 << 30).to_string());
    // Unmounted, because growing a mounted file system needs CAP_SYS_RESOURCE, which a host in a
    // sandbox may lack.
    first
        .run("umount /mnt && e2fsck -fp /dev/sdb && resize2fs /dev/sdb && mount /dev/sdb /mnt")
        .await;
    assert_eq!(first.run("df --output=size -BG /mnt | tail -1").await, "12G");
    first.run("sync").await;

    rig.cloud.delete(1).await.unwrap();
    let second = rig.create(2, None).await;
    assert_eq!(second.address, first.address, "addresses are reused");
    rig.cloud.attach(4711, 2).await.unwrap();
    rig.cloud.start(2).await.unwrap();
    second.answers().await;
    assert_eq!(second.run(&format!("mount {LINK}4711 /mnt && cat /mnt/file")).await, "kept");

    // While a process has a file open on it.
    second.run("nohup sh -c 'exec 9>/mnt/open; sleep 1000' > /dev/null 2>&1 & sync").await;
    let began = Instant::now();
    timeout(Duration::from_secs(5), rig.cloud.detach(4711))
        .await
        .expect("detaching does not hang")
        .unwrap();
    println!("detach took {:?}", began.elapsed());
    assert_eq!(
        second.run("ls /dev/sd* /dev/disk/by-id 2>/dev/null; findmnt -n /mnt; true").await,
        "/dev/disk/by-id:"
    );
    rig.cloud.delete_volume(4711).await.unwrap();
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_are_blank_or_have_the_requested_file_system() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    for (id, format) in [(1, None), (2, Some(Format::Ext4)), (3, Some(Format::Xfs))] {
        rig.cloud.create_volume(id, 10, format).await.unwrap();
        rig.cloud.create_volume(id, 10, format).await.expect("a repeated request succeeds");
    }
    let machine = rig.boot(1).await;
    for id in 1..=3 {
        rig.cloud.attach(id, 1).await.unwrap();
        rig.cloud.attach(id, 1).await.expect("a repeated request succeeds");
    }
    let kind = |id: u64| format!("blkid -p -o value -s TYPE {LINK}{id}; true");
    assert_eq!(machine.run(&kind(1)).await, "");
    assert_eq!(machine.run(&kind(2)).await, "ext4");
    assert_eq!(machine.run(&kind(3)).await, "xfs");
    machine
        .run(&format!("mkfs.ext4 -q {LINK}1 && mount {LINK}1 /mnt && touch /mnt/x && umount /mnt"))
        .await;
    machine.run(&format!("mount {LINK}3 /mnt && touch /mnt/x && umount /mnt")).await;

    // The same nodes after a reboot; a failed attachment changes nothing.
    assert!(rig.cloud.attach(99, 1).await.is_err());
    machine.ssh("reboot").await;
    until("the machine is down", async || !machine.ssh("true").await.status.success()).await;
    machine.answers().await;
    assert_eq!(machine.run(&format!("readlink -f {LINK}3")).await, "/dev/sdd");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_survives_power_off_and_a_power_cut_loses_only_unsynced_data() {
    if passed_over() {
        return;
    }
    let mut rig = Rig::start().await;
    rig.cloud.create_volume(5, 10, Some(Format::Ext4)).await.unwrap();
    let machine = rig.boot(1).await;
    rig.cloud.attach(5, 1).await.unwrap();
    let host_key = machine.run("cat /etc/ssh/ssh_host_ed25519_key.pub; cat /etc/machine-id").await;
    machine
        .run(&format!(
            "mount {LINK}5 /mnt && echo yes > /mnt/synced && sync && echo no > /mnt/unsynced"
        ))
        .await;
    let began = Instant::now();
    rig.cloud.power_off(1).await.unwrap();
    println!("power off took {:?}", began.elapsed());
    rig.cloud.power_off(1).await.expect("a repeated request succeeds");

    rig.cloud.start(1).await.unwrap();
    machine.answers().await;
    assert_eq!(
        machine.run("cat /etc/ssh/ssh_host_ed25519_key.pub; cat /etc/machine-id").await,
        host_key
    );
    assert_eq!(
        machine.run(&format!("mount {LINK}5 /mnt && cat /mnt/synced; ls /mnt")).await,
        "yes\nlost+found\nsynced"
    );
    assert!(rig.events.try_recv().is_err(), "a requested power off is no event");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_carries_the_disk_to_a_new_server() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    let machine = rig.boot(104_729_001).await;
    machine.run("echo carried > /root/file && rm /etc/cloud/cloud.cfg.d/README").await;
    let began = Instant::now();
    let size = rig.cloud.snapshot(104_729_001, 900).await.unwrap();
    println!("snapshot of {size} bytes took {:?}", began.elapsed());
    assert!(size > 100 << 20, "{size} bytes are less than a system");
    rig.cloud.delete(104_729_001).await.unwrap();

    let copy = rig.create_from(2, ImageSource::Snapshot(900), None).await;
    rig.cloud.start(2).await.unwrap();
    copy.answers().await;
    assert_eq!(
        copy.run("cat /root/file; hostname; ls /etc/cloud/cloud.cfg.d/README 2>/dev/null; true")
            .await,
        "carried\nbox-2"
    );
    rig.cloud.delete_snapshot(900).await.unwrap();
    assert!(rig.cloud.delete(2).await.is_ok());
    rig.end().await;
}
