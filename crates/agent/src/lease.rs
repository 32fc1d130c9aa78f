//! The lease: until when the machine may exist, and which clients use it. Pure; times are durations
//! since boot.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_proto::Heartbeat;

/// A client counts as alive for this long after its last heartbeat: two periods of 30 s and a grace
/// for a lost one.
const FRESH: Duration = Duration::from_secs(75);

/// Until when the machine may exist, by client.
#[derive(Debug, Default)]
pub struct Lease {
    clients: BTreeMap<String, Client>,
}

#[derive(Debug)]
struct Client {
    seen: Duration,
    idle: Duration,
    idle_limit: Duration,
    ends: Duration,
}

impl Lease {
    /// Renews one client's part of the lease. It does not change what others were granted.
    pub fn renew(&mut self, now: Duration, heartbeat: &Heartbeat) {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let client = Client {
            seen: now,
            idle: seconds(heartbeat.idle_seconds),
            idle_limit: seconds(heartbeat.idle_limit_seconds),
            ends: now + seconds(heartbeat.lease_seconds),
        };
        self.clients.insert(heartbeat.client.clone(), client);
        // Clients whose time is over are dropped, except the one with the latest end: without it
        // the lease would be forgotten.
        let ends = self.ends();
        self.clients.retain(|_, client| now < client.ends || Some(client.ends) == ends);
    }

    /// When the lease ends, since boot; `None` before the first heartbeat.
    pub fn ends(&self) -> Option<Duration> {
        self.clients.values().map(|client| client.ends).max()
    }

    /// The time left; `None` before the first heartbeat.
    pub fn left(&self, now: Duration) -> Option<Duration> {
        self.ends().map(|ends| ends.saturating_sub(now))
    }

    /// The clients other than `asking` that use the machine, human-readable: those alive and within
    /// the idle time that they announced.
    pub fn others(&self, now: Duration, asking: Option<&str>) -> Vec<String> {
        let others = self.clients.iter().filter(|(name, _)| Some(name.as_str()) != asking);
        let using = others.filter_map(|(name, client)| {
            let age = now.saturating_sub(client.seen);
            let idle = client.idle + age;
            (age < FRESH && idle < client.idle_limit).then(|| match idle.as_secs() {
                0 => format!("client {name} is active"),
                idle => format!(
                    "client {name} was active {idle} s ago and keeps the machine for {} s",
                    client.idle_limit.as_secs()
                ),
            })
        });
        using.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heartbeat(client: &str, lease: u32, idle: u32, limit: u32) -> Heartbeat {
        Heartbeat {
            client: client.into(),
            lease_seconds: lease,
            idle_seconds: idle,
            idle_limit_seconds: limit,
        }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn there_is_no_lease_before_the_first_heartbeat() {
        assert_eq!((Lease::default().ends(), Lease::default().left(at(9))), (None, None));
    }

    #[test]
    fn a_heartbeat_extends_the_lease_from_its_arrival() {
        let mut lease = Lease::default();
        lease.renew(at(100), &heartbeat("a", 300, 0, 60));
        lease.renew(at(130), &heartbeat("a", 300, 0, 60));
        assert_eq!(
            (lease.ends(), lease.left(at(131)), lease.left(at(999))),
            (Some(at(430)), Some(at(299)), Some(at(0)))
        );
    }

    #[test]
    fn a_client_can_shorten_its_own_lease_but_not_that_of_others() {
        let mut lease = Lease::default();
        lease.renew(at(0), &heartbeat("a", 300, 0, 60));
        lease.renew(at(10), &heartbeat("b", 1000, 0, 60));
        lease.renew(at(20), &heartbeat("b", 30, 0, 60));
        assert_eq!(lease.ends(), Some(at(300)));
    }

    #[test]
    fn another_client_counts_while_alive_and_within_its_idle_time() {
        let mut lease = Lease::default();
        lease.renew(at(0), &heartbeat("a", 300, 40, 60));
        assert!(lease.others(at(0), Some("a")).is_empty());
        assert_eq!(lease.others(at(19), Some("b")).len(), 1);
        assert!(lease.others(at(20), Some("b")).is_empty(), "idle for its whole limit");
        lease.renew(at(100), &heartbeat("a", 300, 0, 3600));
        assert_eq!(lease.others(at(174), Some("b")).len(), 1);
        assert!(
            lease.others(at(175), Some("b")).is_empty(),
            "two periods and a grace without a heartbeat"
        );
    }

    proptest! {
        #[test]
        fn the_lease_never_ends_before_the_last_promise(
            beats in prop::collection::vec((0u64..50, 0usize..3, 1u32..500), 1..40)
        ) {
            let mut lease = Lease::default();
            let mut promises = [Duration::ZERO; 3];
            let mut now = Duration::ZERO;
            for (pause, who, seconds) in beats {
                now += at(pause);
                lease.renew(now, &heartbeat(["a", "b", "c"][who], seconds, 0, 60));
                promises[who] = now + at(seconds.into());
                prop_assert_eq!(lease.ends(), promises.iter().copied().max());
            }
        }
    }
}
