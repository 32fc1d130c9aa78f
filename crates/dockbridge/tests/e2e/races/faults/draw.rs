//! What a seed draws: the faults of one run, and their moments.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

/// One run: a machine is woken, used and destroyed.
#[derive(Debug)]
pub struct Run {
    pub seed: u64,
    /// The project is empty at its begin, without even a volume.
    pub is_cold: bool,
    pub wake: Vec<Fault>,
    pub work: Vec<Fault>,
    pub end: Vec<Fault>,
    /// Whether the user destroys the machine; otherwise idleness does.
    pub by_command: bool,
}

#[derive(Debug, Clone)]
pub enum Fault {
    /// A fault to inject into the local cloud.
    Order(Value),
    /// A strike this long after a phase has begun.
    Strike(Duration, Strike),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strike {
    /// Killed, and restarted like a service manager does.
    Daemon,
    /// All agent processes on the machine.
    Agent,
    /// The process that holds the lease.
    Resident,
    Dockerd,
    Containerd,
    /// The service and all logins.
    Sshd,
    /// The machine's power, with all data that was not written to the volume.
    Power,
    /// The whole machine, as when a hypervisor dies.
    Machine,
    /// The server, in the cloud's console.
    Server,
    /// The login key, in the console.
    LoginKey,
    /// The network for this long.
    Network(Duration),
}

impl Run {
    pub fn drawn(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let is_cold = rng.random_ratio(1, 5);
        let mut some = |most: usize, least: usize, draw: fn(&mut StdRng) -> Fault| {
            let count = rng.random_range(least..=most);
            (0..count).map(|_| draw(&mut rng)).collect()
        };
        let (wake, work, end) = (some(3, 1, waking), some(2, 0, working), some(2, 0, ending));
        Self { seed, is_cold, wake, work, end, by_command: rng.random() }
    }
}

fn waking(rng: &mut StdRng) -> Fault {
    if rng.random_ratio(2, 5) {
        return strike(rng, 8_000);
    }
    let slow = |rng: &mut StdRng, most: u64| rng.random_range(500..=most);
    let order = match rng.random_range(0..13) {
        0 => json!({"kind": "rate_limit", "times": rng.random_range(1..=6)}),
        1 => json!({"kind": "unavailable_503", "times": rng.random_range(1..=30)}),
        2 => json!({"kind": "server_error", "times": rng.random_range(1..=2)}),
        3 => {
            json!({
                "kind": "lost_reply",
                "times": rng.random_range(1..=3),
                "match": {"method": "POST"},
            })
        }
        4 => json!({"kind": "lost_reply", "times": rng.random_range(1..=4)}),
        5 => json!({"kind": "locked", "times": rng.random_range(1..=3)}),
        6 => json!({"kind": "stock_out", "times": rng.random_range(1..=4)}),
        7 => json!({"kind": "unsupported_location", "times": rng.random_range(1..=2)}),
        8 => {
            json!({
                "kind": "action_error",
                "match": {"path": *["/v1/servers", "/v1/volumes"].choose(rng).unwrap()},
            })
        }
        9 => json!({"kind": "attach_error", "times": rng.random_range(1..=2)}),
        10 => {
            json!({
                "kind": "action_hang",
                "delay_ms": slow(rng, 12_000),
                "match": {"method": "POST", "path": "/v1/servers"},
            })
        }
        11 => {
            json!({
                "kind": "slow_attach",
                "delay_ms": slow(rng, 12_000),
                "match": {"path": "/v1/servers"},
            })
        }
        _ => {
            json!({
                "kind": "wrong_device",
                "delay_ms": slow(rng, 8_000),
                "match": {"path": "/v1/servers"},
            })
        }
    };
    Fault::Order(order)
}

fn working(rng: &mut StdRng) -> Fault {
    if rng.random_ratio(4, 5) {
        return strike(rng, 4_000);
    }
    // A running machine does not need the cloud; its recovery from a strike does.
    Fault::Order(json!({"kind": "unavailable_503", "times": rng.random_range(4..=40)}))
}

fn ending(rng: &mut StdRng) -> Fault {
    if rng.random_ratio(2, 5) {
        return strike(rng, 2_500);
    }
    let order = match rng.random_range(0..8) {
        0 => json!({"kind": "rate_limit", "times": rng.random_range(1..=6)}),
        1 => json!({"kind": "unavailable_503", "times": rng.random_range(1..=40)}),
        2 => {
            json!({
                "kind": "lost_reply",
                "times": rng.random_range(1..=3),
                "match": {"method": "DELETE"},
            })
        }
        3 => {
            json!({
                "kind": "lost_reply",
                "times": rng.random_range(1..=3),
                "match": {"method": "POST"},
            })
        }
        4 => json!({"kind": "locked", "times": rng.random_range(1..=3)}),
        5 => json!({"kind": "action_error", "match": {"path": "/v1/volumes"}}),
        6 => {
            json!({
                "kind": "action_error",
                "times": rng.random_range(1..=2),
                "match": {"method": "DELETE", "path": "/v1/servers"},
            })
        }
        _ => {
            json!({
                "kind": "action_hang",
                "delay_ms": rng.random_range(500..=8_000),
                "match": {"method": "DELETE", "path": "/v1/servers"},
            })
        }
    };
    Fault::Order(order)
}

fn strike(rng: &mut StdRng, within_ms: u64) -> Fault {
    use Strike::{
        Agent, Containerd, Daemon, Dockerd, LoginKey, Machine, Network, Power, Resident, Server,
        Sshd,
    };
    let cut = Network(Duration::from_millis(rng.random_range(500..=9_000)));
    // The daemon, which has the most to lose, is struck more often.
    let targets = [
        Daemon, Daemon, Daemon, Agent, Resident, Dockerd, Containerd, Sshd, Power, Machine, Server,
        LoginKey, cut,
    ];
    Fault::Strike(
        Duration::from_millis(rng.random_range(0..=within_ms)),
        *targets.choose(rng).unwrap(),
    )
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let output = |faults: &[Fault]| {
            faults.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        let (begins, ends) = (
            if self.is_cold { "from nothing" } else { "with data" },
            if self.by_command { "by the user" } else { "idle" },
        );
        write!(
            f,
            "{begins}; waking: {}; working: {}; ending ({ends}): {}",
            output(&self.wake),
            output(&self.work),
            output(&self.end)
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Strike(after, what) => write!(f, "{what:?} at {:.1} s", after.as_secs_f64()),
            Fault::Order(order) => {
                write!(f, "{}", order["kind"].as_str().unwrap_or_default())?;
                for (key, value) in
                    order.as_object().into_iter().flatten().filter(|(key, _)| *key != "kind")
                {
                    write!(f, " {key}={value}")?;
                }
                Ok(())
            }
        }
    }
}

#[test]
fn a_seed_draws_the_same_run_each_time_and_all_kinds_of_faults_are_drawn() {
    let output = |seed| Run::drawn(seed).to_string();
    assert!((0..50).all(|seed| output(seed) == output(seed)));
    let all: String = (0..400).map(output).collect();
    for kind in [
        "rate_limit",
        "unavailable_503",
        "server_error",
        "lost_reply",
        "locked",
        "stock_out",
        "unsupported_location",
        "action_error",
        "attach_error",
        "action_hang",
        "slow_attach",
        "wrong_device",
        "Daemon",
        "Agent",
        "Resident",
        "Dockerd",
        "Containerd",
        "Sshd",
        "Power",
        "Machine",
        "Server",
        "LoginKey",
        "Network",
        "from nothing",
        "with data",
        "by the user",
        "idle",
    ] {
        assert!(all.contains(kind), "{kind}");
    }
}
