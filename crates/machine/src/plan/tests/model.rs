//! Runs the plan against a model of the cloud in which steps are cut off.

use proptest::prelude::*;

use super::*;

/// A cloud that carries out a step, or half of it.
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
    fn any_server()(
        status in any_status(), busy: bool, addressed: bool, known: bool, near: bool,
    ) -> Server {
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

    /// From any start, with any step cut off halfway, the plan ends with one server and one
    /// volume, and never deletes a volume.
    #[test]
    fn plan_ends_with_one_server_and_one_volume(
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
            let attached = servers
                .iter()
                .position(|(server, attached)| *attached && server.location == "fsn1");
            model.observed.volumes.push(volume(50, attached.map(|at| at as u64 + 1)));
        }
        for cut in cuts {
            let volumes: Vec<u64> = model.observed.volumes.iter().map(|volume| volume.id).collect();
            match plan(&spec(), &model.observed, &catalogue()) {
                Ok(Step::Connect(server)) => {
                    prop_assert_eq!(model.observed.servers.len(), 1);
                    prop_assert_eq!(model.observed.volumes.len(), 1);
                    // The cloud may still be attaching the volume of a new server.
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
            let left = |id: &u64| model.observed.volumes.iter().any(|volume| volume.id == *id);
            prop_assert!(volumes.iter().all(left));
        }
        Err::<(), _>(TestCaseError::fail("no end"))?;
    }
}
