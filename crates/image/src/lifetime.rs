//! The age of what a build has created, by which builds on other computers are judged.

use std::time::Duration;

use hetzner::Server;
use jiff::Timestamp;

/// No build takes longer. A build on another computer cannot be asked whether it still runs.
pub(crate) const LONGEST_BUILD: Duration = Duration::from_secs(6 * 60 * 60);

pub(crate) fn age(server: &Server) -> Duration {
    since(server.created)
}

pub(crate) fn since(moment: Timestamp) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(moment)).unwrap_or_default()
}
