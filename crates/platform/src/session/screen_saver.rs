//! Screen savers on the session bus. Each reports the same events under its own name: freedesktop's
//! (also KDE's), GNOME's, Cinnamon's and MATE's.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use zbus::{Connection, MatchRule, MessageStream, connection, message};

use crate::session::event::{Event, Events, Sensor, SensorError};

/// Bus names, which are also the names of the interfaces, with the object path of each.
const SAVERS: [(&str, &str); 5] = [
    ("org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver"),
    ("org.gnome.ScreenSaver", "/org/gnome/ScreenSaver"),
    ("org.kde.screensaver", "/ScreenSaver"),
    ("org.cinnamon.ScreenSaver", "/org/cinnamon/ScreenSaver"),
    ("org.mate.ScreenSaver", "/org/mate/ScreenSaver"),
];

/// Signals waiting to be handled.
const QUEUE: NonZeroUsize = NonZeroUsize::new(16).expect("it is not zero");

/// The screen saver of the user's desktop.
#[derive(Debug, Clone, Default)]
pub struct ScreenSaver {
    address: Option<String>,
}

impl ScreenSaver {
    /// Uses another bus than the session's.
    pub fn at(address: impl Into<String>) -> Self {
        Self { address: Some(address.into()) }
    }

    async fn follow(&self, events: &Events) -> Result<(), SensorError> {
        let bus = match &self.address {
            Some(address) => connection::Builder::address(address.as_str()).build().await?,
            None => Connection::session().await?,
        };
        let rule =
            MatchRule::builder().msg_type(message::Type::Signal).member("ActiveChanged").build()?;
        let mut signals = MessageStream::for_match_rule(rule, &bus, Some(QUEUE)).await?;
        let mut active = BTreeSet::new();
        for (name, path) in SAVERS {
            // A call would start a service that is installed but not running.
            let has_owner = bus.call_method(
                Some("org.freedesktop.DBus"),
                "/org/freedesktop/DBus",
                Some("org.freedesktop.DBus"),
                "NameHasOwner",
                &name,
            );
            if !has_owner.await?.body().deserialize::<bool>()? {
                continue;
            }
            let reply = bus.call_method(Some(name), path, Some(name), "GetActive", &()).await;
            if reply.is_ok_and(|reply| reply.body().deserialize().unwrap_or(false)) {
                active.insert(name);
            }
        }
        let mut reported = None;
        loop {
            let locked = !active.is_empty();
            if reported.replace(locked) != Some(locked) {
                let event = if locked { Event::Locked } else { Event::Unlocked };
                let _ = events.send(("screen saver", event)).await;
            }
            let signal = signals.next().await.ok_or(SensorError::Ended)??;
            let interface = signal
                .header()
                .interface()
                .map(|interface| interface.as_str().to_owned())
                .unwrap_or_default();
            let Some((name, _)) = SAVERS.into_iter().find(|(name, _)| *name == interface) else {
                continue;
            };
            match signal.body().deserialize::<bool>() {
                Ok(true) => drop(active.insert(name)),
                Ok(false) => drop(active.remove(name)),
                Err(error) => {
                    tracing::debug!(%error, name, "a screen saver sent an unknown signal");
                }
            }
        }
    }
}

impl Sensor for ScreenSaver {
    fn name(&self) -> &'static str {
        "screen saver"
    }

    fn listen(&self, events: Events) -> BoxFuture<'_, SensorError> {
        async move { self.follow(&events).await.err().unwrap_or(SensorError::Ended) }.boxed()
    }
}
