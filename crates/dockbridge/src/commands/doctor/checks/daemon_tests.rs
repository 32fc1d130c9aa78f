use api::CheckCode;
use api::CheckState::{Broken, Hint, NotRun, Ok as Fine};
use api::Condition;
use serde_json::{Value, json};

use super::*;
use crate::commands::sample;
use crate::hints::warning_now;

/// What can be wrong.
pub fn findings() -> Vec<(CheckCode, Found)> {
    let served = Seen::Served { process: 7, profile: "m".to_owned(), state: MachineState::Absent };
    let sockets = [
        judged(&served, false),
        judged(&Seen::Missing, false),
        judged(&Seen::Missing, true),
        judged(&Seen::Abandoned(vec!["/run/docker.sock".into()]), false),
        judged(&Seen::Foreign, false),
        judged(&Seen::Silent("no answer within 5 s".to_owned()), false),
        judged(&Seen::NoSocket, false),
        judged(&Seen::TooLong(120), false),
        judged(&Seen::Unreachable("permission denied".to_owned()), false),
    ];
    let services = [
        Service::NoManager { why: "no user manager answers".to_owned(), is_installed: true },
        Service::NotInstalled,
        installed("failed", "active"),
        installed("inactive", "inactive"),
    ];
    let fills = [
        Condition::VolumeFull { left: 12 << 20, size: 20, larger: Some(40) },
        Condition::VolumeNearlyFull { percent: 91, left: 2 << 30, larger: None },
    ];
    let fills =
        fills.map(|held| judge_fill(Some(&status(json!({"warnings": [warning_now(&held)]})))));
    let sockets = sockets.into_iter().map(|found| (CheckCode::Socket, found));
    let services = services.iter().map(|seen| (CheckCode::Service, judge_service(seen)));
    let fills = fills.into_iter().map(|found| (CheckCode::VolumeFill, found));
    sockets.chain(services).chain(fills).collect()
}

fn installed(service: &str, socket: &str) -> Service {
    Service::Installed(vec![unit("d.service", service), unit("d.socket", socket)])
}

fn judged(seen: &Seen, is_activated: bool) -> Found {
    judge_socket(seen, Path::new("/run/docker.sock"), "default", is_activated)
}

#[test]
fn socket_is_fine_only_if_this_profile_is_served_there() {
    let served = |profile: &str| Seen::Served {
        process: 7,
        profile: profile.to_owned(),
        state: MachineState::Absent,
    };
    let fine = Found::ok("process 7 serves it; the machine is absent");
    assert_eq!(judged(&served("default"), false), fine);
    for (seen, state) in [
        (served("m"), Broken),
        (Seen::Missing, Hint),
        (Seen::NoSocket, Broken),
        (Seen::TooLong(120), Broken),
        (Seen::Foreign, Broken),
        (Seen::Silent("no answer".to_owned()), Broken),
        (Seen::Unreachable("permission denied".to_owned()), Broken),
    ] {
        let found = judged(&seen, false);
        assert_eq!((found.state, found.fixes.len()), (state, 0), "{seen:?}");
    }
    assert_eq!(judged(&Seen::Missing, true).state, Broken, "the service manager listens there");
}

#[test]
fn only_sockets_without_a_process_are_removed() {
    let stale = PathBuf::from("/run/docker.sock");
    let found = judged(&Seen::Abandoned(vec![stale.clone()]), false);
    assert_eq!((found.state, found.fixes), (Broken, vec![Fix::Socket(stale)]));
}

fn unit(name: &str, state: &str) -> (String, Unit) {
    (name.to_owned(), Unit { state: state.to_owned(), ..Unit::default() })
}

#[test]
fn service_is_fine_if_its_sockets_listen() {
    let waits = Found::ok("d.service starts with the first docker command");
    assert_eq!(judge_service(&installed("inactive", "active")), waits);
    assert_eq!(judge_service(&installed("active", "active")), Found::ok("d.service runs"));
    let no_manager = |is_installed| Service::NoManager { why: "no bus".to_owned(), is_installed };
    for (service, state) in [
        (installed("failed", "active"), Broken),
        (installed("inactive", "inactive"), Broken),
        (Service::NotInstalled, Hint),
        (no_manager(false), NotRun),
        (no_manager(true), Hint),
    ] {
        assert_eq!(judge_service(&service).state, state, "{service:?}");
    }
}

fn status(fields: Value) -> Status {
    let mut up = json!({"state": "up"});
    sample::extend(&mut up, &fields);
    sample::status(&up)
}

#[test]
fn fill_of_the_volume_follows_the_warnings_of_the_daemon() {
    assert_eq!(judge_fill(None).state, NotRun);
    assert_eq!(judge_fill(Some(&status(json!({})))).state, NotRun);
    let report = json!({
        "protocol": 1, "docker": "ready", "containers": null, "lease_seconds": null,
        "others": [], "uptime_seconds": 1, "disk": {"used": 123, "total": 1000},
    });
    let fine = judge_fill(Some(&status(json!({ "report": report }))));
    assert_eq!((fine.state, &*fine.message), (Fine, "12 % full"));
    for (code, state) in [(WarningCode::VolumeFull, Broken), (WarningCode::VolumeNearlyFull, Hint)]
    {
        let warning = api::Warning::new(code, "little room", 0).hints(["grow it".to_owned()]);
        let found = judge_fill(Some(&status(json!({ "warnings": [warning] }))));
        assert_eq!((found.state, &*found.message), (state, "little room"));
        assert_eq!(found.cures, ["grow it"]);
    }
}
