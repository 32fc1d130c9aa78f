//! The daemon's log. Each event is a line of JSON in the profile's log file, which is rotated, so
//! that it never fills a disk. Standard error has the events, too: as text on a terminal and in the
//! journal of a service. Where standard error is that file, the events are written once.

pub mod file;
pub mod filter;
pub mod follow;
pub mod record;

use std::io::{self, IsTerminal as _};
use std::path::Path;

use api::Code;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

use self::file::{LogFile, Rotation};
use crate::failure::{Failure, Outcome};
use crate::settings::Settings;

/// The level of a log that has begun.
#[derive(Debug, Clone)]
pub struct LogLevel(reload::Handle<EnvFilter, Registry>);

impl LogLevel {
    /// Another filter holds from now on. The settings have checked it.
    pub fn set(&self, level: &str) {
        let changed = EnvFilter::try_new(level).map(|filter| self.0.reload(filter));
        if !matches!(changed, Ok(Ok(()))) {
            tracing::warn!(level, "the level of the log stays as it is");
        }
    }
}

/// Starts logging at the settings' level, to standard error and to the profile's log file.
pub fn begin(settings: &Settings, path: &Path) -> Outcome<LogLevel> {
    let filter = EnvFilter::try_new(&settings.logging.level).map_err(|error| {
        Failure::of_code(Code::SettingsInvalid, format!("`logging.level` is invalid: {error}"))
            .hint("write error, warn, info, debug or trace")
    })?;
    let (filter, level) = reload::Layer::new(filter);
    let (file, unwritten) = match LogFile::open(path, Rotation::OF_THE_DAEMON) {
        Ok(file) => (Some(file), None),
        Err(error) => (None, Some(error)),
    };
    let is_stderr = file.as_ref().is_some_and(LogFile::is_stderr);
    let in_file = file.map(|file| json().with_writer(move || file.clone()));
    let on_stderr = (!is_stderr).then(|| match settings.logging.json {
        true => json().with_writer(io::stderr).boxed(),
        false => fmt::layer()
            .with_target(false)
            .with_ansi(io::stderr().is_terminal())
            .with_writer(io::stderr)
            .boxed(),
    });
    tracing_subscriber::registry()
        .with(filter)
        .with(on_stderr)
        .with(in_file)
        .try_init()
        .map_err(|error| Failure::of_code(Code::Failed, error.to_string()))?;
    log_panics();
    if let Some(error) = unwritten {
        let path = path.display();
        tracing::warn!(%error, %path, "the log file cannot be written");
    }
    Ok(LogLevel(level))
}

/// One object a line: `timestamp`, `level`, `target`, `fields` with the message, and `spans` from
/// the outermost on.
fn json<S>() -> fmt::Layer<S, fmt::format::JsonFields, fmt::format::Format<fmt::format::Json>> {
    // A full disk must not fill standard error with reports of itself.
    fmt::layer().json().with_current_span(false).with_span_list(true).log_internal_errors(false)
}

/// The file has what the terminal shows of a panic.
fn log_panics() {
    let shown = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(%place, "a task panicked: {message}");
        shown(panic);
    }));
}
