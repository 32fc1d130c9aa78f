//! No machines: every effect succeeds at once. For clients that only need the API.

use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use tokio::sync::mpsc;

use crate::hypervisor::{
    Effect, Event, Failure, Format, Hypervisor, InboundRule, NewServer, Rescue,
};
use crate::options::ContainerEngine;

/// Reported size of every snapshot.
const SNAPSHOT_BYTES: u64 = 1_500_000_000;

/// A hypervisor that does nothing. Its servers obey the power button and have addresses from the
/// benchmark range 198.18.0.0/15, where no host answers.
#[derive(Debug)]
pub struct Nothing {
    stopped: mpsc::UnboundedSender<Event>,
    events: Mutex<Option<mpsc::UnboundedReceiver<Event>>>,
}

impl Default for Nothing {
    fn default() -> Nothing {
        // Unbounded: at most one event per call of `shutdown`, and the API limits those.
        let (stopped, events) = mpsc::unbounded_channel();
        Nothing { stopped, events: Mutex::new(Some(events)) }
    }
}

fn done() -> Effect<'static> {
    std::future::ready(Ok(())).boxed()
}

impl Hypervisor for Nothing {
    fn reserve_address(&self, server: u64) -> Result<Ipv4Addr, Failure> {
        // The 2^17 addresses of the range without the first, by id.
        let offset = 1 + u32::try_from(server % ((1 << 17) - 1)).unwrap_or(0);
        Ok(Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + offset))
    }

    fn set_engine(&self, _: ContainerEngine) -> Effect<'_> {
        done()
    }

    fn create(&self, _: NewServer) -> Effect<'_> {
        done()
    }

    fn start(&self, _: u64) -> Effect<'_> {
        done()
    }

    fn set_rescue(&self, _: u64, _: Option<Rescue>) -> Effect<'_> {
        done()
    }

    fn shutdown(&self, server: u64) -> Effect<'_> {
        // The receiver is gone once the cloud closes.
        let _ = self.stopped.send(Event::Stopped(server));
        done()
    }

    fn power_off(&self, _: u64) -> Effect<'_> {
        done()
    }

    fn delete(&self, _: u64) -> Effect<'_> {
        done()
    }

    fn set_firewall(&self, _: u64, _: Option<Vec<InboundRule>>) -> Effect<'_> {
        done()
    }

    fn create_volume(&self, _: u64, _: u64, _: Option<Format>) -> Effect<'_> {
        done()
    }

    fn resize_volume(&self, _: u64, _: u64) -> Effect<'_> {
        done()
    }

    fn delete_volume(&self, _: u64) -> Effect<'_> {
        done()
    }

    fn attach(&self, _: u64, _: u64) -> Effect<'_> {
        done()
    }

    fn mount(&self, _: u64, _: u64) -> Effect<'_> {
        done()
    }

    fn show_wrong_disk(&self, _: u64, _: u64) -> Effect<'_> {
        done()
    }

    fn detach(&self, _: u64) -> Effect<'_> {
        done()
    }

    fn snapshot(&self, _: u64, _: u64) -> Effect<'_, u64> {
        std::future::ready(Ok(SNAPSHOT_BYTES)).boxed()
    }

    fn delete_snapshot(&self, _: u64) -> Effect<'_> {
        done()
    }

    fn events(&self) -> Option<mpsc::UnboundedReceiver<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn close(&self) -> Effect<'_> {
        done()
    }
}
