//! Notices on the user's desktop: a command waits for a machine, the machine is ready, or it is
//! gone. [`Watched`] decides what is worth one and is pure; `platform` shows it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::{Actor, MachineState};
use jiff::Timestamp;
use lifecycle::{Clock, Moment};
use machine::{Summary, with_causes};
use platform::desktop::{Desktop, Note, Shown};
use tokio::sync::watch;

use crate::boot_history::boot_history_of;
use crate::end::End;
use crate::ledger::Ledger;
use crate::state::DaemonState;
use crate::supervisor::until;
use crate::waiting;

/// A shorter wait needs no notice: the user still looks at the terminal.
const LONG_WAIT: Duration = Duration::from_secs(10);

/// What a notice is about.
#[derive(Debug, PartialEq)]
enum Event {
    Waits,
    Ready { after: Duration },
    Failed { why: String },
    Gone { machine: Box<Summary>, because: String },
}

/// Of the daemon's state, what notices depend on.
struct Seen {
    state: MachineState,
    since: Moment,
    /// The machine that is known to exist.
    machine: Option<Summary>,
    detail: String,
    end: Option<End>,
}

impl Seen {
    fn of(now: &DaemonState) -> Self {
        Self {
            state: now.machine.kind(),
            since: now.since,
            machine: now.last_known.as_ref().map(|last| last.machine.clone()),
            detail: now.machine.detail().unwrap_or_default().into_owned(),
            end: now.last_end.clone(),
        }
    }

    /// Whether the user ordered the end of this machine, and so knows of it.
    fn is_ended_by_user(&self, machine: &Summary) -> bool {
        self.end.as_ref().is_some_and(|end| end.server == machine.id && end.actor == Actor::User)
    }
}

/// What was seen until now.
#[derive(Debug, Default)]
struct Watched {
    /// Since when a wake goes on.
    waking: Option<Moment>,
    /// A notice says that it goes on.
    is_shown: bool,
    machine: Option<Summary>,
}

impl Watched {
    /// What is worth a notice now.
    fn see(&mut self, mut seen: Seen, now: Moment) -> Option<Event> {
        if let Some(machine) = seen.machine.take() {
            self.machine = Some(machine);
        }
        if seen.state == MachineState::Waking {
            let since = *self.waking.get_or_insert(seen.since);
            let is_long = now.since(since) >= LONG_WAIT;
            return (is_long && !std::mem::replace(&mut self.is_shown, is_long))
                .then_some(Event::Waits);
        }
        let after = self.waking.take().map(|since| now.since(since)).unwrap_or_default();
        let was_shown = std::mem::take(&mut self.is_shown);
        match seen.state {
            MachineState::Up => was_shown.then_some(Event::Ready { after }),
            MachineState::Failed => was_shown.then_some(Event::Failed { why: seen.detail }),
            MachineState::Absent => {
                let machine = self.machine.take()?;
                (!seen.is_ended_by_user(&machine))
                    .then(|| Event::Gone { machine: Box::new(machine), because: seen.detail })
            }
            MachineState::Waking | MachineState::Lost | MachineState::Releasing => None,
        }
    }

    /// When something is worth a notice although nothing changes.
    fn next_look(&self) -> Option<Moment> {
        self.waking.filter(|_| !self.is_shown).map(|since| since.plus(LONG_WAIT))
    }
}

/// Shows notices about one profile.
pub(crate) struct Notices {
    pub(crate) desktop: Desktop,
    pub(crate) profile: String,
    /// The profile's directory, with its ledger and the times of past wakes.
    pub(crate) directory: PathBuf,
    /// Seconds after which a machine that hears nothing ends itself.
    pub(crate) lease: i64,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Notices {
    /// Shows them until the daemon ends.
    pub(crate) async fn run(self, mut state: watch::Receiver<DaemonState>) {
        let (mut watched, mut desk) = (Watched::default(), Desk::new(self.desktop.clone()));
        loop {
            let now = state.borrow_and_update().clone();
            if let Some(event) = watched.see(Seen::of(&now), self.clock.now()) {
                let is_wake = !matches!(event, Event::Gone { .. });
                desk.show(&self.note(&event, &now), is_wake).await;
            }
            tokio::select! {
                changed = state.changed() => if changed.is_err() { return },
                () = until(&*self.clock, watched.next_look()) => {}
            }
        }
    }

    fn note(&self, event: &Event, now: &DaemonState) -> Note {
        let (what, body) = match event {
            Event::Waits => ("a command waits for its machine", self.running_stage(now)),
            Event::Ready { after } => {
                ("the machine is ready", format!("It took {} s.", after.as_secs()))
            }
            Event::Failed { why } => ("no machine came up", sentence(why)),
            Event::Gone { machine, because } => {
                let cost = self.cost(machine).map(|cost| format!(" It cost {cost}."));
                ("the machine is gone", sentence(because) + &cost.unwrap_or_default())
            }
        };
        let profile = match self.profile.as_str() {
            "default" => String::new(),
            profile => format!(" (profile {profile})"),
        };
        Note { summary: format!("dockbridge{profile}: {what}"), body }
    }

    fn running_stage(&self, now: &DaemonState) -> String {
        let past = boot_history_of(&self.directory).history();
        let wait = waiting::wait(now, &past, self.clock.now());
        let usual = wait.usual.map(|usual| format!(", usually {} s", usual.as_secs()));
        sentence(&format!("{}{}", wait.stage, usual.unwrap_or_default()))
    }

    /// What the machine cost, net.
    fn cost(&self, machine: &Summary) -> Option<String> {
        let ledger = Ledger::load(&self.directory);
        let (cost, currency) = ledger.server_cost(machine.id?, self.lease, Timestamp::now())?;
        Some(format!("{cost:.4} {currency}, net"))
    }
}

/// The desktop, and what it shows of dockbridge.
struct Desk {
    desktop: Desktop,
    /// The notice about the wake, which the next one replaces.
    wake: Option<Shown>,
    /// The log has the reason why notices are not shown.
    is_logged: bool,
}

impl Desk {
    fn new(desktop: Desktop) -> Self {
        Self { desktop, wake: None, is_logged: false }
    }

    /// Shows a notice where there is a desktop.
    async fn show(&mut self, note: &Note, is_wake: bool) {
        let replaced = self.wake.take().filter(|_| is_wake);
        match self.desktop.show(note, replaced).await {
            Ok(shown) => self.wake = is_wake.then_some(shown),
            Err(error) if !std::mem::replace(&mut self.is_logged, true) => {
                tracing::info!(error = %with_causes(&error), "notices are not shown");
            }
            Err(_) => {}
        }
    }
}

/// Adds a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

#[cfg(test)]
mod tests;
