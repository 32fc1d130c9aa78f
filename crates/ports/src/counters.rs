//! Traffic of a forward: counters, the last use, and the last connections with their end.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use api::{EndedConnection, Traffic};
use lifecycle::Guard;

/// How many ended connections are kept for each forward.
const KEPT: usize = 16;

/// A connection that carried at least this many bytes was a big transfer.
const BIG: u64 = 4 << 20;

/// The counters of a forward.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    now: AtomicUsize,
    total: AtomicU64,
    failed: AtomicU64,
    /// Bytes from this computer to the container.
    bytes_in: AtomicU64,
    /// Bytes from the container to this computer.
    bytes_out: AtomicU64,
    dropped: AtomicU64,
    expects_bulk: AtomicBool,
    past: Mutex<Past>,
}

#[derive(Debug, Default)]
struct Past {
    last_used: Option<SystemTime>,
    recent: VecDeque<Ended>,
}

#[derive(Debug)]
struct Ended {
    client: SocketAddr,
    at: SystemTime,
    took: Duration,
    bytes_in: u64,
    bytes_out: u64,
    error: Option<String>,
}

impl Counters {
    /// Counts a new connection, until the returned value is dropped. `guard` is its activity.
    pub(crate) fn begin(self: &Arc<Self>, client: SocketAddr, guard: Guard) -> Use {
        self.now.fetch_add(1, Ordering::Relaxed);
        self.total.fetch_add(1, Ordering::Relaxed);
        let began = SystemTime::now();
        self.past().last_used = Some(began);
        Use {
            counters: self.clone(),
            guard,
            client,
            began,
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            error: None,
        }
    }

    /// Whether the last connection, or a present one, is a big transfer: the next one may be, too.
    pub(crate) fn expects_bulk(&self) -> bool {
        self.expects_bulk.load(Ordering::Relaxed)
    }

    pub(crate) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Traffic {
        let now = SystemTime::now();
        let since = |then: SystemTime| now.duration_since(then).unwrap_or_default().as_secs_f64();
        let past = self.past();
        Traffic {
            connections_now: self.now.load(Ordering::Relaxed),
            connections_total: self.total.load(Ordering::Relaxed),
            connections_failed: self.failed.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            datagrams_dropped: self.dropped.load(Ordering::Relaxed),
            last_used_seconds: past.last_used.map(since),
            recent: (past.recent.iter())
                .map(|ended| EndedConnection {
                    client: ended.client,
                    seconds_ago: since(ended.at),
                    seconds: ended.took.as_secs_f64(),
                    bytes_in: ended.bytes_in,
                    bytes_out: ended.bytes_out,
                    error: ended.error.clone(),
                })
                .collect(),
        }
    }

    // Every critical section leaves it whole.
    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection, counted until it is dropped.
pub(crate) struct Use {
    counters: Arc<Counters>,
    guard: Guard,
    client: SocketAddr,
    began: SystemTime,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    error: Option<String>,
}

impl Use {
    /// Counts bytes to the container.
    pub(crate) fn passed_in(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
        self.counters.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
        self.guard.sent(bytes);
        self.used();
    }

    /// Counts bytes from the container.
    pub(crate) fn passed_out(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
        self.counters.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
        self.guard.received(bytes);
        self.used();
    }

    /// Notes the error that ended the connection.
    pub(crate) fn failed(&mut self, error: String) {
        self.error = Some(error);
    }

    fn used(&self) {
        // The next connection may begin before this one ends.
        if self.bytes_in.load(Ordering::Relaxed) + self.bytes_out.load(Ordering::Relaxed) >= BIG {
            self.counters.expects_bulk.store(true, Ordering::Relaxed);
        }
        self.counters.past().last_used = Some(SystemTime::now());
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let at = SystemTime::now();
        self.counters.now.fetch_sub(1, Ordering::Relaxed);
        self.counters.failed.fetch_add(u64::from(self.error.is_some()), Ordering::Relaxed);
        let (bytes_in, bytes_out) = (*self.bytes_in.get_mut(), *self.bytes_out.get_mut());
        self.counters.expects_bulk.store(bytes_in + bytes_out >= BIG, Ordering::Relaxed);
        let mut past = self.counters.past();
        past.recent.truncate(KEPT - 1);
        past.recent.push_front(Ended {
            client: self.client,
            at,
            took: at.duration_since(self.began).unwrap_or_default(),
            bytes_in,
            bytes_out,
            error: self.error.take(),
        });
    }
}
