//! While the machine answers: heartbeats, the policy's verdict every second, its ports, its entry
//! in the ledger, and a watch on the path.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::{Moment, Outcome, decide};
use machine::{Actor, Behalf, Consent, Ready, Summary, VolumeSummary, with_causes};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::heartbeat::Reported;
use super::inbox::{Notice, Release};
use super::step::{Action, Stage};
use super::{Next, Supervisor};
use crate::last_state::LastKnown;
use crate::state::MachineState;

/// Time between two verdicts of the policy: the shortest timeouts that users set are a few seconds.
const VERDICT_EVERY: Duration = Duration::from_secs(1);
/// Time between two entries in the ledger: an end that is not seen is known to this, and then by
/// the lease. The budget is checked as often, well before an hour is over.
const BOOK_EVERY: Duration = Duration::from_secs(30);
/// After another client was found at work, and between attempts at what no client waits for.
const ASK_AGAIN: Duration = Duration::from_secs(30);
const FOLLOW_AGAIN: Duration = Duration::from_secs(1);

/// A machine that answers, as this state of the supervisor sees it.
struct Kept {
    ready: Arc<Ready>,
    /// When the connection was made.
    met: Moment,
    reported: Reported,
    /// No verdict is carried out earlier: another client works on the machine.
    not_before: Moment,
}

impl Supervisor {
    pub(super) async fn keep(&mut self, ready: Arc<Ready>) -> Next {
        let met = self.now();
        // The connection was the first heartbeat.
        self.recovery.connected(met, self.settings.lease.length);
        self.state.send_modify(|state| state.meet(&ready.summary, Timestamp::now(), met));
        self.book(&ready);
        self.enter(MachineState::Up(ready.clone()));
        let ending = CancellationToken::new();
        let follower = self.follow_ports(ending.clone());
        let settling = self.settle(ready.clone());
        let reported = Reported { at: met, idle: Duration::ZERO };
        let next = self.until_it_ends(Kept { ready, met, reported, not_before: met }).await;
        ending.cancel();
        drop(settling);
        if let Some(follower) = follower {
            let _ = follower.await;
        }
        next
    }

    async fn until_it_ends(&mut self, mut kept: Kept) -> Next {
        let mut verdicts = interval(VERDICT_EVERY);
        let mut heartbeats = interval(self.settings.heartbeat);
        let mut bookings = interval_at(Instant::now() + BOOK_EVERY, BOOK_EVERY);
        verdicts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changed = self.settings.in_force.clone();
        changed.mark_unchanged();
        let mut priced = pin!(self.priced(&kept.ready));
        loop {
            tokio::select! {
                summary = &mut priced => {
                    self.learn(&mut kept, summary);
                    priced.set(self.priced(&kept.ready));
                }
                Ok(()) = changed.changed() => {
                    // The machine learns the limit of idleness, and the warnings are looked at.
                    self.book(&kept.ready);
                    heartbeats.reset_immediately();
                }
                _ = bookings.tick() => if self.is_present() { self.book(&kept.ready) },
                reason = kept.ready.tunnel.dead() => {
                    let held = self.now().since(kept.met);
                    let pause = self.recovery.path_lost(held, rand::random());
                    return Next::Reconnect { reason, pause };
                }
                notice = self.inbox.changed() => {
                    match notice {
                        Some(Notice::Heartbeat(answer)) => {
                            heartbeats.reset();
                            kept.reported = self.heartbeat(&kept.ready).await;
                            // The sender waits with a limit, which may be over.
                            let _ = answer.map(|answer| answer.send(()));
                        }
                        Some(Notice::Volume(volume)) => {
                            self.learn_volume(&mut kept, volume);
                            heartbeats.reset_immediately();
                        }
                        None => {}
                    }
                    match self.step(Stage::Up) {
                        // An order to wake is carried out already.
                        Action::Wait => drop(self.inbox.take_order()),
                        action => return self.follow(action, Some(kept.ready)),
                    }
                }
                _ = heartbeats.tick() => kept.reported = self.heartbeat(&kept.ready).await,
                _ = verdicts.tick() => {
                    let limit = self.settings.lease().idle_limit;
                    if kept.reported.misleads(self.now(), self.idle(), limit, VERDICT_EVERY) {
                        heartbeats.reset();
                        kept.reported = self.heartbeat(&kept.ready).await;
                    }
                    if let Some(release) = self.release_by_policy(&mut kept).await {
                        return Next::Release(release);
                    }
                }
            }
        }
    }

    /// Asks the policy, and the machine whether another client works on it.
    async fn release_by_policy(&self, kept: &mut Kept) -> Option<Release> {
        let now = self.now();
        let tenure = self.state.borrow().tenure(now);
        let snapshot = self.parts.activity.snapshot();
        let verdict = decide(&snapshot, &self.settings.policy(), &tenure, now);
        let is_paid_for = kept.ready.summary.id.is_some();
        if verdict.outcome != Outcome::Destroy || now < kept.not_before || !is_paid_for {
            return None;
        }
        if let Some(others) = self.others(&kept.ready).await {
            tracing::info!(%others, "kept for another client");
            kept.not_before = now.plus(ASK_AGAIN);
            return None;
        }
        let ready = Some(kept.ready.clone());
        Some(Release::of(ready, verdict.because(), Actor::Policy, Consent::UnlessUsed))
    }

    /// The volume grew while the machine runs.
    fn learn_volume(&mut self, kept: &mut Kept, volume: VolumeSummary) {
        let mut summary = kept.ready.summary.clone();
        if summary.volume.as_ref().is_none_or(|known| known.id != volume.id) {
            return;
        }
        summary.volume = Some(volume);
        self.learn(kept, summary);
    }

    /// More is known of the machine.
    fn learn(&mut self, kept: &mut Kept, summary: Summary) {
        kept.ready = Arc::new(Ready { tunnel: kept.ready.tunnel.clone(), summary });
        // The same state, since the same moment.
        let up = MachineState::Up(kept.ready.clone());
        self.state.send_modify(|state| state.machine = up);
        self.book(&kept.ready);
    }

    /// The machine with its prices, as soon as the cloud says them; never if they are known, or if
    /// it costs nothing.
    fn priced(&self, ready: &Ready) -> impl Future<Output = Summary> + use<> {
        let (provider, summary) = (self.parts.provider.clone(), ready.summary.clone());
        async move {
            if summary.id.is_none() || summary.currency.is_some() {
                return std::future::pending().await;
            }
            loop {
                sleep(ASK_AGAIN).await;
                if let Some(priced) = provider.priced(&summary).await {
                    return priced;
                }
            }
        }
    }

    /// Enters the machine in the ledger and in what the next daemon needs to know.
    fn book(&mut self, ready: &Ready) {
        let now = Timestamp::now();
        self.records.accounts.set_limit(self.settings.budget());
        self.records.accounts.machine_exists(&ready.summary, now);
        if ready.summary.id.is_some() {
            let last = LastKnown { machine: ready.summary.clone(), seen: now.as_second() };
            self.records.last.machine_answers(&last);
            self.state.send_modify(|state| state.last_known = Some(last));
        }
        let budget = self.records.accounts.budget(now);
        self.state.send_modify(|state| {
            if let Some((_, tenure)) = &mut state.tenure {
                tenure.budget = budget;
            }
        });
    }

    fn follow_ports(&self, ending: CancellationToken) -> Option<AbortOnDropHandle<()>> {
        let ports = self.parts.ports.clone()?;
        Some(AbortOnDropHandle::new(tokio::spawn(async move {
            while !ending.is_cancelled() {
                if let Err(error) = ports.run(ending.clone()).await {
                    let error = with_causes(&error);
                    tracing::debug!(%error, "the engine's events cannot be followed");
                }
                ending.run_until_cancelled(sleep(FOLLOW_AGAIN)).await;
            }
        })))
    }

    /// What no client waits for; repeated until it is done.
    fn settle(&self, ready: Arc<Ready>) -> AbortOnDropHandle<()> {
        let provider = self.parts.provider.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            let behalf = Behalf::new(Actor::Daemon, "settling a machine that is up");
            while let Err(error) = behalf.clone().during(provider.settle(&ready)).await {
                tracing::warn!(error = %with_causes(&error), "the machine is not settled yet");
                sleep(ASK_AGAIN).await;
            }
            tracing::debug!("the machine is settled");
            provider.attend(&ready).await;
        }))
    }
}
