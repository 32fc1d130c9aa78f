//! What the engine orders from a hypervisor, as a recording one sees it.

mod late_devices;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use futures::FutureExt;
use serde_json::json;
use tokio::sync::mpsc;

use super::*;
use crate::hypervisor::{self, Event, Failure, Format, InboundRule, NewServer};
use crate::options::{ContainerEngine, Pace};
use crate::state::{Progress, Resource, Server, Volume};

/// Takes a moment for everything, fails on request, and panics when two effects overlap.
#[derive(Default)]
struct Recorder {
    done: Mutex<Vec<String>>,
    busy: Mutex<BTreeMap<u64, &'static str>>,
    fails: Mutex<Vec<&'static str>>,
}

impl Recorder {
    fn effect(&self, what: &'static str, subject: u64) -> hypervisor::Effect<'_> {
        async move {
            let other = self.busy.lock().unwrap().insert(subject, what);
            assert_eq!(other, None, "{what} overlaps another effect on {subject}");
            tokio::time::sleep(Duration::from_millis(5)).await;
            self.busy.lock().unwrap().remove(&subject);
            self.done.lock().unwrap().push(format!("{what} {subject}"));
            match self.fails.lock().unwrap().contains(&what) {
                true => Err(Failure { what: what.to_owned(), cause: "by request".to_owned() }),
                false => Ok(()),
            }
        }
        .boxed()
    }

    fn done(&self) -> Vec<String> {
        self.done.lock().unwrap().clone()
    }
}

impl Hypervisor for Recorder {
    fn reserve_address(&self, _: u64) -> Result<Ipv4Addr, Failure> {
        Ok(Ipv4Addr::new(198, 18, 0, 1))
    }

    fn set_engine(&self, _: ContainerEngine) -> hypervisor::Effect<'_> {
        self.effect("engine", 0)
    }

    fn create(&self, server: NewServer) -> hypervisor::Effect<'_> {
        self.effect("create", server.id)
    }

    fn start(&self, server: u64) -> hypervisor::Effect<'_> {
        self.effect("start", server)
    }

    fn set_rescue(&self, server: u64, _: Option<hypervisor::Rescue>) -> hypervisor::Effect<'_> {
        self.effect("rescue", server)
    }

    fn shutdown(&self, server: u64) -> hypervisor::Effect<'_> {
        self.effect("shutdown", server)
    }

    fn power_off(&self, server: u64) -> hypervisor::Effect<'_> {
        self.effect("power off", server)
    }

    fn delete(&self, server: u64) -> hypervisor::Effect<'_> {
        self.effect("delete", server)
    }

    fn set_firewall(&self, server: u64, _: Option<Vec<InboundRule>>) -> hypervisor::Effect<'_> {
        self.effect("firewall", server)
    }

    fn create_volume(&self, volume: u64, _: u64, _: Option<Format>) -> hypervisor::Effect<'_> {
        self.effect("create volume", volume)
    }

    fn resize_volume(&self, volume: u64, _: u64) -> hypervisor::Effect<'_> {
        self.effect("resize volume", volume)
    }

    fn delete_volume(&self, volume: u64) -> hypervisor::Effect<'_> {
        self.effect("delete volume", volume)
    }

    fn attach(&self, volume: u64, _: u64) -> hypervisor::Effect<'_> {
        self.effect("attach", volume)
    }

    fn mount(&self, volume: u64, _: u64) -> hypervisor::Effect<'_> {
        self.effect("mount", volume)
    }

    fn show_wrong_disk(&self, volume: u64, _: u64) -> hypervisor::Effect<'_> {
        self.effect("show wrong disk", volume)
    }

    fn detach(&self, volume: u64) -> hypervisor::Effect<'_> {
        self.effect("detach", volume)
    }

    fn snapshot(&self, server: u64, _: u64) -> hypervisor::Effect<'_, u64> {
        self.effect("snapshot", server).map(|done| done.map(|()| 7)).boxed()
    }

    fn delete_snapshot(&self, image: u64) -> hypervisor::Effect<'_> {
        self.effect("delete snapshot", image)
    }

    fn events(&self) -> Option<mpsc::UnboundedReceiver<Event>> {
        None
    }

    fn close(&self) -> hypervisor::Effect<'_> {
        async { Ok(()) }.boxed()
    }
}

const SERVER: Id = 10;
const VOLUME: Id = 20;

/// An engine with one created server that is off, and one free volume.
fn engine() -> (Arc<Engine>, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    let mut world = World::new(100);
    let project = world.projects.entry("p".to_owned()).or_default();
    let server: Server = serde_json::from_value(json!({
        "id": SERVER, "name": "s", "status": "off", "created": "2026-10-01T00:00:00Z",
        "server_type": 114, "location": 1, "image": 161_547_269,
        "ipv4": null, "ipv6": null, "labels": {}, "ssh_keys": [], "firewalls": {},
        "disk": 40, "made": true, "protected": false, "user_data": null,
    }))
    .unwrap();
    let volume: Volume = serde_json::from_value(json!({
        "id": VOLUME, "name": "v", "created": "2026-10-01T00:00:00Z",
        "location": 1, "size": 10, "server": null, "format": null,
        "labels": {}, "protected": false, "available": true,
    }))
    .unwrap();
    project.servers.insert(SERVER, server);
    project.volumes.insert(VOLUME, volume);
    (
        Arc::new(Engine::new(
            world,
            Catalogue::built_in().unwrap(),
            recorder.clone(),
            Durations::new(Pace::Fast, 0),
        )),
        recorder,
    )
}

fn chain(engine: &Engine, works: Vec<Work>) -> Chain {
    let mut world = engine.world();
    let World { ids, projects } = &mut *world;
    let project = projects.get_mut("p").unwrap();
    let mut action = |work| {
        let id = ids.take();
        project.record(id, "c", &[Resource::Server(SERVER)], Timestamp::now());
        Step { action: Some(id), work }
    };
    let steps = works.into_iter().map(&mut action).collect();
    Chain {
        project: "p".to_owned(),
        steps,
        holds: vec![Resource::Server(SERVER)],
        chain_fault: ChainFault::None,
    }
}

fn status(engine: &Engine) -> ServerStatus {
    engine.world().projects["p"].servers[&SERVER].status
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_mounted_where_that_was_asked_for_and_attached_even_if_that_fails() {
    for (automount, expected) in [(false, &["attach 20"][..]), (true, &["attach 20", "mount 20"])] {
        let (engine, recorder) = engine();
        recorder.fails.lock().unwrap().push("mount");
        engine
            .clone()
            .run(chain(
                &engine,
                vec![Work::Attach { volume: VOLUME, server: SERVER, late: None, automount }],
            ))
            .await;
        assert_eq!(recorder.done(), expected);
        assert_eq!(engine.world().projects["p"].volumes[&VOLUME].server, Some(SERVER));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attachment_that_is_to_fail_leaves_the_server_running() {
    let (engine, recorder) = engine();
    let works = vec![
        Work::Start(SERVER),
        Work::Attach { volume: VOLUME, server: SERVER, late: None, automount: false },
    ];
    engine
        .clone()
        .run(Chain { chain_fault: ChainFault::Attachments, ..chain(&engine, works) })
        .await;
    assert_eq!(
        (recorder.done(), status(&engine)),
        (vec!["start 10".to_owned()], ServerStatus::Running)
    );
    assert_eq!(engine.world().projects["p"].volumes[&VOLUME].server, None);
}

#[tokio::test(start_paused = true)]
async fn an_action_that_hangs_is_done_in_the_end() {
    let (engine, recorder) = engine();
    let chain = Chain {
        chain_fault: ChainFault::Hangs(Duration::from_secs(60)),
        ..chain(&engine, vec![Work::Start(SERVER)])
    };
    let action = chain.steps[0].action.unwrap();
    let running = tokio::spawn(engine.clone().run(chain));
    tokio::time::sleep(Duration::from_secs(59)).await;
    let progress = || engine.world().projects["p"].actions[&action].progress.clone();
    assert_eq!((progress(), recorder.done()), (Progress::Running, Vec::<String>::new()));
    running.await.unwrap();
    assert_eq!((progress(), recorder.done()), (Progress::Success, vec!["start 10".to_owned()]));
}

/// Result of a creation with this fault: how its actions ended, what was done, the status.
async fn created(chain_fault: ChainFault) -> (Vec<Progress>, Vec<String>, ServerStatus) {
    let (engine, recorder) = engine();
    let works = vec![
        Work::CreateServer { server: SERVER, start_follows: true },
        Work::Start(SERVER),
        Work::Attach { volume: VOLUME, server: SERVER, late: None, automount: false },
    ];
    let chain = Chain { chain_fault, ..chain(&engine, works) };
    let actions: Vec<Id> = chain.steps.iter().filter_map(|s| s.action).collect();
    engine.clone().run(chain).await;
    let ends = actions
        .iter()
        .map(|id| engine.world().projects["p"].actions[id].progress.clone())
        .collect();
    (ends, recorder.done(), status(&engine))
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_start_stays_off_with_its_volume() {
    let unknown = Progress::Error(ActionError::new("unknown_error", "Unknown Error"));
    for (chain_fault, start) in
        [(ChainFault::NotStarted, unknown), (ChainFault::LeftOff, Progress::Success)]
    {
        let (ends, done, status) = created(chain_fault).await;
        assert_eq!(ends, [Progress::Success, start, Progress::Success], "{chain_fault:?}");
        assert_eq!(
            (done, status),
            (
                vec!["create 10".to_owned(), "firewall 10".into(), "attach 20".into()],
                ServerStatus::Off
            )
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_starts_late_is_off_before_its_creation_ends_and_before_its_start() {
    let (engine, _) = engine();
    let works =
        vec![Work::CreateServer { server: SERVER, start_follows: true }, Work::Start(SERVER)];
    let chain = Chain {
        chain_fault: ChainFault::StartsLate(Duration::from_secs(20)),
        ..chain(&engine, works)
    };
    let (create, start) = (chain.steps[0].action.unwrap(), chain.steps[1].action.unwrap());
    engine.with_server(SERVER, |s| s.status = ServerStatus::Initializing);
    let seen = || {
        let world = engine.world();
        let project = &world.projects["p"];
        let progress = |id: Id| project.actions[&id].progress.clone();
        (project.servers[&SERVER].status, progress(create), progress(start))
    };
    let running = tokio::spawn(engine.clone().run(chain));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(seen(), (ServerStatus::Off, Progress::Running, Progress::Running));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(seen(), (ServerStatus::Off, Progress::Success, Progress::Running));
    running.await.unwrap();
    assert_eq!(seen(), (ServerStatus::Running, Progress::Success, Progress::Success));
}

#[tokio::test(start_paused = true)]
async fn effects_on_one_server_never_meet() {
    let (engine, recorder) = engine();
    let effects = (0..20).map(|n| match n % 4 {
        0 => Effect::Start(SERVER),
        1 => Effect::PowerOff(SERVER),
        2 => Effect::Attach { volume: VOLUME, server: SERVER },
        _ => Effect::Detach { volume: VOLUME, server: SERVER },
    });
    let all = futures::future::join_all(effects.map(|effect| engine.perform(effect))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(recorder.done().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_failed_effect_fails_its_action_and_those_behind_it() {
    let (engine, recorder) = engine();
    recorder.fails.lock().unwrap().push("start");
    let works = chain(
        &engine,
        vec![
            Work::Start(SERVER),
            Work::Attach { volume: VOLUME, server: SERVER, late: None, automount: false },
        ],
    );
    let actions: Vec<Id> = works.steps.iter().filter_map(|s| s.action).collect();
    engine.clone().run(works).await;
    assert_eq!(recorder.done(), ["start 10"]);
    assert_eq!(status(&engine), ServerStatus::Off);
    let failed = ActionError::failed("start: by request");
    for id in actions {
        assert_eq!(
            engine.world().projects["p"].actions[&id].progress,
            Progress::Error(failed.clone())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_system_that_ignores_the_power_button_is_rebooted_by_the_plug() {
    let (engine, recorder) = engine();
    engine.clone().run(chain(&engine, vec![Work::Start(SERVER), Work::Reboot(SERVER)])).await;
    assert_eq!(recorder.done(), ["start 10", "shutdown 10", "power off 10", "start 10"]);
    assert_eq!(status(&engine), ServerStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn a_server_without_a_disk_gets_it_at_its_start() {
    let (engine, recorder) = engine();
    recorder.fails.lock().unwrap().push("create");
    engine
        .clone()
        .run(chain(&engine, vec![Work::CreateServer { server: SERVER, start_follows: false }]))
        .await;
    recorder.fails.lock().unwrap().clear();
    engine.clone().run(chain(&engine, vec![Work::Start(SERVER)])).await;
    assert_eq!(recorder.done(), ["create 10", "create 10", "firewall 10", "start 10"]);
    assert_eq!(status(&engine), ServerStatus::Running);
}
