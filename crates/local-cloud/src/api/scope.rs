//! What a route's function works with: one project, locked for the request, and functions to start
//! actions in it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::call::Call;
use super::error::ApiError;
use super::list::{Listing, list};
use super::reply::Reply;
use super::view;
use crate::catalogue::Catalogue;
use crate::hypervisor::Hypervisor;
use crate::options::Limits;
use crate::state::{Id, Ids, Project, Resource};
use crate::work::effect::Effect;
use crate::work::engine::Engine;
use crate::work::samples::{Rates, Samples};
use crate::work::{Chain, Step, Work, settle_firewalls};

pub(crate) struct Scope<'a> {
    name: &'a str,
    pub(super) project: &'a mut Project,
    ids: &'a mut Ids,
    pub(super) catalogue: &'a Catalogue,
    pub(super) hypervisor: &'a dyn Hypervisor,
    pub(super) limits: Limits,
    pub(super) call: &'a Call,
    pub(super) now: Timestamp,
    samples: &'a Mutex<Samples>,
    chains: Vec<Chain>,
    effects: Vec<Effect>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(
        name: &'a str,
        project: &'a mut Project,
        ids: &'a mut Ids,
        engine: &'a Engine,
        limits: Limits,
        call: &'a Call,
        now: Timestamp,
    ) -> Scope<'a> {
        Scope {
            name,
            project,
            ids,
            catalogue: &engine.catalogue,
            hypervisor: engine.hypervisor.as_ref(),
            limits,
            call,
            now,
            samples: &engine.samples,
            chains: Vec::new(),
            effects: Vec::new(),
        }
    }

    pub(super) fn into_work(self) -> (Vec<Chain>, Vec<Effect>) {
        (self.chains, self.effects)
    }

    pub(super) fn rates(&self, server: Id, at: Timestamp, step: Duration) -> Rates {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).rates(server, at, step)
    }

    /// The first id in the path.
    pub(super) fn id(&self) -> Id {
        self.call.params.first().copied().unwrap_or_default()
    }

    pub(super) fn new_id(&mut self) -> Id {
        self.ids.take()
    }

    pub(super) fn list(&self, listing: &Listing, items: Vec<Value>) -> Result<Reply, ApiError> {
        list(&self.call.query, listing, items)
    }

    pub(super) fn ensure_unlocked(&self, resource: Resource) -> Result<(), ApiError> {
        if self.project.is_locked(resource) {
            Err(ApiError::locked(resource.kind()))
        } else {
            Ok(())
        }
    }

    /// Records an action; it runs once it is part of a [`Scope::start`].
    pub(super) fn action(&mut self, command: &'static str, resources: &[Resource]) -> Id {
        let id = self.ids.take();
        self.project.record(id, command, resources, self.now);
        id
    }

    /// Locks the actions' resources and runs the actions one after the other once the request is
    /// answered.
    pub(super) fn start(&mut self, steps: Vec<(Id, Work)>, holds: Vec<Resource>) {
        let Some((first, _)) = steps.first() else { return };
        for held in &holds {
            self.project.locks.insert(*held, *first);
        }
        let steps = steps.into_iter().map(|(id, work)| Step { action: Some(id), work }).collect();
        self.chains.push(Chain {
            project: self.name.to_owned(),
            steps,
            holds,
            chain_fault: self.call.chain_fault,
        });
    }

    /// Starts one action on resources that it locks.
    pub(super) fn start_one(
        &mut self,
        command: &'static str,
        resources: &[Resource],
        work: Work,
    ) -> Result<Value, ApiError> {
        for resource in resources {
            self.ensure_unlocked(*resource)?;
        }
        let id = self.action(command, resources);
        self.start(vec![(id, work)], resources.to_vec());
        Ok(self.action_json(id))
    }

    /// Applies and removes firewalls as their targets require; returns the actions.
    pub(super) fn settle_firewalls(&mut self) -> Vec<Id> {
        let (ids, now) = (&mut *self.ids, self.now);
        let chains = settle_firewalls(self.name, self.project, |project, command, resources| {
            let id = ids.take();
            project.record(id, command, resources, now);
            id
        });
        let actions = chains.iter().flat_map(|c| &c.steps).filter_map(|s| s.action).collect();
        self.chains.extend(chains);
        actions
    }

    /// Runs an effect outside of any action.
    pub(super) fn afterwards(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    pub(super) fn action_json(&self, id: Id) -> Value {
        self.project.actions.get(&id).map_or(Value::Null, |a| view::action(a, self.now))
    }

    pub(super) fn actions_json(&self, ids: &[Id]) -> Value {
        ids.iter().map(|id| self.action_json(*id)).collect::<Vec<_>>().into()
    }

    pub(super) fn server_json(&self, id: Id) -> Value {
        self.project
            .servers
            .get(&id)
            .map_or(Value::Null, |s| view::server(self.project, self.catalogue, s, self.now))
    }

    pub(super) fn volume_json(&self, id: Id) -> Value {
        self.project.volumes.get(&id).map_or(Value::Null, |v| view::volume(self.catalogue, v))
    }

    pub(super) fn firewall_json(&self, id: Id) -> Value {
        self.project.firewalls.get(&id).map_or(Value::Null, |f| view::firewall(self.project, f))
    }

    /// The answer of most action routes.
    pub(super) fn answer_action(
        &mut self,
        command: &'static str,
        resources: &[Resource],
        work: Work,
    ) -> Result<Reply, ApiError> {
        Ok(Reply::created(json!({"action": self.start_one(command, resources, work)?})))
    }
}
