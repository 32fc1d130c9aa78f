//! Machines as servers of a Hetzner Cloud project: observe, plan, apply, until one answers.

mod addresses;
mod connect;
mod create;
mod destroy;
mod growth;
mod observe;
mod orphans;
mod trial;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use hetzner::Client;
use russh::keys::PrivateKey;
use secrecy::SecretString;
use tokio::time::{Instant, sleep};
use tunnel::{AgentPlan, Tunnel};

pub use connect::Access;
pub use create::only_ssh;
pub use growth::{FileSystem, Resized};
pub use orphans::{Orphan, OrphanKind};
use trial::{Made, Stopwatch};

use crate::error::MachineError;
use crate::identity::Identity;
use crate::plan::{Spec, Step, plan};
use crate::provider::{Consent, Destroyed, Joined, Lease, Phase, Progress, Provider, Ready, Summary};
use crate::wakes::Wakes;

/// From nothing to a machine takes under a minute where all goes well; a stock-out in every location and a slow boot are in this.
const LONGEST_WAY: Duration = Duration::from_secs(10 * 60);
/// Between two looks at something that passes by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Servers on one way: another client may take one down while we wait for it, and a creation may fail.
const MOST_MADE: u32 = 3;

/// Who wants a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Somebody waits for it: whatever it takes.
    Serve,
    /// Nobody does: the one that there is, if it answers.
    Join {
        /// How long it may take to answer.
        patience: Duration,
    },
}

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
    /// Whether containers that ran on the last machine run on the next one though they have no restart policy.
    pub resume: bool,
    /// How past machines came up, by which the image of the next one is chosen where that is left open.
    pub wakes: Wakes,
}

/// A provider over the API of one cloud project.
#[derive(Debug, Clone)]
pub struct Cloud {
    client: Client,
    options: Arc<CloudOptions>,
}

impl Cloud {
    /// Nothing is asked or made yet.
    pub fn new(client: Client, options: CloudOptions) -> Self {
        Self { client, options: Arc::new(options) }
    }

    /// The way to a machine. `None` only where nobody waits for one and there is none.
    async fn way_to_machine(&self, purpose: Purpose, progress: &Progress<'_>) -> Result<Option<Ready>, MachineError> {
        let begun = Instant::now();
        let mut last = "looking up what there is".to_owned();
        let mut made = 0;
        let (stopwatch, mut last_made) = (Stopwatch::default(), None::<Made>);
        let timed = |phase: Phase, detail: Option<String>| {
            stopwatch.lap(&phase);
            progress(phase, detail);
        };
        let progress: &Progress<'_> = &timed;
        progress(Phase::LookUp, None);
        let (mut observed, catalogue) = tokio::try_join!(self.observe(), self.catalogue())?;
        while begun.elapsed() < LONGEST_WAY {
            match plan(&self.options.spec, &observed, &catalogue)? {
                Step::Create { .. } if matches!(purpose, Purpose::Join { .. }) => return Ok(None),
                // Each is billed for an hour, however short it lives.
                Step::Create { .. } if made == MOST_MADE => return Err(MachineError::NeverUp { made, last }),
                Step::Create { volume, ladder } => {
                    made += 1;
                    "creating the server".clone_into(&mut last);
                    // One that is gone before it answered was lost in the making.
                    if let Some(lost) = last_made.take() {
                        self.did_not_come_up(&lost);
                    }
                    last_made = self.create(&observed, volume, &ladder, &stopwatch, progress).await?;
                }
                Step::Attach { volume, server } => {
                    "attaching the volume".clone_into(&mut last);
                    progress(Phase::Create, Some(format!("attaching volume {volume}")));
                    let attached = self.client.volumes().attach(volume, server).await;
                    let settled = self.settled("attach the volume", attached.map(|action| vec![action])).await;
                    // The attaching that belongs to the creation, or another client, may have been faster.
                    if let Err(error) = settled
                        && !self.observe().await?.volumes.iter().any(|found| found.id == volume && found.server == Some(server))
                    {
                        return Err(error);
                    }
                }
                Step::Delete { server, because } => {
                    last = format!("removing server {server}: {because}");
                    progress(Phase::CleanUp, Some(because));
                    match observed.servers.iter().find(|found| found.id == server) {
                        Some(server) => self.remove_server(server).await?,
                        None => self.delete_server(server).await?,
                    }
                }
                Step::Await { what } => {
                    progress(Phase::Wait, Some(what.clone()));
                    last = what;
                    sleep(LOOK_AGAIN).await;
                }
                Step::Connect(server) => match self.connect(&server, &observed, begun, purpose, progress).await {
                    Ok(ready) => {
                        self.came_up(last_made.as_ref(), &ready, &stopwatch);
                        return Ok(Some(ready));
                    }
                    Err(connect::Lost::LookAgain(_) | connect::Lost::Remove(MachineError::Silent { .. })) if purpose != Purpose::Serve => {
                        return Err(MachineError::Silent { name: server.name.clone(), waited: begun.elapsed(), source: None });
                    }
                    // It was replaced or deleted under our hands, or another client is just replacing its host key: look again.
                    Err(connect::Lost::LookAgain(what)) => {
                        last = what;
                        sleep(LOOK_AGAIN).await;
                    }
                    Err(connect::Lost::Remove(error)) => {
                        let other_image = self.try_another_image(&mut last_made, server.id, &error);
                        self.remove_server(&server).await?;
                        if !other_image {
                            return Err(error);
                        }
                        last = error.to_string();
                        progress(Phase::CleanUp, Some(format!("{last}; once more from another image")));
                    }
                    Err(connect::Lost::Replace(because)) => {
                        last = format!("removing server {}: {because}", server.id);
                        progress(Phase::CleanUp, Some(because));
                        self.remove_server(&server).await?;
                    }
                    Err(connect::Lost::Failed(error)) => {
                        if !self.try_another_image(&mut last_made, server.id, &error) {
                            return Err(error);
                        }
                        last = error.to_string();
                        progress(Phase::CleanUp, Some(format!("{last}; once more from another image")));
                        self.remove_server(&server).await?;
                    }
                },
            }
            observed = self.observe().await?;
        }
        Err(MachineError::TimedOut { waited: LONGEST_WAY, last })
    }

    /// Whether a server that this way has just made is given up for another image, since it does not let us in. A docker that will not start may not like what is on the
    /// volume: that is told, whatever the image.
    fn try_another_image(&self, last_made: &mut Option<Made>, server: u64, error: &MachineError) -> bool {
        let is_docker = matches!(error, MachineError::Docker { .. });
        let is_of_the_image =
            is_docker || matches!(error, MachineError::Silent { .. } | MachineError::Connect { .. } | MachineError::HostKey { .. });
        let Some(made) = last_made.take_if(|made| made.server == server && is_of_the_image) else { return false };
        self.did_not_come_up(&made) && !is_docker
    }

    /// Waits for actions that were begun; what was gone already when we came is fine.
    async fn settled(&self, what: &'static str, begun: hetzner::Result<Vec<hetzner::Action>>) -> Result<(), MachineError> {
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
            let observed = self.observe().await?;
            Ok(observed.servers.first().map(|server| self.summary(server, &observed, None)))
        })
    }

    fn ensure<'a>(&'a self, progress: &'a Progress<'a>) -> BoxFuture<'a, Result<Ready, MachineError>> {
        Box::pin(async {
            match self.way_to_machine(Purpose::Serve, progress).await? {
                Some(ready) => Ok(ready),
                None => Err(MachineError::TimedOut { waited: Duration::ZERO, last: "there was no machine".to_owned() }),
            }
        })
    }

    fn join(&self, patience: Duration) -> BoxFuture<'_, Result<Joined, MachineError>> {
        Box::pin(async move {
            let progress = |phase: Phase, detail: Option<String>| tracing::debug!(phase = phase.words(), detail, "joining");
            Ok(match self.way_to_machine(Purpose::Join { patience }, &progress).await? {
                Some(ready) => Joined::Ready(Box::new(ready)),
                None => Joined::Absent,
            })
        })
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

    fn destroy<'a>(&'a self, tunnel: Option<&'a Tunnel>, consent: Consent) -> BoxFuture<'a, Result<Destroyed, MachineError>> {
        Box::pin(self.take_down(tunnel, consent))
    }
}
