use super::*;

use crate::stand_ins::{StandIns, Stopped};

#[tokio::test]
async fn docker_stops_with_its_containers_before_the_mounts_go_and_what_ran_is_written_down() {
    let rig = StandIns::new().with_docker(&["aaa", "bbb"]).await;
    release(&rig.machine()).await.unwrap();
    assert_eq!(std::fs::read_to_string(rig.paths().ran).unwrap(), "aaa\nbbb\n");
    let root = rig.root();
    let umount = |path: &str| format!("umount --recursive {}", root.join(path).display());
    assert_eq!(
        rig.log(),
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
async fn a_unit_that_does_not_stop_keeps_the_volume_mounted_and_one_that_does_not_exist_does_not_matter()
 {
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
    let info = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 8:16 / /mnt/dock\\040bridge rw - ext4 \
        /dev/sdb rw\n";
    assert!(is_mounted(info, Path::new("/mnt/dock bridge")) && is_mounted(info, Path::new("/")));
    assert!(!is_mounted(info, Path::new("/mnt")) && !is_mounted(info, Path::new("/mnt/dock")));
}

#[tokio::test]
async fn what_ran_is_still_written_down_after_a_second_release() {
    let rig = StandIns::new();
    resumption::remember(&rig.machine(), &["aaa".to_owned()]).unwrap();
    release(&rig.machine()).await.unwrap();
    assert_eq!(std::fs::read_to_string(rig.paths().ran).unwrap(), "aaa\n");
}

#[tokio::test]
async fn a_container_that_the_engine_still_lists_though_it_has_ended_is_not_taken_for_running() {
    let ended = Stopped { id: "bbb", policy: "unless-stopped", created: "2026-11-01T00:00:00Z" };
    let rig = StandIns::new().with_containers(&["aaa", "bbb"], &[ended]).await;
    release(&rig.machine()).await.unwrap();
    assert_eq!(std::fs::read_to_string(rig.paths().ran).unwrap(), "aaa\n");
}

#[tokio::test]
async fn a_container_that_does_not_stop_is_killed_and_docker_with_it_goes() {
    let mut stubborn = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let id = format!("stubborn-{}", stubborn.id());
    let rig = StandIns::new().with_docker(&[&id]).await;
    // A dead child is still there until it is waited for, as a zombie.
    let gone = format!(
        "while grep -qs '^State:.[^ZX]' /proc/{}/status; do sleep 0.05; \
        done",
        stubborn.id()
    );
    rig.program("systemctl", &format!("[ \"$2\" != docker.service ] || {gone}"));
    let machine = rig.machine();
    let released = release_within(&machine, Duration::from_millis(200));
    tokio::time::timeout(Duration::from_secs(20), released).await.unwrap().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&stubborn.wait().unwrap()), Some(9));
}
