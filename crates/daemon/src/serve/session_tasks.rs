//! What connects a daemon with the user's session: its events, and notices on its desktop. Each
//! runs while the settings ask for it.

use std::sync::Arc;

use lifecycle::{Activity, Clock, LockAction};
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::{Options, spawned};
use crate::notices::Notices;
use crate::rereading::{InForce, LiveSettings, while_wanted};
use crate::session_events;
use crate::state::DaemonState;
use crate::supervisor::Command;

/// The tasks, which end with their handles.
pub(super) fn session_tasks(
    options: &Options,
    clock: &Arc<dyn Clock>,
    settings: &watch::Receiver<InForce>,
    activity: &Activity,
    commands: &mpsc::Sender<Command>,
    state: &watch::Receiver<DaemonState>,
) -> Vec<AbortOnDropHandle<()>> {
    let (activity, commands) = (activity.clone(), commands.clone());
    let heed = move || session_events::heed(activity.clone(), commands.clone());
    let heeds = |now: &LiveSettings| now.policy.lock.action != LockAction::Ignore;
    let events = while_wanted(settings.clone(), heeds, heed);

    let (now, state, clock) = (settings.clone(), state.clone(), clock.clone());
    let (profile, directory) = (options.profile.clone(), options.state.clone());
    let lease = i64::try_from(options.lease.length.as_secs()).unwrap_or(i64::MAX);
    let notify = move || {
        let notices = Notices {
            desktop: now.borrow().live.desktop.clone().unwrap_or_default(),
            profile: profile.clone(),
            directory: directory.clone(),
            lease,
            clock: clock.clone(),
        };
        notices.run(state.clone())
    };
    let notices = while_wanted(settings.clone(), |now| now.desktop.is_some(), notify);
    vec![spawned(events), spawned(notices)]
}
