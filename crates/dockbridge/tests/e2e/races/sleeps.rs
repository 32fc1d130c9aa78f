//! This computer suspends, for less and for more than the lease; a stopped daemon is in the same
//! position. The daemon finds out what happened to the machine meanwhile by itself when it
//! resumes, and says so.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Holdings, state};
use crate::rig::{Daemon, Stage, pass_over};

const LEASE: Duration = Duration::from_secs(20);
const SETTINGS: [(&str, &str); 2] =
    [("DOCKBRIDGE_KEEPALIVE_TIMEOUT", "20s"), ("DOCKBRIDGE_KEEPALIVE_INTERVAL", "2s")];
/// Well within the lease, and longer than any interval of clock checks.
const NAP: Duration = Duration::from_secs(6);
/// Ceiling beyond the lease for what the lease bounds.
const MARGIN: Duration = Duration::from_secs(60);
/// The watchdog gives a path up after six seconds awake.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn after_a_sleep_the_daemon_goes_on_or_knows_that_its_machine_has_ended_itself() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&SETTINGS).await;
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
    let (server, volume) = Holdings::of(&stage).await.only();

    hears(&daemon, Signal::STOP);
    sleep(NAP).await;
    hears(&daemon, Signal::CONT);
    let awake = Instant::now();
    // Longer than the rest of the lease when it resumed: it is renewed again.
    while awake.elapsed() < LEASE {
        assert_eq!(
            Holdings::of(&stage).await.only(),
            (server, volume),
            "it goes on with its machine"
        );
        sleep(Duration::from_millis(500)).await;
    }
    let read =
        stage.docker(&["run", "--rm", "-v", "keep:/keep", "tiny", "cat", "/keep/file"]).await;
    assert_eq!(read.succeeded().stdout, "of before\n");

    hears(&daemon, Signal::STOP);
    let asleep = Instant::now();
    stage
        .eventually("the machine has ended itself", LEASE + MARGIN, async || {
            stage.counts().await == (0, 1)
        })
        .await;
    let ended = asleep.elapsed();
    hears(&daemon, Signal::CONT);
    stage
        .eventually("the daemon has found out", SOON, async || state(&daemon).await == "absent")
        .await;
    knows_what_happened(&stage, &daemon, ended).await;

    let read =
        stage.docker(&["run", "--rm", "-v", "keep:/keep", "tiny", "cat", "/keep/file"]).await;
    assert_eq!(read.succeeded().stdout, "of before\n");
    let (next, same) = Holdings::of(&stage).await.only();
    assert!(next != server && same == volume, "another machine with the same volume");
    daemon.stop().await;
    stage.close().await;
}

async fn knows_what_happened(stage: &Stage, daemon: &Daemon, ended: Duration) {
    let happened = "it ended itself with its lease: it received no heartbeat of this computer, \
                    which slept or was cut off, for ";
    let status = daemon.client().status().await.unwrap();
    assert!(
        status.reason.as_ref().is_some_and(|reason| reason.starts_with(happened)),
        "{status:?}"
    );
    assert!(status.last_known.is_none(), "its end is known: {status:?}");
    let why = stage.dockbridge(&["why"]).await;
    assert!(why.succeeded().stdout.contains(happened), "{why}");
    assert!(stage.daemon_log().contains(happened), "{}", stage.daemon_log());

    let cost: Value =
        serde_json::from_str(&stage.dockbridge(&["cost", "--json"]).await.succeeded().stdout)
            .unwrap();
    let [server] = cost["servers"].as_array().unwrap().as_slice() else {
        panic!("one server: {cost}")
    };
    assert!(
        server["until"].is_string() && server["estimated"] == true,
        "its entry is closed: {cost}"
    );
    let time = |field: &str| server[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let billed = time("until").duration_since(time("from"));
    eprintln!(
        "the machine went {:.1} s after the computer fell asleep; {billed:#} are booked",
        ended.as_secs_f64()
    );
}

fn hears(daemon: &Daemon, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(daemon.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}
