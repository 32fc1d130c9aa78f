//! The service `org.freedesktop.Notifications` on the session bus (Desktop Notifications
//! Specification 1.2).

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::timeout;
use zbus::{Connection, OwnedVariant, connection};

use super::{DesktopError, Note, Shown};

const SERVICE: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
/// As the desktop names the sender, and groups its notices.
const APPLICATION: &str = "dockbridge";
/// The bus may have to start the service first.
const LONGEST_CALL: Duration = Duration::from_secs(10);
/// The desktop decides for how long it shows a notice.
const BY_DEFAULT: i32 = -1;

/// The desktop of the user's session.
#[derive(Debug, Clone, Default)]
pub struct Desktop {
    address: Option<String>,
}

impl Desktop {
    /// Uses another bus than the session's.
    pub fn at(address: impl Into<String>) -> Self {
        Self { address: Some(address.into()) }
    }

    /// Shows a notice, in place of an earlier one if that is still there. Each notice has a
    /// connection of its own: they are rare, and an open one would wake this process.
    pub async fn show(&self, note: &Note, replaced: Option<Shown>) -> Result<Shown, DesktopError> {
        timeout(LONGEST_CALL, self.notify(note, replaced))
            .await
            .map_err(|_| DesktopError::Silent)?
    }

    async fn notify(&self, note: &Note, replaced: Option<Shown>) -> Result<Shown, DesktopError> {
        let bus = match &self.address {
            Some(address) => connection::Builder::address(address.as_str()).build().await?,
            None => Connection::session().await?,
        };
        let icon = "";
        let actions: Vec<&str> = Vec::new();
        let hints: BTreeMap<String, OwnedVariant> = BTreeMap::new();
        let replaced = replaced.map_or(0, |Shown(number)| number);
        let (summary, body) = (note.summary.as_str(), note.body.as_str());
        let arguments = (APPLICATION, replaced, icon, summary, body, actions, hints, BY_DEFAULT);
        let reply =
            bus.call_method(Some(SERVICE), PATH, Some(SERVICE), "Notify", &arguments).await?;
        Ok(Shown(reply.body().deserialize()?))
    }
}
