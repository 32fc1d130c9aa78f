//! While the machine answers: signs of life to it, the policy's verdict every second, its ports,
//! and a watch on the path.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use agent_proto::{Call, Heartbeat, MachineReport, Reply};
use jiff::Timestamp;
use lifecycle::{Moment, Outcome, decide};
use machine::{Actor, Behalf, Consent, Lease, Ready, Summary, VolumeSummary};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tunnel::AgentState;

use super::{Command, Next, Release, Supervisor, with_causes};
use crate::containers;
use crate::fill::Fill;
use crate::remembered::LastKnown;
use crate::state::State;

/// How often the policy is asked: the shortest time-outs that people set are a few seconds.
const VERDICT_EVERY: Duration = Duration::from_secs(1);
/// An end that nobody sees is known to this, and then by the lease. The budget is looked at as
/// often: well before an hour is over.
const BOOK_EVERY: Duration = Duration::from_secs(30);
/// An agent that does not answer for this long is the watchdog's affair.
const LONGEST_CALL: Duration = Duration::from_secs(10);
/// After another client was found at work, and between attempts at what nobody waits for.
const ASK_AGAIN: Duration = Duration::from_secs(30);
const FOLLOW_AGAIN: Duration = Duration::from_secs(1);

/// What the machine was told of this client's idleness. It lets another client take it down by
/// this, and goes on counting by itself.
#[derive(Debug, Clone, Copy)]
struct Told {
    at: Moment,
    idle: Duration,
}

impl Told {
    /// Whether it is time to correct the machine's picture: it comes near the end of our patience
    /// although we have been at work since.
    fn misleads(self, now: Moment, idle: Duration, limit: Duration) -> bool {
        let believed = self.idle + now.since(self.at);
        believed >= limit / 2 && idle + VERDICT_EVERY < believed
    }
}

impl Supervisor {
    pub(super) async fn keep(&mut self, ready: Arc<Ready>) -> Next {
        let met = self.clock.now();
        (self.expected, self.looks, self.no_attempt_before) = (true, 0, None);
        // With the way to it the first sign of life was given.
        self.is_heard(met, self.lease.length);
        self.situation
            .send_modify(|situation| situation.meet(&ready.summary, Timestamp::now(), met));
        self.book(&ready);
        self.enter(State::Up(ready.clone()));
        let ending = CancellationToken::new();
        let follower = self.follow_ports(ending.clone());
        let settling = self.settle(ready.clone());
        let next = self.until_it_ends(&ready, met).await;
        ending.cancel();
        drop(settling);
        if let Some(follower) = follower {
            let _ = follower.await;
        }
        next
    }

    async fn until_it_ends(&mut self, ready: &Arc<Ready>, met: Moment) -> Next {
        let mut verdicts = interval(VERDICT_EVERY);
        let mut heartbeats = interval(self.interval);
        let mut bookings = interval_at(Instant::now() + BOOK_EVERY, BOOK_EVERY);
        verdicts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Told { at: met, idle: Duration::ZERO };
        let mut not_before = met;
        let mut ready = ready.clone();
        let mut priced = pin!(self.priced(&ready));
        loop {
            tokio::select! {
                summary = &mut priced => {
                    self.summary_is(&mut ready, summary);
                    priced.set(self.priced(&ready));
                }
                _ = bookings.tick() => if self.is_present() { self.book(&ready) },
                reason = ready.tunnel.dead() => {
                    let held = self.clock.now().since(met);
                    return Next::FindOut { reason, pause: self.backoff.lost(held, rand::random()) };
                }
                command = self.commands.recv() => match command {
                    Some(Command::Wake) => {}
                    Some(Command::SayAlive(answer)) => {
                        heartbeats.reset();
                        told = self.heartbeat(&ready).await;
                        if let Some(answer) = answer {
                            // Whoever asked may have gone.
                            let _ = answer.send(());
                        }
                    }
                    Some(Command::Volume(volume)) => {
                        self.volume_is(&mut ready, volume);
                        heartbeats.reset_immediately();
                    }
                    Some(Command::Destroy(order)) => return Next::Release(Release::ordered(Some(ready.clone()), order)),
                    Some(Command::Stop(_)) | None => return Next::End,
                },
                _ = heartbeats.tick() => told = self.heartbeat(&ready).await,
                _ = verdicts.tick() => {
                    let now = self.clock.now();
                    if told.misleads(now, self.idle(), self.lease.idle_limit) {
                        heartbeats.reset();
                        told = self.heartbeat(&ready).await;
                    }
                    let tenure = self.situation.borrow().tenure(now);
                    let verdict = decide(&self.activity.snapshot(), &self.policy, &tenure, now);
                    if verdict.outcome == Outcome::Destroy
                        && now >= not_before
                        && ready.summary.id.is_some()
                    {
                        match self.others(&ready).await {
                            Some(others) => {
                                tracing::info!(%others, "kept for another client");
                                not_before = now.plus(ASK_AGAIN);
                            }
                            None => {
                                let release = Release::of_itself(Some(ready.clone()), verdict.because(), Actor::Policy, Consent::UnlessUsed);
                                return Next::Release(release);
                            }
                        }
                    }
                }
            }
        }
    }

    /// It was grown under a machine that goes on.
    fn volume_is(&mut self, ready: &mut Arc<Ready>, volume: VolumeSummary) {
        let mut summary = ready.summary.clone();
        if summary.volume.as_ref().is_none_or(|known| known.id != volume.id) {
            return;
        }
        summary.volume = Some(volume);
        self.summary_is(ready, summary);
    }

    /// More is known of a machine that goes on.
    fn summary_is(&mut self, ready: &mut Arc<Ready>, summary: Summary) {
        *ready = Arc::new(Ready { tunnel: ready.tunnel.clone(), summary });
        // The same state, since the same moment.
        self.situation.send_modify(|situation| situation.state = State::Up(ready.clone()));
        self.book(ready);
    }

    /// The machine with its prices, as soon as the cloud says them; never where they are known, or
    /// where it costs nothing.
    fn priced(&self, ready: &Ready) -> impl Future<Output = Summary> + use<> {
        let (provider, summary) = (self.provider.clone(), ready.summary.clone());
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

    /// The machine is there, and costs.
    fn book(&mut self, ready: &Ready) {
        let now = Timestamp::now();
        self.accounts.machine_exists(&ready.summary, now);
        if ready.summary.id.is_some() {
            let last = LastKnown { machine: ready.summary.clone(), seen: now.as_second() };
            self.remembered.sees(&last);
            self.situation.send_modify(|situation| situation.last_known = Some(last));
        }
        let budget = self.accounts.budget(now);
        self.situation.send_modify(|situation| {
            if let Some((_, tenure)) = &mut situation.tenure {
                tenure.budget = budget;
            }
        });
    }

    /// How long this client has had nothing to do.
    fn idle(&self) -> Duration {
        let (snapshot, now) = (self.activity.snapshot(), self.clock.now());
        let pinned = snapshot.pin.is_some_and(|pin| pin.until.is_none_or(|until| until > now));
        if !snapshot.live.is_empty() || pinned {
            return Duration::ZERO;
        }
        let since = self.situation.borrow().tenure(now).since;
        now.since(snapshot.last_activity().map_or(since, |seen| seen.at.max(since)))
    }

    /// What this client says of itself now. A pin with an end holds though this computer be
    /// switched off: the lease lasts as long.
    fn alive(&self, idle: Duration) -> Heartbeat {
        let pinned_until = self.activity.snapshot().pin.and_then(|pin| pin.until);
        let left = pinned_until.map_or(Duration::ZERO, |until| until.since(self.clock.now()));
        Lease { length: self.lease.length.max(left), ..self.lease.clone() }.heartbeat(idle)
    }

    async fn heartbeat(&mut self, ready: &Ready) -> Told {
        let (at, idle) = (self.clock.now(), self.idle());
        if ready.summary.id.is_some()
            && !matches!(ready.tunnel.agent(), AgentState::Running { resident: true })
            && self.renew_without_agent(ready).await
        {
            self.is_heard(at, self.lease.length);
        }
        let alive = self.alive(idle);
        let length = Duration::from_secs(alive.lease_seconds.into());
        if let Some(report) = self.call(ready, Call::Heartbeat(alive)).await {
            self.is_heard(at, length);
            let before = self.situation.borrow().fill();
            self.situation.send_modify(|situation| situation.report = Some(report));
            warn_of_fill(before, self.situation.borrow().fill());
        }
        if ready.summary.id.is_some()
            && let Some(running) = containers::running(&ready.tunnel, LONGEST_CALL).await
        {
            self.activity.set_containers(running);
        }
        Told { at, idle }
    }

    /// The machine knows since then that we live, and may live for so long by that.
    fn is_heard(&mut self, at: Moment, length: Duration) {
        (self.heard, self.promised) = (Some(at), Some(at.plus(length)));
    }

    /// It answered lately. After a sleep of this computer nobody knows that it is there.
    fn is_present(&self) -> bool {
        self.heard.is_some_and(|heard| self.clock.now().since(heard) < 2 * self.interval)
    }

    /// The machine's dead-man reads what is written here.
    async fn renew_without_agent(&self, ready: &Ready) -> bool {
        match timeout(LONGEST_CALL, ready.tunnel.exec(&self.lease.renewal(), b"")).await {
            Ok(Ok(output)) if output.success() => return true,
            Ok(Ok(output)) => {
                tracing::warn!(said = %String::from_utf8_lossy(&output.stderr), "the lease could \
                    not be written down")
            }
            Ok(Err(error)) => {
                tracing::warn!(error = %with_causes(&error), "the lease could not be written down")
            }
            Err(_) => tracing::warn!(
                "the lease could not be written down within {} s",
                LONGEST_CALL.as_secs()
            ),
        }
        false
    }

    /// Who else works there, in words for a person.
    async fn others(&self, ready: &Ready) -> Option<String> {
        // A heartbeat rather than a plain report: the answer leaves out whoever sends it.
        let report = self.call(ready, Call::Heartbeat(self.alive(self.idle()))).await?;
        (!report.others.is_empty()).then(|| report.others.join(", "))
    }

    async fn call(&self, ready: &Ready, call: Call) -> Option<MachineReport> {
        let AgentState::Running { resident: true } = ready.tunnel.agent() else { return None };
        match timeout(LONGEST_CALL, ready.tunnel.call(call)).await {
            Ok(Ok(Reply::Report(report))) => Some(report),
            Ok(Ok(_)) => {
                tracing::warn!("the agent gave another answer than was asked for");
                None
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the agent does not answer");
                None
            }
            Err(_) => {
                tracing::warn!("the agent does not answer within {} s", LONGEST_CALL.as_secs());
                None
            }
        }
    }

    fn follow_ports(&self, ending: CancellationToken) -> Option<AbortOnDropHandle<()>> {
        let ports = self.ports.clone()?;
        Some(AbortOnDropHandle::new(tokio::spawn(async move {
            while !ending.is_cancelled() {
                if let Err(error) = ports.run(ending.clone()).await {
                    tracing::debug!(error = %with_causes(&error), "the engine's events cannot be \
                        followed");
                }
                ending.run_until_cancelled(sleep(FOLLOW_AGAIN)).await;
            }
        })))
    }

    /// What nobody waits for; repeated until it has been done.
    fn settle(&self, ready: Arc<Ready>) -> AbortOnDropHandle<()> {
        let provider = self.provider.clone();
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

/// Once for each time that it becomes so.
fn warn_of_fill(before: Option<Fill>, now: Option<Fill>) {
    let Some(now) = now else { return };
    if let Some(refusal) = now.refusal() {
        if before.is_none_or(|before| !before.is_full()) {
            tracing::error!("{refusal}; pulls and loads are refused");
        }
    } else if let Some(warning) = now.warning()
        && before.is_none_or(|before| before.warning().is_none())
    {
        tracing::warn!("{warning}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lifecycle::Clock as _;
    use lifecycle::FakeClock;

    const LIMIT: Duration = Duration::from_secs(60);

    fn misleads(told_idle: u64, later: u64, idle: u64) -> bool {
        let clock = FakeClock::default();
        let told = Told { at: clock.now(), idle: Duration::from_secs(told_idle) };
        clock.advance(Duration::from_secs(later));
        told.misleads(clock.now(), Duration::from_secs(idle), LIMIT)
    }

    #[test]
    fn the_machine_is_told_of_work_before_it_takes_this_client_for_idle() {
        assert!(misleads(50, 5, 0), "a command began");
        assert!(misleads(50, 5, 3), "a short command has come and gone");
        assert!(misleads(0, 40, 5), "told to be at work, and counted as idle ever since");
    }

    #[test]
    fn nothing_is_said_that_the_machine_knows_or_that_changes_nothing_yet() {
        assert!(!misleads(50, 5, 55), "idle as believed");
        assert!(!misleads(0, 20, 0), "far from the limit");
    }
}
