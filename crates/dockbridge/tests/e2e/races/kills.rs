//! The daemon is killed at twenty moments of a wake. Despite incomplete resources, the next daemon
//! ends with one machine and one volume.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Holdings, docker};
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
    /// This many milliseconds after the daemon reported this stage, or when it has passed.
    At(&'static str, u64),
}

use Before::{Everything, Power, Server};
use Moment::{At, Made};

const LOOK_UP: &str = "looking up what there is";
const RELEASING: &str = "releasing";
const CREATE: &str = "creating the server";
const WAIT: &str = "waiting for the cloud";
const BOOT: &str = "booting";
const CONNECT: &str = "connecting";
const DOCKER: &str = "starting docker";
const RESUME: &str = "starting what ran before";
const UP: &str = "up";
const STAGES: &[&str] = &[
    LOOK_UP,
    RELEASING,
    "removing a machine that cannot be used",
    CREATE,
    WAIT,
    BOOT,
    CONNECT,
    DOCKER,
    RESUME,
    UP,
];

/// Two kills each: one while something is created, one while the resulting machine is taken over.
const COLD: &[(Before, [Moment; 2])] = &[
    (Everything, [At(LOOK_UP, 0), At(BOOT, 0)]),
    (Everything, [Made("ssh_keys"), At(CONNECT, 0)]),
    (Everything, [Made("firewalls"), At(BOOT, 500)]),
    (Everything, [Made("volumes"), At(DOCKER, 0)]),
    (Everything, [Made("servers"), At(UP, 0)]),
];
/// These find a volume with data.
const WITH_DATA: &[(Before, [Moment; 2])] = &[
    (Server, [At(LOOK_UP, 20), At(BOOT, 1_000)]),
    (Server, [Made("servers"), At(CONNECT, 100)]),
    (Server, [At(CREATE, 100), At(DOCKER, 0)]),
    (Power, [At(RELEASING, 0), At(BOOT, 1_500)]),
    (Server, [At(CREATE, 0), At(UP, 100)]),
];

#[tokio::test]
async fn a_daemon_killed_at_any_of_twenty_moments_leaves_nothing_that_the_next_one_does_not_use() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let mut struck: BTreeMap<&str, u32> = BTreeMap::new();
    let mut daemon = stage.start(&[]).await;
    for (before, moments) in COLD {
        daemon = round(&stage, daemon, *before, *moments, &mut struck).await;
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
    for (before, moments) in WITH_DATA {
        daemon = round(&stage, daemon, *before, *moments, &mut struck).await;
        assert_eq!(Holdings::of(&stage).await.only().1, volume, "the volume with the data stays");
    }
    let read =
        stage.docker(&["run", "--rm", "-v", "keep:/keep", "tiny", "cat", "/keep/file"]).await;
    assert_eq!(read.succeeded().stdout, "of before\n");

    assert_eq!(struck.values().sum::<u32>(), 20);
    let hits = |stages: &[&str]| stages.iter().filter_map(|stage| struck.get(stage)).sum::<u32>();
    // Some stages take milliseconds, such as the creation of a server on an existing volume: the
    // kill may hit the next one instead.
    for (stages, at_least) in
        [(&[CREATE, WAIT][..], 3), (&[BOOT, CONNECT], 4), (&[DOCKER, RESUME, UP], 4)]
    {
        assert!(hits(stages) >= at_least, "{stages:?} were hit {at_least} times: {struck:?}");
    }
    assert!(struck.len() >= 6, "the moments are spread over the wake: {struck:?}");
    daemon.stop().await;
    stage.close().await;
}

/// Kills two daemons during one wake; the third completes it.
async fn round(
    stage: &Stage,
    last: Daemon,
    before: Before,
    moments: [Moment; 2],
    struck: &mut BTreeMap<&str, u32>,
) -> Daemon {
    last.kill().await;
    clear(stage, before).await;
    let mut seen = Holdings::default();
    for moment in moments {
        let daemon = stage.start(&[]).await;
        let hit = strike(stage, daemon, moment, &mut seen).await;
        eprintln!("{before:?} taken away, killed at {moment}: {hit}");
        *struck.entry(hit.stage).or_default() += 1;
    }
    let daemon = stage.start(&[]).await;
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
async fn strike(stage: &Stage, daemon: Daemon, moment: Moment, seen: &mut Holdings) -> Hit {
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
        let at = STAGES.iter().position(|stage| *stage == word);
        let due = match moment {
            Made(what) => held[what] > 0,
            At(wanted, later) => match at.cmp(&STAGES.iter().position(|stage| *stage == wanted)) {
                std::cmp::Ordering::Less => false,
                std::cmp::Ordering::Equal => {
                    reached.get_or_insert_with(Instant::now).elapsed()
                        >= Duration::from_millis(later)
                }
                std::cmp::Ordering::Greater => true,
            },
        };
        assert!(held["servers"] <= 1 && held["volumes"] <= 1, "{held:?}");
        if due {
            break Hit {
                stage: at.map_or("before the wake", |at| STAGES[at]),
                after: begun.elapsed(),
                held,
            };
        }
        assert!(
            begun.elapsed() < Duration::from_secs(40),
            "{moment} does not come: {status:?}\n{}",
            stage.daemon_log()
        );
        sleep(Duration::from_millis(2)).await;
    };
    daemon.kill().await;
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
            At(stage, later) => write!(f, "{stage:?} + {later} ms"),
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
