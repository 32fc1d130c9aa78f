//! Screen savers on the session bus, each of which tells the same by a name of its own:
//! freedesktop's (KDE has it too), GNOME's, Cinnamon's and MATE's.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;
use zbus::{Connection, MatchRule, MessageStream, connection, message};

use crate::{Sensor, SensorError, Signal};

/// Names, which are those of the interfaces as well, and where each is asked.
const SAVERS: [(&str, &str); 5] = [
    ("org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver"),
    ("org.gnome.ScreenSaver", "/org/gnome/ScreenSaver"),
    ("org.kde.screensaver", "/ScreenSaver"),
    ("org.cinnamon.ScreenSaver", "/org/cinnamon/ScreenSaver"),
    ("org.mate.ScreenSaver", "/org/mate/ScreenSaver"),
];

/// Signals that wait to be looked at.
const QUEUE: NonZeroUsize = NonZeroUsize::new(16).expect("it is not zero");

/// The screen saver of our person's desktop.
#[derive(Debug, Clone, Default)]
pub struct ScreenSaver {
    address: Option<String>,
}

impl ScreenSaver {
    /// On another bus than the session's.
    pub fn at(address: impl Into<String>) -> Self {
        Self { address: Some(address.into()) }
    }

    async fn follow(&self, told: &mpsc::Sender<(&'static str, Signal)>) -> Result<(), SensorError> {
        let bus = match &self.address {
            Some(address) => connection::Builder::address(address.as_str()).build().await?,
            None => Connection::session().await?,
        };
        let rule =
            MatchRule::builder().msg_type(message::Type::Signal).member("ActiveChanged").build()?;
        let mut news = MessageStream::for_match_rule(rule, &bus, Some(QUEUE)).await?;
        let mut active = BTreeSet::new();
        for (name, path) in SAVERS {
            // A call would start a service that is only installed.
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
            let asked = bus.call_method(Some(name), path, Some(name), "GetActive", &()).await;
            if asked.is_ok_and(|reply| reply.body().deserialize().unwrap_or(false)) {
                active.insert(name);
            }
        }
        let mut told_active = None;
        loop {
            if told_active.replace(!active.is_empty()) != Some(!active.is_empty()) {
                let signal = if active.is_empty() { Signal::Unlocked } else { Signal::Locked };
                let _ = told.send(("screen saver", signal)).await;
            }
            let heard = news.next().await.ok_or(SensorError::Ended)??;
            let interface = heard
                .header()
                .interface()
                .map(|interface| interface.as_str().to_owned())
                .unwrap_or_default();
            let Some((name, _)) = SAVERS.into_iter().find(|(name, _)| *name == interface) else {
                continue;
            };
            match heard.body().deserialize::<bool>() {
                Ok(true) => drop(active.insert(name)),
                Ok(false) => drop(active.remove(name)),
                Err(error) => tracing::debug!(%error, name, "a screen saver's signal is not \
                    understood"),
            }
        }
    }
}

impl Sensor for ScreenSaver {
    fn name(&self) -> &'static str {
        "screen saver"
    }

    fn listen(&self, told: mpsc::Sender<(&'static str, Signal)>) -> BoxFuture<'_, SensorError> {
        async move { self.follow(&told).await.err().unwrap_or(SensorError::Ended) }.boxed()
    }
}
