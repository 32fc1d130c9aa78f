//! Events of the user's session: the screen is locked or unlocked, the computer is about to sleep
//! or has woken up.
//!
//! A [`Sensor`] is one source of events; each system service that reports them has one. What the
//! events mean is not known here.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

mod event;
#[cfg(any(target_os = "macos", windows, test))]
mod event_loop;
#[cfg(any(target_os = "macos", windows, test))]
mod sleep_delay;
#[cfg(target_os = "linux")]
#[path = "session/linux.rs"]
mod system;
#[cfg(target_os = "macos")]
#[path = "session/macos.rs"]
mod system;
#[cfg(windows)]
#[path = "session/windows.rs"]
mod system;
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
#[path = "session/none.rs"]
mod system;

pub use event::{Delay, Event, Events, Sensor, SensorError};
#[cfg(target_os = "linux")]
pub use system::{Logind, ScreenSaver};

/// How long to wait before retrying a service that is missing or was lost.
const RETRY: Duration = Duration::from_secs(30);

/// All sensors that this system may have.
pub fn sensors() -> Vec<Box<dyn Sensor>> {
    system::sensors()
}

/// Listens to all sensors while it is polled, and retries those that are lost.
pub async fn listen(sensors: Vec<Box<dyn Sensor>>, events: Events) {
    let mut listening = JoinSet::new();
    for sensor in sensors {
        let events = events.clone();
        listening.spawn(async move {
            loop {
                let error = sensor.listen(events.clone()).await;
                tracing::debug!(sensor = sensor.name(), %error, "no session events from here");
                sleep(RETRY).await;
            }
        });
    }
    drop(events);
    while listening.join_next().await.is_some() {}
}
