//! What this computer tells of its person: the screen is locked or unlocked, the computer is about
//! to sleep or has woken.
//!
//! A [`Sensor`] is one place to hear it from; there is one for each system service that tells. What
//! is made of it is not known here.

#![cfg_attr(not(any(target_os = "macos", windows)), forbid(unsafe_code))]

#[cfg(any(target_os = "macos", windows, test))]
mod following;
#[cfg(any(target_os = "macos", windows, test))]
mod hold;
#[cfg(target_os = "linux")]
mod logind;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "linux")]
mod screen_saver;
#[cfg(windows)]
mod windows;

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

#[cfg(target_os = "linux")]
pub use logind::Logind;
#[cfg(target_os = "macos")]
pub use macos::Session;
#[cfg(target_os = "linux")]
pub use screen_saver::ScreenSaver;
#[cfg(windows)]
pub use windows::Session;

/// A bus that is not there, or restarts, is looked for again after this time.
const AGAIN: Duration = Duration::from_secs(30);

/// What a sensor tells.
#[derive(Debug)]
pub enum Signal {
    /// The screen is locked. May be told again while it is.
    Locked,
    /// The screen is not locked. May be told again while it is not.
    Unlocked,
    /// The computer falls asleep as soon as this is dropped, or when its patience is at an end.
    Sleeps(Delay),
    /// The computer has slept.
    Wakes,
}

/// Holds the sleep up for as long as it lives, within what the system allows.
pub struct Delay {
    #[cfg(target_os = "linux")]
    _inhibitor: Option<zbus::OwnedFd>,
    #[cfg(any(target_os = "macos", windows))]
    _hold: hold::Hold,
}

#[cfg(any(target_os = "macos", windows))]
impl Delay {
    fn of(hold: hold::Hold) -> Self {
        Self { _hold: hold }
    }
}

impl fmt::Debug for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Delay")
    }
}

/// Why a sensor does not hear, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum SensorError {
    /// There is no such service.
    #[error("{service} is not there")]
    NotThere {
        /// Its name.
        service: &'static str,
    },
    /// The bus does not answer, or broke off.
    #[cfg(target_os = "linux")]
    #[error("the message bus does not answer")]
    Bus(#[from] zbus::Error),
    /// The service ended the conversation.
    #[error("the service has ended")]
    Ended,
}

/// One place to hear of this computer's person.
pub trait Sensor: Send + Sync + 'static {
    /// For logs.
    fn name(&self) -> &'static str;
    /// Tells how things stand and then what changes, until the service is lost.
    fn listen(&self, told: mpsc::Sender<(&'static str, Signal)>) -> BoxFuture<'_, SensorError>;
}

/// All sensors that this system may have.
pub fn all() -> Vec<Box<dyn Sensor>> {
    #[cfg(target_os = "linux")]
    return vec![Box::new(Logind::default()), Box::new(ScreenSaver::default())];
    #[cfg(any(target_os = "macos", windows))]
    return vec![Box::new(Session)];
    #[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
    return Vec::new();
}

/// Listens to all of them for as long as it is polled, and looks for those that are lost again.
/// Each signal comes with its sensor's name.
pub async fn listen(sensors: Vec<Box<dyn Sensor>>, told: mpsc::Sender<(&'static str, Signal)>) {
    let mut listening = JoinSet::new();
    for sensor in sensors {
        let told = told.clone();
        listening.spawn(async move {
            loop {
                let error = sensor.listen(told.clone()).await;
                tracing::debug!(sensor = sensor.name(), %error, "this computer's signals are not \
                    heard from here");
                sleep(AGAIN).await;
            }
        });
    }
    drop(told);
    while listening.join_next().await.is_some() {}
}
