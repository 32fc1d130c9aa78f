//! An entry of `/etc/fstab` is mounted again after a reboot, whenever its volume appears;
//! automount adds such an entry.

use dockbridge_local_cloud::hypervisor::{Format, Hypervisor};

use crate::rig::{LINK, Rig, passed_over, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_of_fstab_is_mounted_again_after_a_reboot() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    rig.cloud.create_volume(31, 10, Some(Format::Ext4)).await.unwrap();
    let machine = rig.boot(1).await;
    rig.cloud.attach(31, 1).await.unwrap();
    // As in Hetzner's documentation. The last volume does not exist yet, and must not delay the
    // boot.
    let fstab = format!(
        "printf '%s\n' '{LINK}31 /mnt/HC_Volume_31 ext4 discard,nofail,defaults 0 0' '{LINK}32 \
         /mnt/HC_Volume_32 ext4 discard,nofail,defaults 0 0' >>/etc/fstab"
    );
    machine.run(&fstab).await;
    machine
        .run(
            "mkdir -p /mnt/HC_Volume_31 && mount /mnt/HC_Volume_31 && echo kept \
             >/mnt/HC_Volume_31/file && sync",
        )
        .await;
    machine.run("touch /run/this-boot").await;
    machine.ssh("reboot").await;
    until("it is another boot", async || {
        machine.ssh("test ! -e /run/this-boot").await.status.success()
    })
    .await;
    assert_eq!(
        machine.run_until("findmnt --noheadings --output FSTYPE /mnt/HC_Volume_31").await,
        "ext4"
    );
    assert_eq!(machine.run("cat /mnt/HC_Volume_31/file").await, "kept");
    // The other one appears late.
    rig.cloud.create_volume(32, 10, Some(Format::Ext4)).await.unwrap();
    rig.cloud.attach(32, 1).await.unwrap();
    assert_eq!(
        machine.run_until("findmnt --noheadings --output FSTYPE /mnt/HC_Volume_32").await,
        "ext4"
    );
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_automounted_volume_is_mounted_now_and_after_a_reboot() {
    if passed_over() {
        return;
    }
    let rig = Rig::start().await;
    rig.cloud.create_volume(31, 10, Some(Format::Xfs)).await.unwrap();
    rig.cloud.create_volume(32, 10, None).await.unwrap();
    let machine = rig.boot(1).await;
    for volume in [31, 32] {
        rig.cloud.attach(volume, 1).await.unwrap();
        rig.cloud.mount(volume, 1).await.unwrap();
    }
    let mounted = "findmnt --noheadings --output FSTYPE /mnt/HC_Volume_31";
    assert_eq!(machine.run(mounted).await, "xfs");
    assert_eq!(
        machine.run("ls /mnt").await,
        "HC_Volume_31",
        "one without a file system is not mounted"
    );
    machine.run("touch /run/this-boot").await;
    machine.ssh("reboot").await;
    until("it is another boot", async || {
        machine.ssh("test ! -e /run/this-boot").await.status.success()
    })
    .await;
    assert_eq!(machine.run_until(mounted).await, "xfs");
    rig.end().await;
}
