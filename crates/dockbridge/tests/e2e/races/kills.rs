//! The daemon is killed at twenty moments of a wake. Despite incomplete resources, the next daemon
//! ends with one machine and one volume. A stage that may pass too soon is held until the kill, so
//! that each kill hits what it is meant for.

mod holds;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::holds::{Held, Hold};
use super::{Holdings, docker};
use crate::ends::network::Network;
use crate::rig::{Daemon, Stage, pass_over, run};

/// What is removed before a round.
#[derive(Debug, Clone, Copy)]
enum Before {
    Everything,
    Server,
    /// The server stays, and is off.
    Power,
}

/// When a daemon is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// As soon as the cloud has one; the daemon may not know yet.
    Made(&'static str),
    /// This many milliseconds after the daemon reported one of the expected stages.
    After(u64),
}

use Before::{Everything, Power, Server};
use Moment::{After, Made};

/// One kill.
#[derive(Debug, Clone, Copy)]
struct Kill {
    moment: Moment,
    /// Keeps the wake from leaving the expected stages before the kill.
    hold: Hold,
    expected: &'static [&'static str],
}

const fn kill(moment: Moment, hold: Hold, expected: &'static [&'static str]) -> Kill {
    Kill { moment, hold, expected }
}

/// Ceiling until a moment comes.
const CEILING: Duration = Duration::from_secs(150);

const LOOK_UP: &str = "looking up what there is";
const RELEASING: &str = "releasing";
const CLEAN_UP: &str = "removing a machine that cannot be used";
const CREATE: &str = "creating the server";
const WAIT: &str = "waiting for the cloud";
const BOOT: &str = "booting";
const CONNECT: &str = "connecting";
const DOCKER: &str = "starting docker";
const RESUME: &str = "starting what ran before";
const UP: &str = "up";
const STAGES: &[&str] =
    &[LOOK_UP, RELEASING, CLEAN_UP, CREATE, WAIT, BOOT, CONNECT, DOCKER, RESUME, UP];

const CATALOGUE: Hold = Hold::Requests(&[("GET", "/v1/server_types")]);
const NEW_KEY: Hold = Hold::Requests(&[("POST", "/v1/ssh_keys")]);
const NEW_FIREWALL: Hold = Hold::Requests(&[("POST", "/v1/firewalls")]);
const NEW_SERVER: Hold = Hold::Requests(&[("POST", "/v1/servers")]);
/// A server that is off is started or deleted.
const NEW_LIFE: Hold =
    Hold::Requests(&[("POST", "/v1/servers/*/actions/poweron"), ("DELETE", "/v1/servers")]);

/// Behind the login nothing holds the short stages.
const LOGGED_IN: &[&str] = &[CONNECT, DOCKER, RESUME, UP];

/// Two kills each: one while something is created, one while the resulting machine is taken over.
/// Key and firewall are created while the daemon still looks up.
const COLD: &[(Before, [Kill; 2])] = &[
    (Everything, [kill(After(0), CATALOGUE, &[LOOK_UP]), kill(After(0), Hold::Ssh, &[BOOT])]),
    (
        Everything,
        [
            kill(Made("ssh_keys"), NEW_FIREWALL, &[LOOK_UP]),
            kill(After(0), Hold::Nothing, LOGGED_IN),
        ],
    ),
    (
        Everything,
        [kill(Made("firewalls"), NEW_KEY, &[LOOK_UP]), kill(After(500), Hold::Ssh, &[BOOT])],
    ),
    (
        Everything,
        [kill(Made("volumes"), NEW_SERVER, &[CREATE]), kill(After(0), Hold::Volume, &[DOCKER])],
    ),
    (
        Everything,
        [
            kill(Made("servers"), Hold::Ssh, &[CREATE, WAIT, BOOT]),
            kill(After(0), Hold::Nothing, &[UP]),
        ],
    ),
];
/// These find a volume with data.
const WITH_DATA: &[(Before, [Kill; 2])] = &[
    (Server, [kill(After(20), CATALOGUE, &[LOOK_UP]), kill(After(1_000), Hold::Ssh, &[BOOT])]),
    (
        Server,
        [
            kill(Made("servers"), Hold::Ssh, &[CREATE, WAIT, BOOT]),
            kill(After(100), Hold::Nothing, LOGGED_IN),
        ],
    ),
    (Server, [kill(After(100), NEW_SERVER, &[CREATE]), kill(After(0), Hold::Volume, &[DOCKER])]),
    (
        Power,
        [
            kill(After(0), NEW_LIFE, &[RELEASING, CLEAN_UP, CREATE]),
            kill(After(1_500), Hold::Ssh, &[BOOT]),
        ],
    ),
    (Server, [kill(After(0), NEW_SERVER, &[CREATE]), kill(After(100), Hold::Nothing, &[UP])]),
];

#[tokio::test]
async fn a_daemon_killed_at_any_of_twenty_moments_leaves_nothing_that_the_next_one_does_not_use() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let network = Network::new(&stage).await;
    let here = (&stage, &network);
    let mut struck = BTreeMap::new();
    let mut daemon = network.start(&stage, &[]).await;
    for (before, kills) in COLD {
        daemon = round(here, daemon, *before, kills, &mut struck).await;
    }
    stage.make_image("tiny").await;
    stage
        .docker(&[
            "run",
            "--rm",
            "-v",
            "keep:/keep",
            "tiny",
            "sh",
            "-c",
            "echo of before >/keep/file",
        ])
        .await
        .succeeded();
    // The servers of the next rounds go without a warning.
    stage.on_machine("sync").await.succeeded();
    let (_, volume) = Holdings::of(&stage).await.only();
    for (before, kills) in WITH_DATA {
        daemon = round(here, daemon, *before, kills, &mut struck).await;
        assert_eq!(Holdings::of(&stage).await.only().1, volume, "the volume with the data stays");
    }
    let read =
        stage.docker(&["run", "--rm", "-v", "keep:/keep", "tiny", "cat", "/keep/file"]).await;
    assert_eq!(read.succeeded().stdout, "of before\n");

    assert_eq!(struck.values().sum::<u32>(), 20);
    for stage in [LOOK_UP, CREATE, BOOT, DOCKER, UP] {
        assert!(struck.contains_key(stage), "the moments are spread over the wake: {struck:?}");
    }
    daemon.stop().await;
    stage.close().await;
}

/// Kills two daemons during one wake; the third completes it.
async fn round(
    (stage, network): (&Stage, &Network),
    last: Daemon,
    before: Before,
    kills: &[Kill; 2],
    struck: &mut BTreeMap<&str, u32>,
) -> Daemon {
    last.kill().await;
    clear(stage, before).await;
    let mut seen = Holdings::default();
    for kill in kills {
        let held = kill.hold.begin(stage, network).await;
        let daemon = network.start(stage, &[]).await;
        let hit = strike(stage, daemon, *kill, held, &mut seen).await;
        eprintln!("{before:?} taken away, killed at {}: {hit}", kill.moment);
        *struck.entry(hit.stage).or_default() += 1;
    }
    let daemon = network.start(stage, &[]).await;
    let begun = Instant::now();
    stage.docker(&["ps"]).await.succeeded();
    eprintln!("  served {:.1} s later", begun.elapsed().as_secs_f64());
    let now = Holdings::of(stage).await;
    let (server, volume) = now.only();
    assert_eq!(stage.api.volumes().get(volume).await.unwrap().unwrap().server, Some(server));
    seen.add(now);
    if !matches!(before, Power) {
        seen.only();
    }
    daemon
}

/// Result of a kill.
struct Hit {
    stage: &'static str,
    after: Duration,
    held: BTreeMap<&'static str, u64>,
}

/// Gives a command and kills the daemon at the moment.
async fn strike(
    stage: &Stage,
    daemon: Daemon,
    kill: Kill,
    hold: Held<'_>,
    seen: &mut Holdings,
) -> Hit {
    let client = daemon.client();
    let command = tokio::spawn(run(docker(stage, &daemon.socket, &["ps"]), ""));
    let begun = Instant::now();
    let mut reached: Option<Instant> = None;
    let hit = loop {
        let held = held(stage).await;
        let status = client.status().await.unwrap();
        let word = match status.phases.last() {
            Some(phase) if status.state == api::MachineState::Waking => phase.words.as_str(),
            _ => status.state.word(),
        };
        let at = STAGES.iter().find(|stage| **stage == word).copied();
        let is_expected = at.is_some_and(|at| kill.expected.contains(&at));
        let due = match kill.moment {
            Made(what) => held[what] > 0,
            After(later) => {
                is_expected
                    && reached.get_or_insert_with(Instant::now).elapsed()
                        >= Duration::from_millis(later)
            }
        };
        assert!(held["servers"] <= 1 && held["volumes"] <= 1, "{held:?}");
        if due {
            let hit = Hit { stage: at.unwrap_or("no stage"), after: begun.elapsed(), held };
            assert!(is_expected, "{kill:?} hit {hit}\n{}", stage.daemon_log());
            break hit;
        }
        assert!(
            begun.elapsed() < CEILING,
            "{kill:?} does not come: {status:?}\n{}",
            stage.daemon_log()
        );
        sleep(Duration::from_millis(2)).await;
    };
    daemon.kill().await;
    hold.end().await;
    seen.add(Holdings::of(stage).await);
    // Served just before, or failed because no daemon serves any more.
    command.await.unwrap();
    hit
}

/// Number of resources of each kind.
async fn held(stage: &Stage) -> BTreeMap<&'static str, u64> {
    let state = stage.look().await;
    ["servers", "volumes", "ssh_keys", "firewalls"]
        .map(|kind| (kind, state[kind].as_u64().unwrap()))
        .into()
}

async fn clear(stage: &Stage, before: Before) {
    let (api, held) = (&stage.api, Holdings::of(stage).await);
    for server in held.servers {
        match before {
            Power => {
                stage.control().post(&format!("servers/{server}/power_cut"), "").await;
            }
            Everything | Server => api
                .wait(api.servers().delete(server).await.unwrap().into_iter().collect())
                .await
                .unwrap(),
        }
    }
    if let Everything = before {
        for volume in held.volumes {
            api.volumes().delete(volume).await.unwrap();
        }
        for firewall in held.firewalls {
            api.firewalls().delete(firewall).await.unwrap();
        }
        for key in held.keys {
            api.ssh_keys().delete(key).await.unwrap();
        }
        assert_eq!(Holdings::of(stage).await, Holdings::default());
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Made(what) => write!(f, "{what} made"),
            After(later) => write!(f, "the stage + {later} ms"),
        }
    }
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held: Vec<String> =
            self.held.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let held = held.join(", ");
        write!(
            f,
            "while {:?}, {:.2} s after the command, with {held}",
            self.stage,
            self.after.as_secs_f64()
        )
    }
}
