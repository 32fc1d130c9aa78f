//! While the path is lost: the machine is looked for again and again, with growing pauses. Nothing
//! is made here, and no machine is removed for its silence: what keeps us from it may be this
//! computer's network. A client that waits gets more than that, by [`Next::Wake`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

use lifecycle::Moment;
use machine::{
    Actor, Behalf, Consent, Joined, MachineError, ServerStatus, Summary, login_timeout, with_causes,
};

use super::{Backoff, Next, Release, Supervisor, ordered, sleep, until};
use crate::state::State;

/// Between two looks at something that the cloud is doing, and at this computer's network.
const PASSES: Duration = Duration::from_secs(1);

/// The longest pause between two looks at what the cloud is doing: each costs requests of the
/// project's allowance.
const LONGEST_PASSING: Duration = Duration::from_secs(10);

/// What came of one attempt.
enum Attempt {
    Over(Next),
    /// It passes by itself, soon.
    Passing,
    Failed(MachineError),
}

impl Supervisor {
    /// One that runs is connected to again; one that is off is removed; that there is none is said.
    pub(super) async fn find_out(&mut self, reason: String, first_pause: Duration) -> Next {
        self.enter(State::Lost { reason, trouble: None, again: None });
        let (mut pause, mut passing) = (first_pause, PASSES);
        let mut begun: Option<Moment> = None;
        let mut address = None;
        loop {
            if let Some(next) = self.pause(pause, begun, address).await {
                return next;
            }
            let now = self.clock.now();
            self.situation.send_modify(|situation| situation.still_lost(None, None));
            begun = Some(now);
            let came_of_it = match self.attempt(now, &mut address).await {
                Attempt::Over(next) => return next,
                Attempt::Passing => {
                    pause = passing;
                    passing = (passing * 2).min(LONGEST_PASSING);
                    None
                }
                Attempt::Failed(error) if !error.may_pass() => return self.fail(&error),
                Attempt::Failed(error) => {
                    pause = self.backoff.failed(rand::random());
                    let trouble = with_causes(&error);
                    tracing::warn!(%trouble, attempt = self.backoff.attempt(), pause = pause.as_secs_f64(), "the machine is not found again yet");
                    Some(trouble)
                }
            };
            let again = self.clock.now().plus(pause);
            self.situation.send_modify(|situation| situation.still_lost(came_of_it, Some(again)));
        }
    }

    /// Ends with the time, with a client that waits, when the computer wakes up or changes its
    /// network, or with an order.
    async fn pause(
        &mut self,
        pause: Duration,
        begun: Option<Moment>,
        address: Option<IpAddr>,
    ) -> Option<Next> {
        let clock = self.clock.clone();
        let due = clock.now().plus(pause);
        // An attempt that has just begun was meant for this client, too; and a client that comes
        // back at once is no reason for a storm.
        let due_for_clients = begun.map_or(clock.now(), |begun| {
            clock.now().plus(Backoff::for_a_waiting_client(clock.now().since(begun)))
        });
        let source = address.and_then(source_towards);
        loop {
            let wanted = self.is_wanted();
            tokio::select! {
                () = until(&*clock, Some(due_for_clients)), if wanted => return Some(Next::Wake),
                () = until(&*clock, Some(due)), if !wanted => return None,
                _ = self.wanted.changed(), if !wanted => {}
                command = self.commands.recv() => if let Some(next) = ordered(command) { return Some(next) },
                () = network_change(address, source) => {
                    tracing::info!("this computer's network has changed");
                    return None;
                }
            }
        }
    }

    /// One attempt. A client that comes meanwhile lets it go on for a moment, and then has its own.
    async fn attempt(&mut self, begun: Moment, address: &mut Option<IpAddr>) -> Attempt {
        let (provider, clock) = (self.provider.clone(), self.clock.clone());
        let (mut wanted, attempts) = (self.wanted.clone(), self.situation.borrow().attempts);
        let commands = &mut self.commands;
        let limit = login_timeout(self.backoff.attempt());
        let expected = &mut self.expected;
        let joining = async {
            let found: Option<Summary> = provider.find().await?;
            *address = found.as_ref().and_then(|found| found.address);
            match found {
                Some(found)
                    if matches!(found.status, ServerStatus::Running | ServerStatus::Starting) =>
                {
                    *expected = true;
                    Ok((Some(found), Some(provider.join(limit).await?)))
                }
                found => Ok((found, None)),
            }
        };
        let impatience = async {
            // Fails only when the daemon ends, which comes as an order.
            if wanted.wait_for(|wish| *wish > attempts).await.is_err() {
                std::future::pending::<()>().await;
            }
            sleep(Backoff::for_a_waiting_client(clock.now().since(begun))).await;
        };
        let joining = Behalf::new(Actor::Daemon, "connecting to the machine again").during(joining);
        let joined = {
            let (mut joining, mut impatience) =
                (std::pin::pin!(joining), std::pin::pin!(impatience));
            loop {
                tokio::select! {
                    joined = &mut joining => break joined,
                    () = &mut impatience => return Attempt::Over(Next::Wake),
                    command = commands.recv() => if let Some(next) = ordered(command) { return Attempt::Over(next) },
                }
            }
        };
        let now = jiff::Timestamp::now().as_second();
        match joined {
            Ok((_, Some(Joined::Ready(ready)))) => {
                self.introduce(&ready).await;
                self.situation.send_modify(|situation| situation.attempted(None));
                Attempt::Over(Next::Keep(ready.into()))
            }
            Ok((None, _) | (_, Some(Joined::Absent))) => {
                self.lose_machine(&self.gone_because());
                Attempt::Over(Next::Rest)
            }
            Ok((Some(found), None)) => match found.status {
                // Off for a moment: a new server is, before its first start. One that has served
                // was switched off.
                ServerStatus::Off
                    if found.is_off_for_good(now) || (self.has_served(&found) && !found.busy) =>
                {
                    Attempt::Over(Next::Release(Release::of_itself(
                        None,
                        self.off_because(),
                        Actor::Daemon,
                        Consent::Given,
                    )))
                }
                _ => Attempt::Passing,
            },
            Err(error) => Attempt::Failed(error),
        }
    }
}

impl Supervisor {
    /// Whether it has answered before, to this daemon or a former one.
    fn has_served(&self, machine: &Summary) -> bool {
        let situation = self.situation.borrow();
        situation.last_known.as_ref().is_some_and(|last| last.machine.id == machine.id)
    }
}

/// Which address of this computer its packets to `address` would carry. Nothing is sent.
fn source_towards(address: IpAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    // Any port: a datagram socket is connected without a packet.
    socket.connect((address, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Resolves when this computer reaches the machine from another address than before, such as after
/// a change of networks.
async fn network_change(address: Option<IpAddr>, before: Option<IpAddr>) {
    let Some(address) = address else { return std::future::pending().await };
    loop {
        sleep(PASSES).await;
        let now = source_towards(address);
        if now.is_some() && now != before {
            return;
        }
    }
}
