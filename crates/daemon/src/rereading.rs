//! The settings that a running daemon takes over when they change. Who calls this daemon reads
//! them: this file knows no settings file. It hands the values to the parts that use them, and
//! remembers what the user should know of a change.

use std::time::Duration;

use api::{Condition, SettingsReport};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use gateway::{BindMounts, Gateway};
use lifecycle::Policy;
use platform::desktop::Desktop;
use ports::{Ports, Rules};
use tokio::sync::{mpsc, oneshot, watch};

/// Commands that wait for a reading; each comes from a user.
const QUEUE: usize = 16;

/// What a daemon takes over while it runs. Everything else needs a new daemon.
#[derive(Debug, Clone)]
pub struct LiveSettings {
    /// How long machines stay.
    pub policy: Policy,
    /// The budget of a month, in millionths of the project's currency, net.
    pub budget: Option<u64>,
    /// How long this client may be idle before it gives the machine up.
    pub idle_limit: Duration,
    /// Which published ports appear.
    pub rules: Rules,
    /// What a path in a bind mount means.
    pub bind_mounts: BindMounts,
    /// Where notices are shown; `None` for none.
    pub desktop: Option<Desktop>,
}

/// Settings that were read again.
#[derive(Debug)]
pub struct Reading {
    /// What holds now: the old values where the new ones are refused.
    pub live: LiveSettings,
    /// What became of the changes.
    pub report: SettingsReport,
}

/// How a running daemon gets changed settings.
pub struct Rereading {
    /// Reads them. It hands the provider what concerns the next machine.
    pub read: Box<dyn FnMut() -> Reading + Send>,
    /// An item whenever they may have changed.
    pub changes: BoxStream<'static, ()>,
}

/// The settings in force, and the conditions that follow from the last reading.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) live: LiveSettings,
    pub(crate) conditions: Vec<Condition>,
}

impl InForce {
    pub(crate) fn new(live: LiveSettings) -> Self {
        Self { live, conditions: Vec::new() }
    }
}

/// An order to read the settings now.
pub(crate) type Order = oneshot::Sender<SettingsReport>;

/// Reads the settings whenever they change, or a command says so.
pub(crate) struct Rereader {
    rereading: Option<Rereading>,
    orders: mpsc::Receiver<Order>,
    in_force: watch::Sender<InForce>,
    gateway: Gateway,
    ports: Option<Ports>,
}

/// A reader that hands changes to these parts, and where it takes orders.
pub(crate) fn rereader(
    rereading: Option<Rereading>,
    in_force: watch::Sender<InForce>,
    gateway: &Gateway,
    ports: &Option<Ports>,
) -> (mpsc::Sender<Order>, Rereader) {
    let (sender, orders) = mpsc::channel(QUEUE);
    let (gateway, ports) = (gateway.clone(), ports.clone());
    (sender, Rereader { rereading, orders, in_force, gateway, ports })
}

impl Rereader {
    /// Ends when no command can come any more.
    pub(crate) async fn run(mut self) {
        loop {
            let Self { rereading, orders, .. } = &mut self;
            let changed = async {
                match rereading {
                    Some(rereading) => rereading.changes.next().await,
                    None => None,
                }
            };
            let order = tokio::select! {
                Some(()) = changed => None,
                order = orders.recv() => match order {
                    Some(order) => Some(order),
                    None => return,
                },
            };
            let report = self.read();
            // The user may have ended the command.
            let _ = order.map(|order| order.send(report));
        }
    }

    fn read(&mut self) -> SettingsReport {
        let Some(rereading) = &mut self.rereading else { return SettingsReport::default() };
        let Reading { live, report } = (rereading.read)();
        let conditions = conditions(&report);
        let is_known = self.in_force.borrow().conditions == conditions;
        if !is_known || !report.now.is_empty() || !report.next_wake.is_empty() {
            log(&report);
        }
        if !report.now.is_empty() {
            self.gateway.set_bind_mounts(live.bind_mounts);
            if let Some(ports) = &self.ports {
                ports.set_rules(live.rules.clone());
            }
        }
        if !is_known || !report.now.is_empty() {
            self.in_force.send_replace(InForce { live, conditions });
        }
        report
    }
}

/// What the user should know of a change for as long as it is so.
fn conditions(report: &SettingsReport) -> Vec<Condition> {
    let refused = report.refused.clone().map(|why| Condition::SettingsRefused { why });
    let waiting = (!report.restart.is_empty())
        .then(|| Condition::RestartNeeded { settings: report.restart.clone() });
    refused.into_iter().chain(waiting).collect()
}

fn log(report: &SettingsReport) {
    let SettingsReport { now, next_wake, restart, refused } = report;
    if let Some(why) = refused {
        tracing::warn!(%why, "the changed settings are refused, and the old ones stay");
    } else if [now, next_wake, restart].iter().any(|names| !names.is_empty()) {
        let names = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        tracing::info!(
            now = names(now),
            next_wake = names(next_wake),
            restart = names(restart),
            "the settings have changed"
        );
    }
}

/// Runs a task for as long as the settings ask for it. The task is cut off, and begun again.
pub(crate) async fn while_wanted<F: Future<Output = ()>>(
    mut in_force: watch::Receiver<InForce>,
    wants: impl Fn(&LiveSettings) -> bool,
    task: impl Fn() -> F,
) {
    while in_force.wait_for(|now| wants(&now.live)).await.is_ok() {
        let task = async {
            task().await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = task => {}
            unwanted = in_force.wait_for(|now| !wants(&now.live)) => {
                if unwanted.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::task::yield_now;

    use super::*;

    fn live(has_notices: bool) -> LiveSettings {
        LiveSettings {
            policy: Policy::default(),
            budget: None,
            idle_limit: Duration::ZERO,
            rules: Rules::default(),
            bind_mounts: BindMounts::default(),
            desktop: has_notices.then(Desktop::default),
        }
    }

    #[test]
    fn refused_and_waiting_settings_are_conditions_that_name_them() {
        assert_eq!(conditions(&SettingsReport::default()), []);
        let report = SettingsReport {
            restart: vec!["keepalive.timeout".to_owned(), "ssh.host".to_owned()],
            refused: Some("line 3: no".to_owned()),
            ..SettingsReport::default()
        };
        let texts: Vec<String> = conditions(&report).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "the settings have changed and are refused, so the old ones stay: line 3: no",
                "the daemon uses the old value of keepalive.timeout, ssh.host until it starts again"
            ]
        );
    }

    #[tokio::test]
    async fn task_runs_while_the_settings_ask_for_it_and_again_later() {
        let (sender, in_force) = watch::channel(InForce::new(live(false)));
        let (begun, running) = (Cell::new(0), Cell::new(false));
        struct Ends<'a>(&'a Cell<bool>);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.set(false);
            }
        }
        let task = || async {
            begun.set(begun.get() + 1);
            running.set(true);
            let _ends = Ends(&running);
            std::future::pending::<()>().await;
        };
        let wants = |live: &LiveSettings| live.desktop.is_some();
        let following = while_wanted(in_force, wants, task);
        let steps = async {
            for (has_notices, count) in [(false, 0), (true, 1), (true, 1), (false, 1), (true, 2)] {
                sender.send_replace(InForce::new(live(has_notices)));
                for _ in 0..10 {
                    yield_now().await;
                }
                assert_eq!((begun.get(), running.get()), (count, has_notices));
            }
        };
        tokio::select! {
            () = following => panic!("it ended"),
            () = steps => {}
        }
    }
}
