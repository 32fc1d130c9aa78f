//! Asks the cloud about a server that was tried in vain, and decides what follows.

use std::time::Duration;

use tunnel::{ConnectError, Fingerprint};

use super::attempt::{Attempt, Lost, is_settled};
use super::project::Cloud;
use crate::error::MachineError;
use crate::observed::{Server, is_young};
use crate::reach::{CloudSays, Elsewhere, Hold, Knock, Login, Seen, Verdict, judge, may_remove};

/// The result of trying to reach a server.
pub(super) struct Tried {
    pub(super) knock: Knock,
    pub(super) elsewhere: Elsewhere,
    pub(super) login: Option<Login>,
    pub(super) error: Option<ConnectError>,
    /// How long it was tried.
    pub(super) tried: Duration,
}

impl Tried {
    /// The observations at a moment of the cloud's clock, in seconds since 1970.
    pub(super) fn seen(&self, server: &Server, cloud: CloudSays, now: i64) -> Seen {
        // A server that has served before no longer boots, however young it is.
        let is_young = is_young(server.created, now) && !is_settled(&server.labels);
        Seen {
            knock: self.knock,
            elsewhere: self.elsewhere.clone(),
            login: self.login,
            cloud,
            is_young,
            tried: self.tried,
        }
    }
}

fn says(server: &hetzner::Server) -> CloudSays {
    match server.status {
        _ if server.locked => CloudSays::Busy,
        hetzner::ServerStatus::Running => CloudSays::Running,
        hetzner::ServerStatus::Off => CloudSays::Off,
        _ => CloudSays::Busy,
    }
}

impl Cloud {
    pub(super) async fn diagnose(
        &self,
        server: &Server,
        attempt: Attempt<'_>,
        tried: Tried,
    ) -> Lost {
        let (cloud, labels) = match self.client.servers().get(server.id).await {
            Ok(None) => (CloudSays::Absent, None),
            Ok(Some(now)) => (says(&now), Some(now.labels)),
            Err(_) => (CloudSays::Nothing, None),
        };
        let seen = tried.seen(server, cloud, self.now());
        let verdict = judge(&seen);
        tracing::info!(
            server = server.id,
            ?seen,
            ?verdict,
            "the server does not serve this computer"
        );
        let name = server.name.clone();
        let is_settled = labels.as_ref().is_none_or(is_settled);
        let hold = Hold { is_fresh: attempt.fresh.is_some(), is_settled };
        let removes = may_remove(&verdict, hold);
        match (verdict, tried.error) {
            (Verdict::Absent | Verdict::Passing, _) => {
                Lost::Observe(format!("server {name} does not answer yet"))
            }
            (Verdict::Blocked { hosts }, _) => Lost::Failed(MachineError::PortBlocked {
                hosts,
                kept: Some(name),
                created: attempt.fresh.and_then(|fresh| fresh.price_hourly),
            }),
            (Verdict::WrongLogin, _) => {
                let key = Fingerprint::of(self.options.login.public_key());
                Lost::Failed(MachineError::WrongLogin { name, key })
            }
            (Verdict::AnotherMachine, Some(error)) => Lost::Failed(refused(server, error)),
            (Verdict::Silent { .. }, error) if removes => Lost::Delete(MachineError::Silent {
                name,
                waited: attempt.begun.elapsed(),
                source: error.map(Box::new),
            }),
            (Verdict::Silent { is_the_server }, _) => Lost::Failed(MachineError::Unanswered {
                name,
                waited: attempt.begun.elapsed(),
                is_the_server,
            }),
            (Verdict::Busy | Verdict::AnotherMachine, error) => {
                Lost::Failed(MachineError::Overloaded {
                    name,
                    waited: tried.tried,
                    source: error.map(Box::new),
                })
            }
        }
    }
}

/// The error of a login or command that failed.
pub(super) fn refused(server: &Server, error: ConnectError) -> MachineError {
    match error {
        ConnectError::HostKeyRefused { presented, .. } => {
            MachineError::HostKey { name: server.name.clone(), presented }
        }
        other => MachineError::Connect { name: server.name.clone(), source: Box::new(other) },
    }
}
