use super::*;

use crate::test_machine::{Stopped, TestMachine};

#[tokio::test]
async fn docker_stops_before_the_unmount_and_running_containers_are_saved() {
    let rig = TestMachine::new().with_docker(&["aaa", "bbb"]).await;
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
async fn a_second_release_unmounts_nothing() {
    let rig = TestMachine::new();
    release(&rig.machine()).await.unwrap();
    let first = rig.log().len();
    release(&rig.machine()).await.unwrap();
    let second = rig.log().split_off(first);
    assert!(!second.iter().any(|line| line.starts_with("umount")), "{second:?}");
}

#[tokio::test]
async fn a_busy_mount_is_reported_and_the_mounts_below_stay() {
    let rig = TestMachine::new();
    rig.program("umount", "echo target is busy >&2; exit 32");
    let message = release(&rig.machine()).await.unwrap_err().to_string();
    assert!(message.contains("var/lib/docker could not be unmounted: target is busy"), "{message}");
    assert!(!rig.log().iter().any(|line| line.contains("mnt/dockbridge")), "{:?}", rig.log());
}

#[test]
fn failed_steps_are_shown_in_order_with_their_causes() {
    let source = CommandError::Failed("target is busy".to_owned());
    let steps = vec![
        StepError::StateNotSaved(io::Error::other("no room")),
        StepError::NotRun { program: "sync", source: io::ErrorKind::TimedOut.into() },
        StepError::StillMounted { path: "/mnt".into(), source },
    ];
    assert_eq!(
        Failures(steps).to_string(),
        "the volume's state could not be saved: no room; sync: timed out; \
         /mnt could not be unmounted: target is busy"
    );
}

#[tokio::test]
async fn a_unit_that_does_not_stop_keeps_the_mounts_and_a_missing_unit_does_not() {
    let rig = TestMachine::new();
    rig.program("systemctl", "echo no such unit; exit 5");
    release(&rig.machine()).await.unwrap();

    let rig = TestMachine::new();
    rig.program("systemctl", "echo cannot; exit 1");
    let message = release(&rig.machine()).await.unwrap_err().to_string();
    assert_eq!(message, "docker.socket did not stop: cannot");
    assert!(!rig.log().iter().any(|line| line.starts_with("umount")), "{:?}", rig.log());
}

#[tokio::test]
async fn a_second_release_keeps_the_list_of_containers() {
    let rig = TestMachine::new();
    resumption::remember(&rig.machine(), &["aaa".to_owned()]).unwrap();
    release(&rig.machine()).await.unwrap();
    assert_eq!(std::fs::read_to_string(rig.paths().ran).unwrap(), "aaa\n");
}

#[tokio::test]
async fn an_ended_container_that_the_engine_still_lists_does_not_count_as_running() {
    let ended = Stopped { id: "bbb", policy: "unless-stopped", created: "2026-11-01T00:00:00Z" };
    let rig = TestMachine::new().with_containers(&["aaa", "bbb"], &[ended]).await;
    release(&rig.machine()).await.unwrap();
    assert_eq!(std::fs::read_to_string(rig.paths().ran).unwrap(), "aaa\n");
}

#[tokio::test]
async fn a_container_that_does_not_stop_is_killed_so_that_docker_stops() {
    let mut stubborn = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let id = format!("stubborn-{}", stubborn.id());
    let rig = TestMachine::new().with_docker(&[&id]).await;
    // A dead child remains as a zombie until it is waited for.
    let gone = format!(
        "while grep -qs '^State:.[^ZX]' /proc/{}/status; do sleep 0.05; done",
        stubborn.id()
    );
    rig.program("systemctl", &format!("[ \"$2\" != docker.service ] || {gone}"));
    let machine = rig.machine();
    let released = release_within(&machine, Duration::from_millis(200));
    tokio::time::timeout(Duration::from_secs(20), released).await.unwrap().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&stubborn.wait().unwrap()), Some(9));
}
