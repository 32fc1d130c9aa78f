//! The steps of a plan, one by one. `ladder` tests the order of attempts, `model` whole runs.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::*;
use crate::host_key::HostKey;
use crate::image_choice::{Candidate, ImageKind};
use crate::observed::{LONGEST_BOOT, Offer, ServerType};

mod ladder;
mod model;

fn spec() -> Spec {
    Spec {
        server_types: vec!["cx23".into(), "cax11".into()],
        locations: vec!["fsn1".into(), "nbg1".into()],
        image: "docker-ce".into(),
        volume_size: 20,
        boot_lease_seconds: 900,
    }
}

fn image(id: u64, kind: ImageKind, disk: u64) -> Candidate {
    Candidate { id, name: format!("image {id}"), kind, disk }
}

fn catalogue() -> Catalogue {
    let offer = |available| Offer { available, hourly: Some(10_000) };
    let offers =
        |fsn1| BTreeMap::from([("fsn1".to_owned(), offer(fsn1)), ("nbg1".to_owned(), offer(true))]);
    Catalogue {
        server_types: vec![
            ServerType {
                name: "cx23".into(),
                architecture: "x86".into(),
                disk: 40,
                offers: offers(false),
            },
            ServerType {
                name: "cax11".into(),
                architecture: "arm".into(),
                disk: 40,
                offers: offers(true),
            },
        ],
        locations: vec!["fsn1".into(), "nbg1".into(), "hel1".into()],
        images: [("x86", 1), ("arm", 2)]
            .map(|(architecture, id)| {
                (architecture.to_owned(), vec![image(id, ImageKind::Plain, 5)])
            })
            .into(),
    }
}

fn server(id: u64, status: ServerStatus) -> Server {
    Server {
        id,
        name: "dockbridge-default-x".into(),
        status,
        busy: false,
        address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        location: "fsn1".into(),
        server_type: "cx23".into(),
        image: None,
        volumes: vec![],
        host_keys: vec![HostKey::generate().unwrap().fingerprint()],
        labels: BTreeMap::new(),
        created: 0,
        price_hourly: None,
        price_monthly: None,
    }
}

fn volume(id: u64, server: Option<u64>) -> Volume {
    Volume { id, name: "dockbridge-default-x".into(), location: "fsn1".into(), size: 20, server }
}

fn off(age: Duration) -> Observed {
    let at = i64::try_from(age.as_secs()).unwrap();
    Observed {
        at,
        servers: vec![server(1, ServerStatus::Off)],
        volumes: vec![volume(5, Some(1))],
        ..Observed::default()
    }
}

#[test]
fn server_that_is_off_is_deleted_unless_an_action_runs_on_it() {
    let old = off(LONGEST_BOOT);
    assert!(matches!(plan(&spec(), &old, &catalogue()), Ok(Step::Delete { server: 1, .. })));
    let passing =
        Observed { servers: vec![Server { busy: true, ..server(1, ServerStatus::Off) }], ..old };
    assert!(matches!(plan(&spec(), &passing, &catalogue()), Ok(Step::Await { .. })));
}

#[test]
fn new_server_that_the_cloud_left_off_is_started_and_not_replaced() {
    let young = off(LONGEST_BOOT - Duration::from_secs(1));
    assert_eq!(plan(&spec(), &young, &catalogue()), Ok(Step::PowerOn { server: 1 }));
    let ahead = Observed { at: -3_600, ..young.clone() };
    assert_eq!(
        plan(&spec(), &ahead, &catalogue()),
        Ok(Step::PowerOn { server: 1 }),
        "this computer's clock is slow"
    );
    let elsewhere = Observed {
        servers: vec![Server { location: "nbg1".into(), ..server(1, ServerStatus::Off) }],
        ..young.clone()
    };
    let free = vec![volume(5, None)];
    let elsewhere = Observed { volumes: free, ..elsewhere };
    assert!(
        matches!(plan(&spec(), &elsewhere, &catalogue()), Ok(Step::Delete { .. })),
        "its volume is elsewhere"
    );
    let unknown = Observed {
        servers: vec![Server { host_keys: vec![], ..server(1, ServerStatus::Off) }],
        ..young
    };
    assert!(
        matches!(plan(&spec(), &unknown, &catalogue()), Ok(Step::Delete { .. })),
        "it could not be trusted"
    );
}

#[test]
fn server_in_creation_is_connected_to_before_its_volume_is_attached() {
    let making = Observed {
        servers: vec![server(1, ServerStatus::Starting)],
        volumes: vec![volume(5, None)],
        ..Observed::default()
    };
    assert!(matches!(plan(&spec(), &making, &catalogue()), Ok(Step::Connect(_))));
    let busy = Observed {
        servers: vec![Server { busy: true, ..server(1, ServerStatus::Running) }],
        ..making.clone()
    };
    assert!(matches!(plan(&spec(), &busy, &catalogue()), Ok(Step::Connect(_))));
    let over = Observed { servers: vec![server(1, ServerStatus::Running)], ..making };
    assert_eq!(plan(&spec(), &over, &catalogue()), Ok(Step::Attach { volume: 5, server: 1 }));
}

#[test]
fn server_is_kept_if_the_list_lacks_its_volume() {
    let holder = Server { volumes: vec![5], ..server(1, ServerStatus::Running) };
    let late = Observed { servers: vec![holder], ..Observed::default() };
    assert!(matches!(plan(&spec(), &late, &catalogue()), Ok(Step::Await { .. })));
    let without =
        Observed { servers: vec![server(1, ServerStatus::Running)], ..Observed::default() };
    assert!(matches!(plan(&spec(), &without, &catalogue()), Ok(Step::Delete { .. })));
}

#[test]
fn volume_attached_to_another_server_stays_there() {
    let observed = Observed { volumes: vec![volume(5, Some(99))], ..Observed::default() };
    assert_eq!(
        plan(&spec(), &observed, &catalogue()),
        Err(Problem::VolumeInUse { volume: 5, server: 99 })
    );
    let observed = Observed { servers: vec![server(1, ServerStatus::Running)], ..observed };
    assert_eq!(
        plan(&spec(), &observed, &catalogue()),
        Err(Problem::VolumeInUse { volume: 5, server: 99 })
    );
}
