//! Sensors on a real message bus: logind by python-dbusmock's template of it, screen savers by
//! their signals. Passed over where the tools are missing.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test tells by panicking, and why \
    it passes over"
)]

mod rig;

use dockbridge_signals::{Logind, ScreenSaver, Sensor, Signal};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::rig::{Bus, LONGEST};

/// What a sensor tells, one after the other.
struct Told {
    signals: mpsc::Receiver<(&'static str, Signal)>,
    _listening: AbortOnDropHandle<()>,
}

impl Told {
    fn of(sensor: impl Sensor) -> Self {
        let (told, signals) = mpsc::channel(16);
        let listening = tokio::spawn(dockbridge_signals::listen(vec![Box::new(sensor)], told));
        Self { signals, _listening: AbortOnDropHandle::new(listening) }
    }

    async fn next(&mut self) -> Signal {
        timeout(LONGEST, self.signals.recv()).await.expect("the sensor tells something").unwrap().1
    }

    /// The next time that it tells of the lock.
    async fn until(&mut self, locked: bool) {
        loop {
            match (self.next().await, locked) {
                (Signal::Locked, true) | (Signal::Unlocked, false) => return,
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn logind_tells_of_the_lock_by_its_hint_and_by_its_signals() {
    let Some(bus) = Bus::with_logind().await else { return };
    let ours = bus.session("c1", rustix::process::getuid().as_raw()).await;
    let others = bus.session("c2", 65_000).await;
    let mut told = Told::of(Logind::at(bus.address()));
    assert!(matches!(told.next().await, Signal::Unlocked));

    bus.call_session(&others, "SetLockedHint", "b", &["true"]).await;
    bus.call_session(&ours, "SetLockedHint", "b", &["true"]).await;
    assert!(matches!(told.next().await, Signal::Locked), "another person's lock is not ours");
    bus.call_session(&ours, "SetLockedHint", "b", &["false"]).await;
    told.until(false).await;
    bus.call_session(&ours, "Lock", "", &[]).await;
    told.until(true).await;
    bus.call_session(&ours, "Unlock", "", &[]).await;
    told.until(false).await;
}

#[tokio::test]
async fn a_screen_that_is_locked_already_is_told_at_once_and_a_new_session_is_heard() {
    let Some(bus) = Bus::with_logind().await else { return };
    let uid = rustix::process::getuid().as_raw();
    let first = bus.session("c1", uid).await;
    bus.call_session(&first, "SetLockedHint", "b", &["true"]).await;
    let mut told = Told::of(Logind::at(bus.address()));
    assert!(matches!(told.next().await, Signal::Locked));
    bus.call_session(&first, "SetLockedHint", "b", &["false"]).await;
    told.until(false).await;
    let second = bus.session("c2", uid).await;
    bus.emit("SessionNew", "so", &["c2", &second]).await;
    told.until(false).await;
    bus.call_session(&second, "Lock", "", &[]).await;
    told.until(true).await;
}

#[tokio::test]
async fn sleep_is_held_up_until_the_delay_is_let_go_of_and_again_after_waking() {
    let Some(bus) = Bus::with_logind().await else { return };
    bus.session("c1", rustix::process::getuid().as_raw()).await;
    let mut told = Told::of(Logind::at(bus.address()));
    told.until(false).await;
    bus.until_inhibitors_are(1).await;
    bus.emit("PrepareForSleep", "b", &["true"]).await;
    let Signal::Sleeps(delay) = told.next().await else { panic!("it sleeps") };
    bus.until_inhibitors_are(1).await;
    drop(delay);
    bus.until_inhibitors_are(0).await;
    bus.emit("PrepareForSleep", "b", &["false"]).await;
    assert!(matches!(told.next().await, Signal::Wakes));
    bus.until_inhibitors_are(1).await;
}

#[tokio::test]
async fn each_screen_saver_is_heard_by_its_own_name() {
    let Some(bus) = Bus::start().await else { return };
    let mut told = Told::of(ScreenSaver::at(bus.address()));
    told.until(false).await;
    for (path, name) in [
        ("/org/freedesktop/ScreenSaver", "org.freedesktop.ScreenSaver"),
        ("/ScreenSaver", "org.freedesktop.ScreenSaver"),
        ("/org/gnome/ScreenSaver", "org.gnome.ScreenSaver"),
        ("/ScreenSaver", "org.kde.screensaver"),
    ] {
        bus.signal(path, &format!("{name}.ActiveChanged"), "true").await;
        told.until(true).await;
        bus.signal(path, &format!("{name}.ActiveChanged"), "false").await;
        told.until(false).await;
    }
}

#[tokio::test]
async fn without_a_bus_nothing_is_told_and_nothing_breaks() {
    let mut told = Told::of(Logind::at("unix:path=/nonexistent/bus"));
    assert!(timeout(std::time::Duration::from_millis(300), told.signals.recv()).await.is_err());
}
