//! systemd-logind on the system bus: the lock of our person's sessions, and sleep, which it holds
//! up for whoever asks (org.freedesktop.login1(5)).

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;
use zbus::{
    Connection, MatchRule, Message, MessageStream, OwnedFd, OwnedObjectPath, OwnedVariant,
    connection, message,
};

use crate::{Delay, Sensor, SensorError, Signal};

const SERVICE: &str = "org.freedesktop.login1";
const ROOT: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const SESSION: &str = "org.freedesktop.login1.Session";

/// Signals that wait to be looked at; more than logind sends at once.
const QUEUE: NonZeroUsize = NonZeroUsize::new(64).expect("it is not zero");

/// Our person's sessions, as logind knows them.
#[derive(Debug, Clone, Default)]
pub struct Logind {
    address: Option<String>,
}

impl Logind {
    /// On another bus than the system's.
    pub fn at(address: impl Into<String>) -> Self {
        Self { address: Some(address.into()) }
    }

    async fn follow(&self, told: &mpsc::Sender<(&'static str, Signal)>) -> Result<(), SensorError> {
        let bus = match &self.address {
            Some(address) => connection::Builder::address(address.as_str()).build().await?,
            None => Connection::system().await?,
        };
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .sender(SERVICE)
            .path_namespace(ROOT)
            .build()?;
        let mut news = MessageStream::for_match_rule(rule, &bus, Some(QUEUE)).await?;
        let owner = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .sender("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .add_arg(SERVICE)
            .build()?;
        let mut owners = MessageStream::for_match_rule(owner, &bus, Some(QUEUE)).await?;
        let mut person = Person { bus, sessions: BTreeMap::new(), inhibitor: None };
        person.look().await?;
        person.inhibitor = person.inhibit().await;
        person.tell(told).await;
        loop {
            tokio::select! {
                heard = news.next() => person.hear(&heard.ok_or(SensorError::Ended)??, told).await?,
                // It goes, or another one comes: everything is asked anew.
                _ = owners.next() => return Err(SensorError::NotThere { service: SERVICE }),
            }
        }
    }
}

impl Sensor for Logind {
    fn name(&self) -> &'static str {
        "logind"
    }

    fn listen(&self, told: mpsc::Sender<(&'static str, Signal)>) -> BoxFuture<'_, SensorError> {
        async move { self.follow(&told).await.err().unwrap_or(SensorError::Ended) }.boxed()
    }
}

struct Person {
    bus: Connection,
    /// Whether each session of ours is locked.
    sessions: BTreeMap<String, bool>,
    inhibitor: Option<OwnedFd>,
}

impl Person {
    /// Asks for our sessions and their locks.
    async fn look(&mut self) -> Result<(), SensorError> {
        let ours = rustix::process::getuid().as_raw();
        let reply =
            self.bus.call_method(Some(SERVICE), ROOT, Some(MANAGER), "ListSessions", &()).await?;
        let sessions: Vec<(String, u32, String, String, OwnedObjectPath)> =
            reply.body().deserialize()?;
        self.sessions.clear();
        for (.., path) in sessions.into_iter().filter(|(_, user, ..)| *user == ours) {
            // One may have ended between the two questions.
            if let Ok(locked) = self.is_locked(path.as_str()).await {
                self.sessions.insert(path.as_str().to_owned(), locked);
            }
        }
        Ok(())
    }

    async fn is_locked(&self, session: &str) -> Result<bool, SensorError> {
        let asked = (SESSION, "LockedHint");
        let reply = self
            .bus
            .call_method(
                Some(SERVICE),
                session,
                Some("org.freedesktop.DBus.Properties"),
                "Get",
                &asked,
            )
            .await?;
        let value: OwnedVariant = reply.body().deserialize()?;
        Ok(bool::try_from(value)?)
    }

    async fn inhibit(&self) -> Option<OwnedFd> {
        let asked = ("sleep", "dockbridge", "a last sign of life to the machine", "delay");
        match self.bus.call_method(Some(SERVICE), ROOT, Some(MANAGER), "Inhibit", &asked).await {
            Ok(reply) => reply.body().deserialize().ok(),
            Err(error) => {
                tracing::debug!(%error, "sleep cannot be held up");
                None
            }
        }
    }

    async fn hear(
        &mut self,
        heard: &Message,
        told: &mpsc::Sender<(&'static str, Signal)>,
    ) -> Result<(), SensorError> {
        let header = heard.header();
        let member = header.member().map(|member| member.as_str().to_owned()).unwrap_or_default();
        let path = header.path().map(|path| path.as_str().to_owned()).unwrap_or_default();
        match member.as_str() {
            // What asks the session to lock is told before its locker has done so; with no locker
            // it is all that is told.
            "Lock" | "Unlock" if self.sessions.contains_key(&path) => {
                self.sessions.insert(path, member == "Lock");
                self.tell(told).await;
            }
            "PropertiesChanged" if self.sessions.contains_key(&path) => {
                let (interface, changed, _): (String, BTreeMap<String, OwnedVariant>, Vec<String>) =
                    heard.body().deserialize()?;
                if interface == SESSION
                    && let Some(locked) =
                        changed.get("LockedHint").and_then(|value| bool::try_from(value).ok())
                {
                    self.sessions.insert(path, locked);
                    self.tell(told).await;
                }
            }
            "SessionNew" | "SessionRemoved" => {
                self.look().await?;
                self.tell(told).await;
            }
            "PrepareForSleep" => match heard.body().deserialize()? {
                true => {
                    let delay = Delay { _inhibitor: self.inhibitor.take() };
                    let _ = told.send(("logind", Signal::Sleeps(delay))).await;
                }
                false => {
                    self.inhibitor = self.inhibit().await;
                    let _ = told.send(("logind", Signal::Wakes)).await;
                    self.look().await?;
                    self.tell(told).await;
                }
            },
            _ => {}
        }
        Ok(())
    }

    /// One locked session is enough: a person who locks one and works in another is rare, and
    /// unlocking any of them tells.
    async fn tell(&self, told: &mpsc::Sender<(&'static str, Signal)>) {
        let locked = self.sessions.values().any(|locked| *locked);
        // Whoever listened may have gone.
        let _ = told.send(("logind", if locked { Signal::Locked } else { Signal::Unlocked })).await;
    }
}
