use super::*;

use agent_proto::{ContainerCounts, DiskUsage, DockerState, Heartbeat, MachineReport};

use crate::stand_ins::StandIns;

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
async fn a_heartbeat_renews_the_lease_and_writes_its_end_down_for_the_shell() {
    let rig = StandIns::new().with_docker(&["aaa"]).await;
    let resident = Resident::new(rig.machine());
    assert_eq!(reported(resident.reply(Call::Report).await).lease_seconds, None);
    let now = uptime().as_secs();
    let report = reported(resident.reply(heartbeat("a", 300, 0)).await);
    assert!((298..=300).contains(&report.lease_seconds.unwrap()), "{report:?}");
    assert_eq!(report.docker, DockerState::Ready);
    assert_eq!(report.containers, Some(ContainerCounts { running: 1, total: 2 }));
    assert!(matches!(report.disk, Some(DiskUsage { used, total }) if used < total), "{report:?}");
    assert!(report.others.is_empty(), "who asks is no other: {report:?}");
    let written: u64 = std::fs::read_to_string(rig.paths().lease).unwrap().trim().parse().unwrap();
    assert!((now + 300..now + 303).contains(&written), "{written} at {now}");
}

#[tokio::test]
async fn a_client_that_asks_whether_others_work_here_is_told_and_nothing_is_stopped() {
    let rig = StandIns::new();
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
async fn a_client_alone_or_beside_idle_ones_may_release() {
    let rig = StandIns::new();
    let resident = Resident::new(rig.machine());
    resident.reply(heartbeat("a", 300, 300)).await;
    resident.reply(heartbeat("b", 300, 0)).await;
    assert_eq!(resident.reply(release("b", true)).await, Reply::Done);
}

#[tokio::test]
async fn a_release_that_failed_says_what_failed() {
    let rig = StandIns::new();
    rig.program("systemctl", "echo cannot; exit 1");
    let reply = Resident::new(rig.machine()).reply(release("a", false)).await;
    assert_eq!(reply, Reply::Failed { message: "docker.socket did not stop: cannot".into() });
}

#[tokio::test]
async fn a_lease_that_is_over_releases_the_volume_then_deletes_the_machine_and_takes_no_more_heartbeats()
 {
    let rig = StandIns::new();
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
        () = resident.outlive_the_lease() => panic!("it waits for the deletion to happen"),
        ended = tokio::time::timeout(Duration::from_secs(20), deleted) => ended.unwrap_or_else(|_| panic!("{:?}", rig.log())),
    }
    let said = rig.log();
    let at = |prefix: &str| {
        said.iter()
            .position(|line| line.starts_with(prefix))
            .unwrap_or_else(|| panic!("no {prefix}: {said:?}"))
    };
    assert!(
        at("systemctl \
        stop")
            < at("umount")
            && at("umount") < at("curl --config -"),
        "{said:?}"
    );
    assert!(!said.iter().any(|line| line.contains("s3cret")), "{said:?}");
    let late = resident.reply(heartbeat("a", 300, 0)).await;
    assert!(matches!(&late, Reply::Failed { message } if message.contains("over")), "{late:?}");
}

#[tokio::test]
async fn without_an_order_the_machine_powers_off() {
    let rig = StandIns::new();
    let resident = Resident::new(rig.machine());
    resident.reply(heartbeat("a", 0, 0)).await;
    tokio::time::timeout(Duration::from_secs(20), resident.outlive_the_lease()).await.unwrap();
    assert_eq!(rig.log().last().map(String::as_str), Some("systemctl poweroff"));
}

#[tokio::test]
async fn a_refused_volume_is_the_reason_why_docker_will_not_come() {
    let rig = StandIns::new();
    std::fs::write(rig.paths().volume_state, "refused: it carries xfs\n").unwrap();
    let resident = Resident::new(rig.machine());
    let waited = resident.reply(Call::AwaitDocker { seconds: 600 });
    let report = reported(tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap());
    assert_eq!(report.docker, DockerState::Failed { reason: "it carries xfs".into() });
}

#[tokio::test]
async fn who_comes_after_a_release_is_told_that_docker_will_not_come_back() {
    let rig = StandIns::new();
    std::fs::write(rig.paths().volume_state, "ready\n").unwrap();
    Resident::new(rig.machine()).release().await.unwrap();
    let waited = Resident::new(rig.machine());
    let waited = waited.reply(Call::AwaitDocker { seconds: 600 });
    let report = reported(tokio::time::timeout(Duration::from_secs(20), waited).await.unwrap());
    assert_eq!(report.docker, DockerState::Released);
}

#[tokio::test]
async fn waiting_for_docker_ends_as_soon_as_it_answers() {
    let rig = StandIns::new();
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
async fn calls_arrive_by_the_socket_and_a_second_resident_leaves_at_once() {
    let rig = StandIns::new();
    let paths = rig.paths();
    let first = tokio::spawn(hold(paths.clone()));
    let asking = async {
        loop {
            if let Some(reply) = crate::summon::ask(&paths, &Call::Ping).await {
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
    assert_eq!(mode & 0o777, 0o600, "nobody else may call: {mode:o}");
    first.abort();
}
