//! How a running daemon gets changed settings: when it looks at them again, and what it takes over.
//! `settings/difference.rs` decides what that is; a refused reading changes nothing.

use std::path::PathBuf;
use std::time::Duration;

use api::{Code, SettingsReport};
use daemon::{LiveSettings, Reading, Rereading};
use futures::StreamExt as _;
use futures::stream::{self, Stream};
use machine::Cloud;
use platform::desktop::Desktop;
use platform::file_watch::FileWatch;
use tokio::time::timeout;

use crate::failure::{Failure, Outcome};
use crate::log::LogLevel;
use crate::resolved::{GlobalArgs, Resolved};
use crate::settings::{Difference, Key, Severity};
use crate::shutdown::hangups;

/// An editor may write a file in several steps.
const SETTLED: Duration = Duration::from_millis(250);

/// What a daemon needs to read its settings again.
pub struct Reader {
    /// As the process was started.
    pub global: GlobalArgs,
    /// The settings in force: what needs a restart stays as it was at the start.
    pub running: Resolved,
    /// The cloud whose next machine may be another one; `None` for a host of the user's own.
    pub cloud: Option<Cloud>,
    pub level: LogLevel,
}

/// Reads at each change of the file, and at each SIGHUP of a process without a terminal.
pub fn rereading(reader: Reader, is_in_background: bool) -> std::io::Result<Rereading> {
    let file = file_changes(reader.running.settings_file.clone());
    let changes = match is_in_background {
        true => stream::select(file, hangups()?).fuse().boxed(),
        false => file.fuse().boxed(),
    };
    let is_there = reader.running.settings_file.exists();
    let mut reader = State { reader, is_there, waiting: Vec::new() };
    Ok(Rereading { read: Box::new(move || reader.read()), changes })
}

/// An item at first, since the file may have changed since it was read, and one for each change.
fn file_changes(path: PathBuf) -> impl Stream<Item = ()> + Send {
    stream::unfold(None, move |watch| {
        let path = path.clone();
        async move {
            if let Some(mut watch) = watch {
                FileWatch::changed(&mut watch).await.ok()?;
                while let Ok(Ok(())) = timeout(SETTLED, watch.changed()).await {}
            }
            // A link in place of the file may name another one by now.
            match FileWatch::of(&path) {
                Ok(watch) => Some(((), Some(watch))),
                Err(error) => {
                    tracing::debug!(%error, "the settings file is not watched");
                    None
                }
            }
        }
    })
}

struct State {
    reader: Reader,
    /// The file existed at the last reading.
    is_there: bool,
    /// Settings that wait for a restart.
    waiting: Vec<String>,
}

impl State {
    fn read(&mut self) -> Reading {
        let report = match self.changed() {
            Ok(new) => self.take_over(&new),
            Err(failure) => SettingsReport {
                restart: self.waiting.clone(),
                refused: Some(failure.message().to_owned()),
                ..SettingsReport::default()
            },
        };
        Reading { live: live(&self.reader.running), report }
    }

    /// The settings of now, or why they are refused.
    fn changed(&mut self) -> Outcome<Resolved> {
        let file = &self.reader.running.settings_file;
        // Defaults in place of a file that is gone for a moment could end a machine.
        if self.is_there && !file.exists() {
            let message = format!("the settings file {} is gone", file.display());
            return Err(Failure::bare(Code::SettingsInvalid, message));
        }
        let (new, problems) = Resolved::read(&self.reader.global)?;
        self.is_there = new.settings_file.exists();
        let refused = problems.iter().filter(|problem| problem.severity == Severity::Refused);
        let refused: Vec<String> = refused.map(ToString::to_string).collect();
        match refused.is_empty() {
            true => Ok(new),
            false => Err(Failure::bare(Code::SettingsInvalid, refused.join("; "))),
        }
    }

    fn take_over(&mut self, new: &Resolved) -> SettingsReport {
        let Reader { running, cloud, level, .. } = &mut self.reader;
        let Difference { now, next_wake, restart } = running.settings.take_over(&new.settings);
        if now.contains(&("logging", "level")) {
            level.set(&running.settings.logging.level);
        }
        if let Some(cloud) = cloud {
            cloud.change(running.next_machine());
        }
        self.waiting = names(&restart);
        SettingsReport {
            now: names(&now),
            next_wake: names(&next_wake),
            restart: self.waiting.clone(),
            refused: None,
        }
    }
}

fn names(keys: &[Key]) -> Vec<String> {
    keys.iter().map(|(section, key)| format!("{section}.{key}")).collect()
}

/// What a daemon uses of the settings in force.
fn live(running: &Resolved) -> LiveSettings {
    let ports = &running.settings.ports;
    LiveSettings {
        policy: running.policy(),
        budget: running.settings.activity.budget,
        idle_limit: running.lease().idle_limit,
        rules: daemon::ports::Rules {
            include: ports.include.clone(),
            exclude: ports.exclude.clone(),
        },
        bind_mounts: running.settings.gateway.bind_mounts,
        desktop: running.settings.desktop.notices.then(Desktop::default),
    }
}
