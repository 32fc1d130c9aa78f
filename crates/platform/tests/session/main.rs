//! Sensors and notices on a real message bus: logind simulated by python-dbusmock's template,
//! screen savers by their signals, a desktop by a listener. Skipped where the tools are missing.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test reports by panicking, and prints why it is skipped"
)]

mod listener;
mod notices;
mod rig;

use dockbridge_platform::session::{self, Event, Logind, ScreenSaver, Sensor};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::rig::{Bus, LONGEST};

/// The events of one sensor, in order.
struct Reported {
    events: mpsc::Receiver<(&'static str, Event)>,
    _listening: AbortOnDropHandle<()>,
}

impl Reported {
    fn by(sensor: impl Sensor) -> Self {
        let (sender, events) = mpsc::channel(16);
        let listening = tokio::spawn(session::listen(vec![Box::new(sensor)], sender));
        Self { events, _listening: AbortOnDropHandle::new(listening) }
    }

    async fn next(&mut self) -> Event {
        timeout(LONGEST, self.events.recv()).await.expect("the sensor reports an event").unwrap().1
    }

    /// Waits until the lock is reported in this state.
    async fn until(&mut self, locked: bool) {
        loop {
            match (self.next().await, locked) {
                (Event::Locked, true) | (Event::Unlocked, false) => return,
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn logind_reports_the_lock_by_its_hint_and_by_its_signals() {
    let Some(bus) = Bus::with_logind().await else { return };
    let own = bus.session("c1", rustix::process::getuid().as_raw()).await;
    let others = bus.session("c2", 65_000).await;
    let mut reported = Reported::by(Logind::at(bus.address()));
    assert!(matches!(reported.next().await, Event::Unlocked));

    bus.call_session(&others, "SetLockedHint", "b", &["true"]).await;
    bus.call_session(&own, "SetLockedHint", "b", &["true"]).await;
    assert!(matches!(reported.next().await, Event::Locked), "the lock of another user is ignored");
    bus.call_session(&own, "SetLockedHint", "b", &["false"]).await;
    reported.until(false).await;
    bus.call_session(&own, "Lock", "", &[]).await;
    reported.until(true).await;
    bus.call_session(&own, "Unlock", "", &[]).await;
    reported.until(false).await;
}

#[tokio::test]
async fn a_locked_screen_is_reported_at_once_and_new_sessions_are_followed() {
    let Some(bus) = Bus::with_logind().await else { return };
    let uid = rustix::process::getuid().as_raw();
    let first = bus.session("c1", uid).await;
    bus.call_session(&first, "SetLockedHint", "b", &["true"]).await;
    let mut reported = Reported::by(Logind::at(bus.address()));
    assert!(matches!(reported.next().await, Event::Locked));
    bus.call_session(&first, "SetLockedHint", "b", &["false"]).await;
    reported.until(false).await;
    let second = bus.session("c2", uid).await;
    bus.emit("SessionNew", "so", &["c2", &second]).await;
    reported.until(false).await;
    bus.call_session(&second, "Lock", "", &[]).await;
    reported.until(true).await;
}

#[tokio::test]
async fn sleep_is_delayed_until_the_delay_is_dropped_and_again_after_waking() {
    let Some(bus) = Bus::with_logind().await else { return };
    bus.session("c1", rustix::process::getuid().as_raw()).await;
    let mut reported = Reported::by(Logind::at(bus.address()));
    reported.until(false).await;
    bus.until_inhibitors_are(1).await;
    bus.emit("PrepareForSleep", "b", &["true"]).await;
    let Event::Sleeps(delay) = reported.next().await else { panic!("it sleeps") };
    bus.until_inhibitors_are(1).await;
    drop(delay);
    bus.until_inhibitors_are(0).await;
    bus.emit("PrepareForSleep", "b", &["false"]).await;
    assert!(matches!(reported.next().await, Event::Wakes));
    bus.until_inhibitors_are(1).await;
}

#[tokio::test]
async fn each_screen_saver_is_recognized_by_its_own_name() {
    let Some(bus) = Bus::start().await else { return };
    let mut reported = Reported::by(ScreenSaver::at(bus.address()));
    reported.until(false).await;
    for (path, name) in [
        ("/org/freedesktop/ScreenSaver", "org.freedesktop.ScreenSaver"),
        ("/ScreenSaver", "org.freedesktop.ScreenSaver"),
        ("/org/gnome/ScreenSaver", "org.gnome.ScreenSaver"),
        ("/ScreenSaver", "org.kde.screensaver"),
    ] {
        bus.signal(path, &format!("{name}.ActiveChanged"), "true").await;
        reported.until(true).await;
        bus.signal(path, &format!("{name}.ActiveChanged"), "false").await;
        reported.until(false).await;
    }
}

#[tokio::test]
async fn without_a_bus_no_event_is_reported() {
    let mut reported = Reported::by(Logind::at("unix:path=/nonexistent/bus"));
    assert!(timeout(std::time::Duration::from_millis(300), reported.events.recv()).await.is_err());
}
