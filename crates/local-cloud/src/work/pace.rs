//! How long actions take: at least long enough to be seen running, or as long as was observed at Hetzner.

use std::time::Duration;

use super::Work;
use crate::options::Pace;

/// Long enough for a poll to find the action running.
const SEEN: Duration = Duration::from_millis(20);

impl Pace {
    /// The least time that a work takes.
    pub(crate) fn least(self, work: &Work) -> Duration {
        match self {
            Pace::Fast => SEEN,
            Pace::Real => Duration::from_millis(observed_ms(work)),
        }
    }
}

/// Reports of the live service, 2024 to 2026: create with start about 28 s in all, 2.2 s without start; volumes about 3 s; deletion 11 s; a small
/// snapshot 69 s. What nobody reported is set like its nearest relative.
fn observed_ms(work: &Work) -> u64 {
    match work {
        Work::CreateServer { start_follows: true, .. } => 13_000,
        Work::CreateServer { start_follows: false, .. } => 2_200,
        Work::Start(_) => 15_000,
        Work::Stop(_) => 5_000,
        Work::Shutdown(_) | Work::SetRescue { .. } => 2_000,
        Work::Reboot(_) | Work::Reset(_) => 15_000,
        Work::Rebuild { .. } => 28_000,
        Work::ChangeType { .. } => 28_000,
        Work::CreateImage { .. } => 69_000,
        Work::DeleteServer(_) => 11_000,
        Work::CreateVolume(_) => 2_700,
        Work::Attach { .. } | Work::Detach(_) | Work::Resize { .. } => 3_000,
        Work::ApplyFirewall { .. } | Work::RemoveFirewall { .. } => 2_000,
        Work::Nothing => 1_000,
    }
}
