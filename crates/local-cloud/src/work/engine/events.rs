//! What happens to servers outside of actions: events of machines, samples of their usage, power
//! cuts.

use std::sync::{Arc, PoisonError};

use jiff::Timestamp;

use super::Engine;
use crate::hypervisor::Event;
use crate::state::action::ActionError;
use crate::state::{Id, ServerStatus};
use crate::work::effect::Effect;
use crate::work::samples;

impl Engine {
    /// Handles events of machines until the cloud closes.
    pub(crate) fn spawn_listener(self: &Arc<Self>) {
        let Some(mut events) = self.hypervisor.events() else { return };
        let engine = Arc::clone(self);
        self.tasks.spawn(async move {
            let stop = engine.stop.clone();
            loop {
                let event = tokio::select! {
                    () = stop.cancelled() => return,
                    event = events.recv() => event,
                };
                match event {
                    Some(Event::Stopped(server)) => {
                        tracing::info!(server, "a server powered off by itself");
                        engine.mark_off(server);
                    }
                    Some(Event::Rescued(server)) => {
                        engine.with_server(server, |s| s.rescue = None);
                        engine.changed.notify_one();
                    }
                    None => return,
                }
            }
        });
    }

    /// Samples the usage of running servers until the cloud closes.
    pub(crate) fn spawn_sampler(self: &Arc<Self>) {
        let engine = Arc::clone(self);
        self.tasks.spawn(async move {
            let stop = engine.stop.clone();
            while stop.run_until_cancelled(tokio::time::sleep(samples::EVERY)).await.is_some() {
                let running: Vec<Id> = {
                    let world = engine.world();
                    let servers = world.projects.values().flat_map(|p| p.servers.values());
                    servers.filter(|s| s.status == ServerStatus::Running).map(|s| s.id).collect()
                };
                let hypervisor = engine.hypervisor.clone();
                let look = move || {
                    running.into_iter().filter_map(|id| Some((id, hypervisor.usage(id)?))).collect()
                };
                if let Ok(used) = tokio::task::spawn_blocking(look).await {
                    engine
                        .samples
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .take(Timestamp::now(), used);
                }
            }
        });
    }

    fn mark_off(&self, server: Id) {
        self.with_server(server, |s| {
            if matches!(
                s.status,
                ServerStatus::Running | ServerStatus::Starting | ServerStatus::Stopping
            ) {
                s.status = ServerStatus::Off;
            }
        });
        self.changed.notify_one();
    }

    /// Cuts the power without an action. False if the server does not exist.
    pub(crate) async fn power_cut(&self, server: Id) -> Result<bool, ActionError> {
        if self.with_server(server, |_| ()).is_none() {
            return Ok(false);
        }
        self.perform(Effect::PowerOff(server)).await?;
        self.mark_off(server);
        Ok(true)
    }
}
