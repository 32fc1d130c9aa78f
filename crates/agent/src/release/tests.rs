use super::*;

use crate::stand_ins::StandIns;

#[tokio::test]
async fn containers_stop_before_docker_and_docker_before_the_mounts_go() {
    let rig = StandIns::new().with_docker(&["aaa", "bbb"]).await;
    release(&rig.machine()).await.unwrap();
    let said = rig.log();
    let (stops, rest) = said.split_at(2);
    let mut stops = stops.to_vec();
    stops.sort();
    assert_eq!(stops, ["stop aaa", "stop bbb"]);
    let root = rig.root();
    let umount = |path: &str| format!("umount --recursive {}", root.join(path).display());
    assert_eq!(
        rest,
        [
            "systemctl stop docker.socket".to_owned(),
            "systemctl stop docker.service".to_owned(),
            "systemctl stop containerd.service".to_owned(),
            "sync ".to_owned(),
            umount("var/lib/docker"),
            umount("var/lib/containerd"),
            umount("mnt/dockbridge"),
        ]
    );
}

#[tokio::test]
async fn what_is_done_already_is_not_done_again() {
    let rig = StandIns::new();
    release(&rig.machine()).await.unwrap();
    let first = rig.log().len();
    release(&rig.machine()).await.unwrap();
    let second = rig.log().split_off(first);
    assert!(!second.iter().any(|line| line.starts_with("umount")), "{second:?}");
}

#[tokio::test]
async fn a_mount_that_stays_busy_is_named_and_nothing_below_it_is_touched() {
    let rig = StandIns::new();
    rig.program("umount", "echo target is busy >&2; exit 32");
    let message = release(&rig.machine()).await.unwrap_err();
    assert!(message.contains("var/lib/docker could not be unmounted: target is busy"), "{message}");
    assert!(!rig.log().iter().any(|line| line.contains("mnt/dockbridge")), "{:?}", rig.log());
}

#[tokio::test]
async fn a_unit_that_does_not_stop_keeps_the_volume_mounted_and_one_that_does_not_exist_does_not_matter() {
    let rig = StandIns::new();
    rig.program("systemctl", "echo no such unit; exit 5");
    release(&rig.machine()).await.unwrap();

    let rig = StandIns::new();
    rig.program("systemctl", "echo cannot; exit 1");
    let message = release(&rig.machine()).await.unwrap_err();
    assert_eq!(message, "docker.socket did not stop: cannot");
    assert!(!rig.log().iter().any(|line| line.starts_with("umount")), "{:?}", rig.log());
}

#[test]
fn a_mount_is_known_by_its_whole_path() {
    let info = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 8:16 / /mnt/dock\\040bridge rw - ext4 /dev/sdb rw\n";
    assert!(is_mounted(info, Path::new("/mnt/dock bridge")) && is_mounted(info, Path::new("/")));
    assert!(!is_mounted(info, Path::new("/mnt")) && !is_mounted(info, Path::new("/mnt/dock")));
}
