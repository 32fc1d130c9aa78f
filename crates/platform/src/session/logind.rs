//! systemd-logind on the system bus: the lock of the user's sessions, and sleep, which an inhibitor
//! delays (org.freedesktop.login1(5)).

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use zbus::{
    Connection, MatchRule, Message, MessageStream, OwnedFd, OwnedObjectPath, OwnedVariant,
    connection, message,
};

use crate::session::event::{Delay, Event, Events, Sensor, SensorError};

const SERVICE: &str = "org.freedesktop.login1";
const ROOT: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";

/// Signals waiting to be handled; more than logind sends at once.
const QUEUE: NonZeroUsize = NonZeroUsize::new(64).expect("it is not zero");

/// The user's sessions, as logind knows them.
#[derive(Debug, Clone, Default)]
pub struct Logind {
    address: Option<String>,
}

impl Logind {
    /// Uses another bus than the system's.
    pub fn at(address: impl Into<String>) -> Self {
        Self { address: Some(address.into()) }
    }

    async fn follow(&self, events: &Events) -> Result<(), SensorError> {
        let bus = match &self.address {
            Some(address) => connection::Builder::address(address.as_str()).build().await?,
            None => Connection::system().await?,
        };
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .sender(SERVICE)
            .path_namespace(ROOT)
            .build()?;
        let mut signals = MessageStream::for_match_rule(rule, &bus, Some(QUEUE)).await?;
        let owner = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .sender("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .add_arg(SERVICE)
            .build()?;
        let mut owners = MessageStream::for_match_rule(owner, &bus, Some(QUEUE)).await?;
        let mut sessions = Sessions { bus, locked: BTreeMap::new(), inhibitor: None };
        sessions.read().await?;
        sessions.inhibitor = sessions.inhibit().await;
        sessions.report(events).await;
        loop {
            tokio::select! {
                signal = signals.next() => {
                    sessions.handle(&signal.ok_or(SensorError::Ended)??, events).await?;
                }
                // logind ended or was replaced: start over.
                _ = owners.next() => return Err(SensorError::NotAvailable { service: SERVICE }),
            }
        }
    }
}

impl Sensor for Logind {
    fn name(&self) -> &'static str {
        "logind"
    }

    fn listen(&self, events: Events) -> BoxFuture<'_, SensorError> {
        async move { self.follow(&events).await.err().unwrap_or(SensorError::Ended) }.boxed()
    }
}

struct Sessions {
    bus: Connection,
    /// Whether each session of this user is locked, by its object path.
    locked: BTreeMap<String, bool>,
    inhibitor: Option<OwnedFd>,
}

impl Sessions {
    /// Reads this user's sessions and their locks.
    async fn read(&mut self) -> Result<(), SensorError> {
        let uid = rustix::process::getuid().as_raw();
        let reply =
            self.bus.call_method(Some(SERVICE), ROOT, Some(MANAGER), "ListSessions", &()).await?;
        let sessions: Vec<(String, u32, String, String, OwnedObjectPath)> =
            reply.body().deserialize()?;
        self.locked.clear();
        for (.., path) in sessions.into_iter().filter(|(_, user, ..)| *user == uid) {
            // A session may have ended between the two calls.
            if let Ok(locked) = self.is_locked(path.as_str()).await {
                self.locked.insert(path.as_str().to_owned(), locked);
            }
        }
        Ok(())
    }

    async fn is_locked(&self, session: &str) -> Result<bool, SensorError> {
        let property = (SESSION, "LockedHint");
        let reply = self
            .bus
            .call_method(
                Some(SERVICE),
                session,
                Some("org.freedesktop.DBus.Properties"),
                "Get",
                &property,
            )
            .await?;
        let value: OwnedVariant = reply.body().deserialize()?;
        Ok(bool::try_from(value)?)
    }

    async fn inhibit(&self) -> Option<OwnedFd> {
        let arguments = ("sleep", "dockbridge", "a last heartbeat to the machine", "delay");
        match self.bus.call_method(Some(SERVICE), ROOT, Some(MANAGER), "Inhibit", &arguments).await
        {
            Ok(reply) => reply.body().deserialize().ok(),
            Err(error) => {
                tracing::debug!(%error, "sleep cannot be delayed");
                None
            }
        }
    }

    async fn handle(&mut self, signal: &Message, events: &Events) -> Result<(), SensorError> {
        let header = signal.header();
        let member = header.member().map(|member| member.as_str().to_owned()).unwrap_or_default();
        let path = header.path().map(|path| path.as_str().to_owned()).unwrap_or_default();
        match member.as_str() {
            // logind sends this before the locker has locked, and without a locker it is the only
            // notice.
            "Lock" | "Unlock" if self.locked.contains_key(&path) => {
                self.locked.insert(path, member == "Lock");
                self.report(events).await;
            }
            "PropertiesChanged" if self.locked.contains_key(&path) => {
                let (interface, changed, _): (String, BTreeMap<String, OwnedVariant>, Vec<String>) =
                    signal.body().deserialize()?;
                if interface == SESSION
                    && let Some(locked) =
                        changed.get("LockedHint").and_then(|value| bool::try_from(value).ok())
                {
                    self.locked.insert(path, locked);
                    self.report(events).await;
                }
            }
            "SessionNew" | "SessionRemoved" => {
                self.read().await?;
                self.report(events).await;
            }
            "PrepareForSleep" => match signal.body().deserialize()? {
                true => {
                    let delay = Delay::new(self.inhibitor.take());
                    let _ = events.send(("logind", Event::Sleeps(delay))).await;
                }
                false => {
                    self.inhibitor = self.inhibit().await;
                    let _ = events.send(("logind", Event::Wakes)).await;
                    self.read().await?;
                    self.report(events).await;
                }
            },
            _ => {}
        }
        Ok(())
    }

    /// One locked session is enough: users rarely lock one session and work in another, and
    /// unlocking any of them is reported.
    async fn report(&self, events: &Events) {
        let locked = self.locked.values().any(|locked| *locked);
        // Fails if the listener has gone.
        let _ = events.send(("logind", if locked { Event::Locked } else { Event::Unlocked })).await;
    }
}
