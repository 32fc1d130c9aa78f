//! While the path is lost: dockbridge tries again and again to connect, with growing pauses.
//! Nothing is created here, and no machine is removed for its silence: this computer's network may
//! be the cause. A client that waits gets more than that, by [`Next::Wake`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use api::CheckKind;
use jiff::Timestamp;
use lifecycle::Moment;
use machine::{
    Actor, Behalf, Consent, Joined, MachineError, ServerStatus, Summary, login_timeout, with_causes,
};
use tokio::time::sleep;

use super::inbox::Release;
use super::step::{Action, Stage};
use super::{Next, Supervisor, until};
use crate::state::MachineState;

/// Between two looks at something that the cloud is doing, and at this computer's network.
const LOOK: Duration = Duration::from_secs(1);
/// The longest pause between two looks at what the cloud is doing: each costs requests of the
/// project's allowance.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// The result of one attempt to connect.
enum Attempt {
    Over(Next),
    /// The cloud is doing something that will soon be over.
    Passing,
    Failed(MachineError),
}

/// What an attempt found: the server, and the connection if it runs.
type Found = Result<(Option<Summary>, Option<Joined>), MachineError>;

impl Supervisor {
    /// Connects to a machine that runs, removes one that is off, and says if there is none.
    pub(super) async fn reconnect(&mut self, reason: String, first_pause: Duration) -> Next {
        self.enter(MachineState::Lost { reason, trouble: None, again: None });
        let (mut pause, mut passing) = (first_pause, LOOK);
        let mut attempted: Option<Moment> = None;
        let mut address = None;
        loop {
            if let Some(next) = self.pause(pause, attempted, address).await {
                return next;
            }
            let now = self.now();
            self.state.send_modify(|state| state.still_lost(None, None));
            attempted = Some(now);
            let trouble = match self.attempt(now, &mut address).await {
                Attempt::Over(next) => return next,
                Attempt::Passing => {
                    pause = passing;
                    passing = (passing * 2).min(LONGEST_LOOK);
                    None
                }
                Attempt::Failed(error) if !error.may_pass() => return self.fail(&error),
                Attempt::Failed(error) => {
                    pause = self.recovery.attempt_failed(rand::random());
                    let trouble = with_causes(&error);
                    tracing::warn!(
                        %trouble,
                        attempt = self.recovery.attempt(),
                        pause = pause.as_secs_f64(),
                        "the machine does not answer yet"
                    );
                    Some(trouble)
                }
            };
            let now = self.now();
            self.state.send_modify(|state| {
                if let Some(trouble) = &trouble {
                    state.checks.failed(CheckKind::Connect, trouble, now);
                }
                state.still_lost(trouble, Some(now.plus(pause)));
            });
        }
    }

    /// Ends with the time, or when this computer changes its network (`None`), for a client that
    /// waits, or with an order.
    async fn pause(
        &mut self,
        pause: Duration,
        attempted: Option<Moment>,
        address: Option<IpAddr>,
    ) -> Option<Next> {
        let stage = Stage::Lost { attempted, due: self.now().plus(pause) };
        let source = address.and_then(source_towards);
        loop {
            match self.step(stage) {
                Action::Wait => {}
                Action::Connect => return None,
                action => return Some(self.follow(action, None)),
            }
            let look = self.next_look(stage);
            tokio::select! {
                _ = self.inbox.changed() => {}
                () = until(&*self.parts.clock, look) => {}
                () = network_change(address, source) => {
                    tracing::info!("this computer's network has changed");
                    return None;
                }
            }
        }
    }

    /// One attempt. A client that comes meanwhile lets it go on for a moment, and then has its own.
    async fn attempt(&mut self, begun: Moment, address: &mut Option<IpAddr>) -> Attempt {
        let (provider, limit) =
            (self.parts.provider.clone(), login_timeout(self.recovery.attempt()));
        let runs = AtomicBool::new(false);
        let connecting = async {
            let found: Option<Summary> = provider.find().await?;
            *address = found.as_ref().and_then(|found| found.address);
            match found {
                Some(found)
                    if matches!(found.status, ServerStatus::Running | ServerStatus::Starting) =>
                {
                    runs.store(true, Ordering::Relaxed);
                    Ok((Some(found), Some(provider.join(limit).await?)))
                }
                found => Ok((found, None)),
            }
        };
        let behalf = Behalf::new(Actor::Daemon, "connecting to the machine again");
        let mut connecting = pin!(behalf.during(connecting));
        let stage = Stage::Connecting { begun };
        let found: Found = loop {
            let action = self.step(stage);
            if action != Action::Wait {
                if runs.load(Ordering::Relaxed) {
                    self.recovery.exists();
                }
                return Attempt::Over(self.follow(action, None));
            }
            let look = self.next_look(stage);
            tokio::select! {
                found = &mut connecting => break found,
                _ = self.inbox.changed() => {}
                () = until(&*self.parts.clock, look) => {}
            }
        };
        if runs.load(Ordering::Relaxed) {
            self.recovery.exists();
        }
        self.judge(found).await
    }

    /// The outcome of an attempt that was not interrupted.
    async fn judge(&mut self, found: Found) -> Attempt {
        match found {
            Ok((_, Some(Joined::Ready(ready)))) => {
                self.introduce(&ready).await;
                self.state.send_modify(|state| state.attempted(None));
                Attempt::Over(Next::Keep(ready.into()))
            }
            Ok((None, _) | (_, Some(Joined::Absent))) => {
                self.lose_machine(&self.gone_because());
                Attempt::Over(Next::Rest)
            }
            Ok((Some(found), None)) => {
                // A new server is off for a moment, before its first start. One that has served
                // was switched off.
                let is_off = machine::is_off_for_good(&found, Timestamp::now().as_second())
                    || (self.has_served(&found) && !found.busy);
                match found.status {
                    ServerStatus::Off if is_off => {
                        let because = self.off_because();
                        let release = Release::of(None, because, Actor::Daemon, Consent::Given);
                        Attempt::Over(Next::Release(release))
                    }
                    _ => Attempt::Passing,
                }
            }
            Err(error) => Attempt::Failed(error),
        }
    }

    /// Whether it has answered before, to this daemon or a former one.
    fn has_served(&self, machine: &Summary) -> bool {
        let state = self.state.borrow();
        state.last_known.as_ref().is_some_and(|last| last.machine.id == machine.id)
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

/// Resolves when this computer's packets to the machine carry another address than before, such as
/// after a change of networks.
async fn network_change(address: Option<IpAddr>, before: Option<IpAddr>) {
    let Some(address) = address else { return std::future::pending().await };
    loop {
        sleep(LOOK).await;
        let now = source_towards(address);
        if now.is_some() && now != before {
            return;
        }
    }
}
