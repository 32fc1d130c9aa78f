//! The cloud project of one identity: the client, how machines are made, and what this process
//! remembers between requests. The other files here add what is done with it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hetzner::Client;
use russh::keys::PrivateKey;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tunnel::AgentPlan;

use super::fresh_volume::FreshVolume;
use super::logins::Logins;
use super::price_list::PriceList;
use super::probe::PortCheck;
use crate::books::Books;
use crate::boot_history::BootHistory;
use crate::error::MachineError;
use crate::identity::Identity;
use crate::lease::Lease;
use crate::operation::Operation;
use crate::port_window::PortWindows;
use crate::spec::Spec;

/// What a machine does when its lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelfDestruct {
    /// It deletes itself through the API, with a token that the agent holds in memory.
    Token,
    /// It powers off, and costs money until the user deletes it.
    PowerOff,
}

/// How a machine reaches the API to delete itself.
#[derive(Debug, Clone)]
pub struct ApiAccess {
    /// API base as the machine reaches it.
    pub endpoint: String,
    /// Sent over SSH, kept in the agent's memory.
    pub token: SecretString,
}

/// How machines of one identity are made.
#[derive(Debug, Clone)]
pub struct CloudOptions {
    /// Profile and owner.
    pub identity: Identity,
    /// What the settings ask for.
    pub spec: Spec,
    /// This computer's login key.
    pub login: Arc<PrivateKey>,
    /// How to upload the agent.
    pub agent: AgentPlan,
    /// This client's lease.
    pub lease: Lease,
    /// What happens at the end of the lease.
    pub self_destruct: SelfDestruct,
    /// Handed to the machine only where it deletes itself.
    pub api: ApiAccess,
    /// Whether containers that ran on the last machine are started on the next one even if they
    /// have no restart policy.
    pub resume: bool,
    /// How past machines booted. It decides the image where the settings say `auto`.
    pub boot_history: BootHistory,
    /// The port numbers that the engine chooses for published ports.
    pub port_windows: PortWindows,
    /// How dockbridge finds out whether this computer's network lets TCP 22 out.
    pub port_check: PortCheck,
    /// Receives each server and volume that is created or deleted.
    pub books: Books,
}

/// What may change while the project is in use. It holds for the next machine.
#[derive(Debug, Clone)]
pub struct NextMachine {
    /// What the settings ask for.
    pub spec: Spec,
    /// How long this client may be idle before it gives the machine up.
    pub idle_limit: Duration,
    /// As in [`CloudOptions::resume`].
    pub resume: bool,
    /// How dockbridge finds out whether this computer's network lets TCP 22 out.
    pub port_check: PortCheck,
}

/// A provider over the API of one cloud project. Clones share what changes.
#[derive(Debug, Clone)]
pub struct Cloud {
    pub(super) client: Client,
    /// One wake uses the same options from its beginning to its end.
    pub(super) options: Arc<CloudOptions>,
    /// The options of the next wake.
    next: Arc<Mutex<Arc<CloudOptions>>>,
    pub(super) prices: Arc<PriceList>,
    pub(super) logins: Arc<Logins>,
    pub(super) fresh_volume: Arc<FreshVolume>,
}

impl Cloud {
    /// Asks nothing and creates nothing yet.
    pub fn new(client: Client, options: CloudOptions) -> Self {
        let options = Arc::new(options);
        Self {
            client,
            next: Arc::new(Mutex::new(options.clone())),
            options,
            prices: Arc::default(),
            logins: Arc::default(),
            fresh_volume: Arc::default(),
        }
    }

    /// Changes what holds for the next machine. A wake that goes on ends as it began.
    pub fn change(&self, change: NextMachine) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let NextMachine { spec, idle_limit, resume, port_check } = change;
        let lease = Lease { idle_limit, ..next.lease.clone() };
        *next = Arc::new(CloudOptions { spec, lease, resume, port_check, ..(**next).clone() });
    }

    /// The project with what was changed until now.
    pub(super) fn changed(&self) -> Self {
        let options = self.next.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { options, ..self.clone() }
    }

    /// Seconds since 1970 by the cloud's clock, since ages are counted from times that the cloud
    /// has set.
    pub(super) fn now(&self) -> i64 {
        jiff::Timestamp::now().as_second().saturating_sub(self.client.clock_offset().unwrap_or(0))
    }

    /// Waits until actions have ended. Does not fail if the resource is already gone.
    pub(super) async fn settled(
        &self,
        operation: Operation,
        begun: hetzner::Result<Vec<hetzner::Action>>,
    ) -> Result<(), MachineError> {
        let actions = begun.map_err(MachineError::cloud(operation))?;
        self.client.wait(actions).await.map_err(MachineError::cloud(operation))
    }
}
