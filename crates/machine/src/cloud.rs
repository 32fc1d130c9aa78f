//! Machines as servers of a Hetzner Cloud project: observe, plan, apply, until one answers.

mod access;
mod addresses;
mod computers;
mod connect;
mod create;
mod creation;
mod destroy;
mod growth;
mod looks;
mod observe;
mod orphans;
mod prices;
mod probe;
mod standing;
mod trial;
mod way;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use hetzner::Client;
use russh::keys::PrivateKey;
use secrecy::SecretString;
use tunnel::{AgentPlan, Tunnel};

pub use access::Access;
use computers::Logins;
pub use create::only_ssh;
pub use growth::{FileSystem, Resized};
pub(crate) use observe::{priced_server, priced_volume};
pub use orphans::{Orphan, OrphanKind};
use prices::PriceList;
pub use probe::PortCheck;
pub use standing::{Owned, Standing, Stored, standing};
use way::{Joining, Purpose};

use crate::books::Books;
use crate::error::MachineError;
use crate::identity::Identity;
use crate::observed::Volume;
use crate::plan::Spec;
use crate::port_window::PortWindows;
use crate::provider::{Consent, Destroyed, Joined, Lease, Observer, Provider, Ready, Summary};
use crate::wakes::Wakes;

/// What a machine does when its lease ends.
#[derive(Debug, Clone)]
pub enum SelfDestruct {
    /// It deletes itself through the API, reached from the machine at this address.
    Delete {
        /// API base as the machine reaches it.
        endpoint: String,
        /// Handed over by SSH, kept in the agent's memory.
        token: SecretString,
    },
    /// It powers off.
    PowerOff,
}

/// How machines of one identity are made.
#[derive(Debug, Clone)]
pub struct CloudOptions {
    /// Whose machine.
    pub identity: Identity,
    /// What kind.
    pub spec: Spec,
    /// The login key.
    pub login: Arc<PrivateKey>,
    /// Where the agent's binaries are.
    pub agent: AgentPlan,
    /// What this client says of itself.
    pub lease: Lease,
    /// The end of the lease.
    pub self_destruct: SelfDestruct,
    /// Whether containers that ran on the last machine run on the next one though they have no
    /// restart policy.
    pub resume: bool,
    /// How past machines came up, by which the image of the next one is chosen where that is left
    /// open.
    pub wakes: Wakes,
    /// Which numbers the engine chooses for published ports.
    pub port_windows: PortWindows,
    /// How it is found out whether TCP 22 leads out of this computer's network.
    pub port_check: PortCheck,
    /// Where each server and volume that is made or deleted is reported.
    pub books: Books,
}

/// A provider over the API of one cloud project.
#[derive(Debug, Clone)]
pub struct Cloud {
    client: Client,
    options: Arc<CloudOptions>,
    prices: Arc<PriceList>,
    logins: Arc<Logins>,
    /// A volume that this process made and that no server was asked for with yet: the only one that
    /// may be taken back.
    fresh: Arc<Mutex<Option<Volume>>>,
}

impl Cloud {
    /// Nothing is asked or made yet.
    pub fn new(client: Client, options: CloudOptions) -> Self {
        Self {
            client,
            options: Arc::new(options),
            prices: Arc::default(),
            logins: Arc::default(),
            fresh: Arc::default(),
        }
    }

    /// Seconds since 1970 by the cloud's clock: ages are counted from times that the cloud has set.
    fn now(&self) -> i64 {
        jiff::Timestamp::now().as_second().saturating_sub(self.client.clock_offset().unwrap_or(0))
    }

    /// Waits for actions that were begun; what was gone already when we came is fine.
    async fn settled(
        &self,
        what: &'static str,
        begun: hetzner::Result<Vec<hetzner::Action>>,
    ) -> Result<(), MachineError> {
        let fail = |source| MachineError::Cloud { what, source: Box::new(source) };
        self.client.wait(begun.map_err(fail)?).await.map_err(fail)
    }
}

/// Names what was asked of the cloud.
fn cloud(what: &'static str) -> impl FnOnce(hetzner::Error) -> MachineError {
    move |source| MachineError::Cloud { what, source: Box::new(source) }
}

impl Provider for Cloud {
    fn find(&self) -> BoxFuture<'_, Result<Option<Summary>, MachineError>> {
        Box::pin(async {
            let observed = self.servers_and_volumes().await?;
            Ok(observed.servers.first().map(|server| self.summary(server, &observed, None)))
        })
    }

    fn ensure<'a>(
        &'a self,
        observer: &'a dyn Observer,
    ) -> BoxFuture<'a, Result<Ready, MachineError>> {
        Box::pin(async {
            match Box::pin(self.way_to_machine(Purpose::Serve, observer)).await? {
                Some(ready) => Ok(ready),
                None => Err(MachineError::TimedOut {
                    waited: Duration::ZERO,
                    last: "there was no machine".to_owned(),
                }),
            }
        })
    }

    fn join(&self, patience: Duration) -> BoxFuture<'_, Result<Joined, MachineError>> {
        Box::pin(async move {
            Ok(match Box::pin(self.way_to_machine(Purpose::Join { patience }, &Joining)).await? {
                Some(ready) => Joined::Ready(Box::new(ready)),
                None => Joined::Absent,
            })
        })
    }

    fn priced<'a>(&'a self, machine: &'a Summary) -> BoxFuture<'a, Option<Summary>> {
        Box::pin(self.add_prices(machine))
    }

    fn clock_offset(&self) -> Option<i64> {
        self.client.clock_offset()
    }

    fn settle<'a>(&'a self, ready: &'a Ready) -> BoxFuture<'a, Result<(), MachineError>> {
        Box::pin(async {
            self.replace_host_key(ready).await?;
            match ready.summary.id {
                Some(server) => self.label_addresses(server).await,
                None => Ok(()),
            }
        })
    }

    fn attend<'a>(&'a self, ready: &'a Ready) -> BoxFuture<'a, ()> {
        Box::pin(self.admit_others(ready))
    }

    fn destroy<'a>(
        &'a self,
        tunnel: Option<&'a Tunnel>,
        consent: Consent,
    ) -> BoxFuture<'a, Result<Destroyed, MachineError>> {
        Box::pin(self.take_down(tunnel, consent))
    }
}
