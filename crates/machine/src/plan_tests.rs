use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::choice::Kind;
use crate::host_key::HostKey;
use crate::observed::{LONGEST_BOOT, ServerType};

fn spec() -> Spec {
    Spec {
        server_types: vec!["cx23".into(), "cax11".into()],
        locations: vec!["fsn1".into(), "nbg1".into()],
        image: "docker-ce".into(),
        volume_size: 20,
        boot_lease_seconds: 900,
    }
}

fn image(id: u64, kind: Kind, disk: u64) -> Candidate {
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
            .map(|(architecture, id)| (architecture.to_owned(), vec![image(id, Kind::Plain, 5)]))
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

fn rungs(ladder: &[Rung]) -> Vec<String> {
    let images = |rung: &Rung| {
        rung.images.iter().map(|image| image.id.to_string()).collect::<Vec<_>>().join("+")
    };
    ladder
        .iter()
        .map(|rung| format!("{}@{}#{}", rung.server_type, rung.location, images(rung)))
        .collect()
}

#[test]
fn the_ladder_tries_what_is_believed_in_stock_first_and_the_rest_all_the_same() {
    let Ok(Step::Create { volume: None, ladder }) =
        plan(&spec(), &Observed::default(), &catalogue())
    else {
        panic!()
    };
    assert_eq!(rungs(&ladder), ["cax11@fsn1#2", "cx23@nbg1#1", "cax11@nbg1#2", "cx23@fsn1#1"]);
}

#[test]
fn a_volume_pins_the_location() {
    let observed = Observed {
        volumes: vec![Volume { location: "nbg1".into(), ..volume(5, None) }],
        ..Observed::default()
    };
    let Ok(Step::Create { ladder, .. }) = plan(&spec(), &observed, &catalogue()) else { panic!() };
    assert_eq!(rungs(&ladder), ["cx23@nbg1#1", "cax11@nbg1#2"]);
    let observed = Observed {
        volumes: vec![Volume { location: "hel1".into(), ..volume(5, None) }],
        ..Observed::default()
    };
    assert!(matches!(
        plan(&spec(), &observed, &catalogue()),
        Err(Problem::NotSold { pinned: true, .. })
    ));
}

#[test]
fn each_rung_has_the_images_of_its_architecture_that_fit_its_disk() {
    let mut catalogue = catalogue();
    catalogue
        .images
        .get_mut("x86")
        .unwrap()
        .extend([image(7, Kind::Own, 41), image(8, Kind::Own, 40)]);
    catalogue.images.get_mut("arm").unwrap().push(image(9, Kind::Own, 80));
    let Ok(Step::Create { ladder, .. }) = plan(&spec(), &Observed::default(), &catalogue) else {
        panic!()
    };
    assert_eq!(rungs(&ladder), ["cax11@fsn1#2", "cx23@nbg1#1+8", "cax11@nbg1#2", "cx23@fsn1#1+8"]);
    catalogue.images = [("arm".to_owned(), vec![image(9, Kind::Own, 80)])].into();
    assert!(matches!(
        plan(&spec(), &Observed::default(), &catalogue),
        Err(Problem::UnknownImage { .. })
    ));
}

#[test]
fn an_image_is_set_by_its_name_or_its_id_or_left_to_measurements() {
    for (text, setting, name) in [
        ("docker-ce", ImageSetting::Named("docker-ce".into()), "docker-ce"),
        ("debian-13", ImageSetting::Named("debian-13".into()), "debian-13"),
        ("4711", ImageSetting::Id(4711), "docker-ce"),
        ("auto", ImageSetting::Auto, "docker-ce"),
    ] {
        assert_eq!(ImageSetting::from(text), setting);
        assert_eq!((setting.to_string().as_str(), setting.name()), (text, name));
    }
}

#[test]
fn unknown_names_are_told_with_what_there_is() {
    let wrong = Spec { server_types: vec!["cx99".into()], ..spec() };
    let problem = plan(&wrong, &Observed::default(), &catalogue()).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "there is no server type \"cx99\"; the cloud sells cx23, cax11"
    );
    let wrong = Spec { locations: vec!["mars".into()], ..spec() };
    let problem = plan(&wrong, &Observed::default(), &catalogue()).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "there is no location \"mars\"; the cloud has fsn1, nbg1, hel1"
    );
}

/// Stock and prices as they were seen at the cloud on 2026-09-29.
#[test]
fn a_far_dearer_type_waits_until_the_preferred_ones_were_refused_everywhere() {
    let offers = |available, hourly| {
        let offer = Offer { available, hourly: Some(hourly) };
        ["fsn1", "nbg1"].map(|location| (location.to_owned(), offer)).into()
    };
    let kind = |name: &str, architecture: &str, offers| ServerType {
        name: name.into(),
        architecture: architecture.into(),
        disk: 40,
        offers,
    };
    let catalogue = Catalogue {
        server_types: vec![
            kind("cx23", "x86", offers(false, 8_800)),
            kind("cpx22", "x86", offers(true, 31_200)),
            kind("cax11", "arm", offers(false, 8_800)),
        ],
        ..catalogue()
    };
    let spec =
        Spec { server_types: ["cx23", "cpx22", "cax11"].map(str::to_owned).into(), ..spec() };
    let Ok(Step::Create { ladder, .. }) = plan(&spec, &Observed::default(), &catalogue) else {
        panic!()
    };
    assert_eq!(
        rungs(&ladder),
        [
            "cx23@fsn1#1",
            "cx23@nbg1#1",
            "cpx22@fsn1#1",
            "cpx22@nbg1#1",
            "cax11@fsn1#2",
            "cax11@nbg1#2"
        ]
    );
    let dear_first = Spec { server_types: ["cpx22", "cx23"].map(str::to_owned).into(), ..spec };
    let Ok(Step::Create { ladder, .. }) = plan(&dear_first, &Observed::default(), &catalogue)
    else {
        panic!()
    };
    assert_eq!(
        rungs(&ladder)[..2],
        ["cpx22@fsn1#1", "cpx22@nbg1#1"],
        "a dear type that the user prefers comes first"
    );
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
fn a_machine_that_is_off_makes_room_unless_it_is_off_for_a_moment() {
    let old = off(LONGEST_BOOT);
    assert!(matches!(plan(&spec(), &old, &catalogue()), Ok(Step::Delete { server: 1, .. })));
    let passing =
        Observed { servers: vec![Server { busy: true, ..server(1, ServerStatus::Off) }], ..old };
    assert!(matches!(plan(&spec(), &passing, &catalogue()), Ok(Step::Await { .. })));
}

#[test]
fn a_new_server_that_was_left_off_is_started_and_not_replaced() {
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
fn a_server_in_the_making_is_connected_to_before_its_volume_is_attached() {
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
fn a_server_whose_volume_the_list_lacks_is_kept() {
    let holder = Server { volumes: vec![5], ..server(1, ServerStatus::Running) };
    let late = Observed { servers: vec![holder], ..Observed::default() };
    assert!(matches!(plan(&spec(), &late, &catalogue()), Ok(Step::Await { .. })));
    let without =
        Observed { servers: vec![server(1, ServerStatus::Running)], ..Observed::default() };
    assert!(matches!(plan(&spec(), &without, &catalogue()), Ok(Step::Delete { .. })));
}

#[test]
fn a_volume_attached_elsewhere_is_left_there() {
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

/// A cloud that does what it is told, or half of it.
#[derive(Debug, Clone, Default)]
struct Model {
    observed: Observed,
    next: u64,
}

impl Model {
    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn apply(&mut self, step: &Step, cut: bool) {
        match step {
            Step::Create { volume: existing, ladder } => {
                let rung = &ladder[0];
                let id = match existing {
                    Some(volume) => volume.id,
                    None => {
                        let id = self.id();
                        self.observed
                            .volumes
                            .push(Volume { location: rung.location.clone(), ..volume(id, None) });
                        id
                    }
                };
                if cut {
                    return;
                }
                let made = Server {
                    location: rung.location.clone(),
                    ..server(self.id(), ServerStatus::Starting)
                };
                self.observed
                    .volumes
                    .iter_mut()
                    .filter(|volume| volume.id == id)
                    .for_each(|volume| volume.server = Some(made.id));
                self.observed.servers.push(made);
            }
            Step::Attach { volume, server } => {
                self.observed
                    .volumes
                    .iter_mut()
                    .filter(|found| found.id == *volume)
                    .for_each(|found| found.server = Some(*server));
            }
            Step::PowerOn { server } => {
                self.observed
                    .servers
                    .iter_mut()
                    .filter(|found| found.id == *server)
                    .for_each(|found| found.status = ServerStatus::Starting);
            }
            Step::Delete { server, .. } => {
                self.observed.servers.retain(|found| found.id != *server);
                for volume in &mut self.observed.volumes {
                    volume.server = volume.server.filter(|attached| attached != server);
                }
            }
            Step::Await { .. } => {
                self.observed.servers.retain(|server| server.status != ServerStatus::Deleting);
                for server in &mut self.observed.servers {
                    server.busy = false;
                    server.address = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
                    server.status = match server.status {
                        ServerStatus::Stopping => ServerStatus::Off,
                        ServerStatus::Other | ServerStatus::Starting => ServerStatus::Running,
                        other => other,
                    };
                }
            }
            Step::Connect(_) => {}
        }
    }
}

fn any_status() -> impl Strategy<Value = ServerStatus> {
    prop_oneof![
        Just(ServerStatus::Starting),
        Just(ServerStatus::Running),
        Just(ServerStatus::Stopping),
        Just(ServerStatus::Off),
        Just(ServerStatus::Other),
    ]
}

prop_compose! {
    fn any_server()(status in any_status(), busy: bool, addressed: bool, known: bool, near: bool) -> Server {
        let mut made = server(0, status);
        made.busy = busy;
        if !addressed { made.address = None; }
        if !known { made.host_keys.clear(); }
        if !near { made.location = "nbg1".into(); }
        made
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// From any beginning, with any step cut off half-way, the plan ends with one server and one
    /// volume, and no volume ever goes.
    #[test]
    fn it_ends_with_one_server_and_one_volume(
        servers in prop::collection::vec((any_server(), any::<bool>()), 0..3),
        has_volume: bool,
        cuts in prop::collection::vec(any::<bool>(), 40),
    ) {
        let mut model = Model { next: 100, ..Model::default() };
        for (at, (mut server, _)) in servers.iter().cloned().enumerate() {
            server.id = at as u64 + 1;
            model.observed.servers.push(server);
        }
        if has_volume {
            let attached = servers.iter().position(|(server, attached)| *attached && server.location == "fsn1");
            model.observed.volumes.push(volume(50, attached.map(|at| at as u64 + 1)));
        }
        for cut in cuts {
            let volumes: Vec<u64> = model.observed.volumes.iter().map(|volume| volume.id).collect();
            match plan(&spec(), &model.observed, &catalogue()) {
                Ok(Step::Connect(server)) => {
                    prop_assert_eq!(model.observed.servers.len(), 1);
                    prop_assert_eq!(model.observed.volumes.len(), 1);
                    // The attaching that belongs to its creation may still be under way.
                    let making = server.busy || server.status == ServerStatus::Starting;
                    let holder = model.observed.volumes[0].server;
                    prop_assert!(holder == Some(server.id) || (making && holder.is_none()));
                    return Ok(());
                }
                Ok(step) => model.apply(&step, cut),
                Err(Problem::VolumeInUse { server, .. }) => {
                    prop_assert!(!model.observed.servers.is_empty(), "{}", server);
                    return Ok(());
                }
                Err(problem) => return Err(TestCaseError::fail(problem.to_string())),
            }
            prop_assert!(volumes.iter().all(|id| model.observed.volumes.iter().any(|volume| volume.id == *id)));
        }
        Err::<(), _>(TestCaseError::fail("no end"))?;
    }
}
