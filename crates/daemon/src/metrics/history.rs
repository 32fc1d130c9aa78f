//! What happened to machines, counted as their state changes: wakes with their stages, connections
//! made again, and the bytes of all tunnels that there were.

use std::sync::{Arc, Mutex, PoisonError};

use api::Phase;
use lifecycle::Moment;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::watch;
use tunnel::StreamCounts;

use crate::state::{DaemonState, MachineState};

/// In seconds: a stage takes from nothing to some minutes.
const STAGES: [f64; 9] = [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0, 180.0];

/// One label, known at compile time.
type Label = [(&'static str, &'static str); 1];

/// The counters. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct History {
    stages: Family<Label, Histogram, fn() -> Histogram>,
    wakes: Family<Label, Counter>,
    reconnects: Counter,
    traffic: Arc<Mutex<Traffic>>,
}

/// Streams and bytes of all tunnels so far.
#[derive(Debug, Default)]
struct Traffic {
    up: u64,
    down: u64,
    /// The last tunnel, which is not in the sums yet.
    last: Option<StreamCounts>,
}

/// The sums of [`Traffic`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) up: u64,
    pub(crate) down: u64,
    /// Streams that are open now.
    pub(crate) open: u64,
}

/// What was seen of the state before.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    state: Option<api::MachineState>,
    /// When the wake began whose stages are counted, and how many of them are.
    wake: Option<Moment>,
    stages: usize,
}

/// Counts until the daemon ends.
pub(crate) async fn watch(history: History, mut state: watch::Receiver<DaemonState>) {
    let mut seen = Seen::default();
    loop {
        history.observe(&mut seen, &state.borrow_and_update());
        if state.changed().await.is_err() {
            return;
        }
    }
}

impl History {
    pub(crate) fn new() -> Self {
        let wakes = Family::<Label, Counter>::default();
        for result in ["up", "failed", "canceled"] {
            wakes.get_or_create_owned(&[("result", result)]);
        }
        Self {
            stages: Family::new_with_constructor(|| Histogram::new(STAGES)),
            wakes,
            reconnects: Counter::default(),
            traffic: Arc::default(),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "wakes",
            "Attempts to get a machine that have ended, by result",
            self.wakes.clone(),
        );
        registry.register_with_unit(
            "wake_stage_duration",
            "How long each stage of a wake took",
            Unit::Seconds,
            self.stages.clone(),
        );
        registry.register(
            "reconnects",
            "Connections to a machine that were made again after the path was lost",
            self.reconnects.clone(),
        );
    }

    pub(super) fn observe(&self, seen: &mut Seen, now: &DaemonState) {
        let wake = now.phases.first().map(|stage| stage.began);
        if wake != seen.wake {
            (seen.wake, seen.stages) = (wake, 0);
        }
        for stage in &now.phases[seen.stages.min(now.phases.len())..] {
            let Some(ended) = stage.ended else { break };
            let took = ended.since(stage.began).as_secs_f64();
            self.stages.get_or_create_owned(&[("stage", label(&stage.phase))]).observe(took);
            seen.stages += 1;
        }
        let state = now.machine.kind();
        self.count(seen.state.replace(state), state);
        if let MachineState::Up(ready) = &now.machine {
            self.traffic.lock().unwrap_or_else(PoisonError::into_inner).meet(ready.tunnel.counts());
        }
    }

    fn count(&self, before: Option<api::MachineState>, now: api::MachineState) {
        use api::MachineState::{Failed, Lost, Up, Waking};
        let result = match (before, now) {
            (Some(Lost), Up) => {
                self.reconnects.inc();
                return;
            }
            (Some(Waking), Waking) => return,
            (Some(Waking), Up) => "up",
            (Some(Waking), Failed) => "failed",
            (Some(Waking), _) => "canceled",
            _ => return,
        };
        self.wakes.get_or_create_owned(&[("result", result)]).inc();
    }

    pub(super) fn sums(&self) -> Sums {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner).sums()
    }
}

impl Traffic {
    fn meet(&mut self, tunnel: StreamCounts) {
        if self.last.as_ref().is_some_and(|last| last.is(&tunnel)) {
            return;
        }
        let Sums { up, down, .. } = self.sums();
        *self = Self { up, down, last: Some(tunnel) };
    }

    fn sums(&self) -> Sums {
        let last = self.last.as_ref().map(|last| (last.up(), last.down(), last.open()));
        let (up, down, open) = last.unwrap_or_default();
        Sums { up: self.up + up, down: self.down + down, open }
    }
}

fn label(phase: &Phase) -> &'static str {
    match phase {
        Phase::LookUp => "look_up",
        Phase::Wait => "wait",
        Phase::CleanUp => "clean_up",
        Phase::Create => "create",
        Phase::Boot => "boot",
        Phase::Connect => "connect",
        Phase::Docker => "docker",
        Phase::Resume => "resume",
    }
}
