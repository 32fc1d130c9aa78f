//! What routes and control requests share: the engine, the limits, the request counts and the
//! faults to inject.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::counter::Counter;
use super::faults::Faults;
use crate::options::Limits;
use crate::work::engine::Engine;

pub(super) struct Shared {
    pub(super) engine: Arc<Engine>,
    limits: Mutex<Limits>,
    counter: Mutex<Counter>,
    faults: Mutex<Faults>,
}

impl Shared {
    pub(super) fn new(engine: Arc<Engine>, limits: Limits) -> Shared {
        Shared {
            engine,
            limits: Mutex::new(limits),
            counter: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    pub(super) fn limits(&self) -> Limits {
        *self.limits_mut()
    }

    pub(super) fn limits_mut(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counter(&self) -> MutexGuard<'_, Counter> {
        self.counter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
