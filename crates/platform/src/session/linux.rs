//! Linux: logind on the system bus, screen savers on the session bus.

#[path = "logind.rs"]
mod logind;
#[path = "screen_saver.rs"]
mod screen_saver;

pub use logind::Logind;
pub use screen_saver::ScreenSaver;

use super::event::Sensor;

pub(super) fn sensors() -> Vec<Box<dyn Sensor>> {
    vec![Box::new(Logind::default()), Box::new(ScreenSaver::default())]
}
