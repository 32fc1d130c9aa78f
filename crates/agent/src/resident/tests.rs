use super::*;

use agent_proto::{ContainerCounts, DiskUsage, DockerState, Heartbeat, MachineReport};

use crate::test_machine::TestMachine;

fn heartbeat(client: &str, lease_seconds: u32, idle_seconds: u32) -> Call {
    Call::Heartbeat(Heartbeat {
        client: client.into(),
        lease_seconds,
        idle_seconds,
        idle_limit_seconds: 300,
    })
}

fn release(client: &str, unless_used: bool) -> Call {
    Call::Release { client: client.into(), unless_used }
}

fn reported(reply: Reply) -> MachineReport {
    match reply {
        Reply::Report(report) => report,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_heartbeat_renews_the_lease_and_saves_its_end_for_the_dead_man() {
    let rig = TestMachine::new().with_docker(&["aaa"]).await;
    let resident = Resident::new(rig.machine());
    assert_eq!(reported(resident.reply(Call::Report).await).lease_seconds, None);
    let now = since_boot().as_secs();
    let report = reported(resident.reply(heartbeat("a", 300, 0)).await);
    assert!((298..=300).contains(&report.lease_seconds.unwrap()), "{report:?}");
    assert_eq!(report.docker, DockerState::Ready);
    assert_eq!(report.containers, Some(ContainerCounts { running: 1, total: 2 }));
    assert!(matches!(report.disk, Some(DiskUsage { used, total }) if used < total), "{report:?}");
    assert!(report.others.is_empty(), "the asking client is not among the others: {report:?}");
    let written: u64 = std::fs::read_to_string(rig.paths().lease).unwrap().trim().parse().unwrap();
    assert!((now + 300..now + 303).contains(&written), "{written} at {now}");
}

#[tokio::test]
async fn release_unless_used_reports_other_clients_and_stops_nothing() {
    let rig = TestMachine::new();
    let resident = Resident::new(rig.machine());
    resident.reply(heartbeat("a", 300, 0)).await;
    resident.reply(heartbeat("b", 300, 299)).await;
    let reply = resident.reply(release("b", true)).await;
    assert!(matches!(&reply, Reply::InUse { reason } if reason.contains("client a")), "{reply:?}");
    assert_eq!(rig.log(), Vec::<String>::new());
    assert_eq!(resident.reply(release("b", false)).await, Reply::Done);
    assert!(rig.log().iter().any(|line| line.starts_with("umount")), "{:?}", rig.log());
}

#[tokio::test]
async fn a_client_may_release_when_alone_or_beside_idle_clients() {
    let rig = TestMachine::new();
    let resident = Resident::new(rig.machine());
    resident.reply(heartbeat("a", 300, 300)).await;
    resident.reply(heartbeat("b", 300, 0)).await;
    assert_eq!(resident.reply(release("b", true)).await, Reply::Done);
}

#[tokio::test]
async fn a_failed_release_reports_what_failed() {
    let rig = TestMachine::new();
    rig.program("systemctl", "echo cannot; exit 1");
    let reply = Resident::new(rig.machine()).reply(release("a", false)).await;
    assert_eq!(reply, Reply::Failed { message: "docker.socket did not stop: cannot".into() });
}

#[tokio::test]
async fn an_expired_lease_releases_the_volume_then_self_destructs_and_accepts_no_heartbeat() {
    let rig = TestMachine::new();
    let resident = Resident::new(rig.machine());
    let order = EndOfLease::Delete {
        endpoint: "http://api.example/v1".into(),
        server: 7,
        token: "s3cret".into(),
    };
    assert_eq!(resident.reply(Call::EndOfLease(order)).await, Reply::Done);
    resident.reply(heartbeat("a", 1, 0)).await;
    let deleted = async {
        while !rig.log().iter().any(|line| line.starts_with("curl")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = resident.end_with_the_lease() => panic!("it waits for the deletion to happen"),
        ended = tokio::time::timeout(Duration::from_secs(20), deleted) => {
            ended.unwrap_or_else(|_| panic!("{:?}", rig.log()));
        }
    }
    let log = rig.log();
    let at = |prefix: &str| {
        log.iter()
            .position(|line| line.starts_with(prefix))
            .unwrap_or_else(|| panic!("no {prefix}: {log:?}"))
    };
    let (stop, umount, curl) = (at("systemctl stop"), at("umount"), at("curl --config -"));
    assert!(stop < umount && umount < curl, "{log:?}");
    assert!(!log.iter().any(|line| line.contains("s3cret")), "{log:?}");
    let late = resident.reply(heartbeat("a", 300, 0)).await;
    assert!(matches!(&late, Reply::Failed { message } if message.contains("over")), "{late:?}");
}

#[tokio::test]
async fn without_an_order_an_expired_lease_powers_off() {
    let rig = TestMachine::new();
    let resident = Resident::new(rig.machine());
    resident.reply(heartbeat("a", 0, 0)).await;
    tokio::time::timeout(Duration::from_secs(20), resident.end_with_the_lease()).await.unwrap();
    assert_eq!(rig.log().last().map(String::as_str), Some("systemctl poweroff"));
}

#[tokio::test]
async fn a_refused_volume_is_reported_as_the_reason_for_a_missing_docker() {
    let rig = TestMachine::new();
    std::fs::write(rig.paths().volume_state, "refused: it carries xfs\n").unwrap();
    let resident = Resident::new(rig.machine());
    let waited = resident.reply(Call::AwaitDocker { seconds: 600 });
    let report = reported(tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap());
    assert_eq!(report.docker, DockerState::Failed { reason: "it carries xfs".into() });
}

#[tokio::test]
async fn after_a_release_docker_is_reported_as_released() {
    let rig = TestMachine::new();
    std::fs::write(rig.paths().volume_state, "ready\n").unwrap();
    Resident::new(rig.machine()).release().await.unwrap();
    let waited = Resident::new(rig.machine());
    let waited = waited.reply(Call::AwaitDocker { seconds: 600 });
    let report = reported(tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap());
    assert_eq!(report.docker, DockerState::Released);
}

#[tokio::test]
async fn waiting_for_docker_ends_when_it_answers() {
    let rig = TestMachine::new();
    let resident = Resident::new(rig.machine());
    assert_eq!(
        reported(resident.reply(Call::AwaitDocker { seconds: 0 }).await).docker,
        DockerState::Starting
    );
    let waiting = resident.reply(Call::AwaitDocker { seconds: 600 });
    let starting = async {
        tokio::task::yield_now().await;
        rig.with_docker(&[]).await
    };
    let (reply, _rig) =
        tokio::time::timeout(Duration::from_secs(20), futures::future::join(waiting, starting))
            .await
            .unwrap();
    assert_eq!(reported(reply).docker, DockerState::Ready);
}

#[tokio::test]
async fn calls_arrive_by_the_socket_and_a_second_resident_ends_at_once() {
    let rig = TestMachine::new();
    let paths = rig.paths();
    let first = tokio::spawn(hold(paths.clone()));
    let asking = async {
        loop {
            if let Some(reply) = crate::start_resident::ask(&paths, &Call::Ping).await {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(matches!(
        tokio::time::timeout(Duration::from_secs(20), asking).await,
        Ok(Ok(Reply::Done))
    ));
    tokio::time::timeout(Duration::from_secs(20), hold(paths.clone())).await.unwrap().unwrap();
    assert!(!first.is_finished());
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(paths.socket).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600, "only root may call: {mode:o}");
    first.abort();
}
