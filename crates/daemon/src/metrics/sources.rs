//! Where the metrics of a scrape come from. Nothing of it waits for anyone, so that a scrape is
//! answered in every state.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::Clock;
use machine::Provider;
use ports::Ports;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use tokio::sync::watch;

use super::history::History;
use super::snapshot::Snapshot;
use crate::ledger::{Ledger, Month};
use crate::state::{DaemonState, MachineState};

/// What a scrape reads.
pub(crate) struct Sources {
    pub(crate) state: watch::Receiver<DaemonState>,
    pub(crate) history: History,
    pub(crate) ports: Option<Ports>,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) clock: Arc<dyn Clock>,
    /// The profile's directory, with the ledger.
    pub(crate) directory: PathBuf,
    /// The length of a lease, by which an unseen end is estimated.
    pub(crate) lease: Duration,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Collector for Sources {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        self.snapshot().encode(encoder)
    }
}

impl Sources {
    fn snapshot(&self) -> Snapshot {
        let ports = self.ports.as_ref().map(Ports::list).unwrap_or_default();
        let now = self.state.borrow();
        let round_trip = match &now.machine {
            MachineState::Up(ready) => ready.tunnel.statistics().round_trip,
            _ => None,
        };
        Snapshot {
            state: now.machine.kind(),
            ports,
            disk: now.report.as_ref().and_then(|report| report.disk),
            lease: lease(&now, &*self.clock),
            cost: self.cost(),
            api: self.provider.api_use(),
            traffic: self.history.sums(),
            round_trip: round_trip.map(|took| took.as_secs_f64()),
        }
    }

    /// The ledger is a file of a few kilobytes.
    fn cost(&self) -> Option<(String, f64)> {
        let now = Timestamp::now();
        let lease = i64::try_from(self.lease.as_secs()).unwrap_or(i64::MAX);
        let bill = Ledger::load(&self.directory).bill(Month::of(now), lease, now);
        Some((bill.currency, bill.total))
    }
}

/// The machine counts on since its report.
fn lease(now: &DaemonState, clock: &dyn Clock) -> Option<f64> {
    let left = now.report.as_ref()?.lease_seconds?;
    let since = clock.now().since(now.reported?);
    Some(Duration::from_secs(left.into()).saturating_sub(since).as_secs_f64())
}
