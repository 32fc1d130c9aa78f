//! What keeps a machine, and that it is deleted when nothing does.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use super::{Holdings, docker};
use crate::rig::{Daemon, Stage, pass_over};

/// An unused machine lives for 3 s; with silent connections or running containers for 6 s.
const SETTINGS: [(&str, &str); 4] = [
    ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "1s"),
    ("DOCKBRIDGE_ACTIVITY_CONNECTION_TIMEOUT", "4s"),
    ("DOCKBRIDGE_ACTIVITY_GRACE_PERIOD", "2s"),
    // Containers are counted with each heartbeat.
    ("DOCKBRIDGE_KEEPALIVE_INTERVAL", "1s"),
];
const WITH_SILENT_CONNECTIONS: Duration = Duration::from_secs(4 + 2);
const TICKING: &str = "while :; do echo tick; sleep 0.5; done";

/// One after the other, so that each has to keep the machine alone.
#[tokio::test]
async fn a_command_a_stream_and_a_forwarded_connection_keep_the_machine_until_they_end() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&SETTINGS).await;
    stage.make_image("tiny").await;
    let (server, _) = Holdings::of(&stage).await.only();
    let kept = Kept { stage: &stage, daemon: &daemon, server };

    activity_within_the_grace_cancels_the_end(&kept).await;

    let listening = [
        "run",
        "--detach",
        "--name",
        "ticking",
        "--stop-timeout",
        "1",
        "-p",
        "0:7",
        "tiny",
        "sh",
        "-c",
    ];
    let echo_and_tick = format!("nc -ll -p 7 -e cat & {TICKING}");
    stage.docker(&[listening.as_slice(), &[&echo_and_tick]].concat()).await.succeeded();
    // The first process of a container ignores SIGTERM: this command runs for 15 s, in silence.
    stage
        .docker(&["run", "--detach", "--name", "stubborn", "tiny", "sleep", "600"])
        .await
        .succeeded();
    kept.beyond(
        WITH_SILENT_CONNECTIONS,
        "stop",
        docker(&stage, &daemon.socket, &["stop", "--time", "15", "stubborn"]),
    )
    .await;
    kept.beyond(
        WITH_SILENT_CONNECTIONS,
        "logs",
        docker(&stage, &daemon.socket, &["logs", "--follow", "ticking"]),
    )
    .await;
    let exec =
        docker(&stage, &daemon.socket, &["exec", "--interactive", "ticking", "sh", "-c", TICKING]);
    kept.beyond(WITH_SILENT_CONNECTIONS, "exec", exec).await;
    a_forwarded_connection_keeps(&kept).await;

    stage.docker(&["rm", "--force", "ticking", "stubborn"]).await.succeeded();
    stage
        .eventually("it goes when nothing keeps it", Duration::from_secs(30), async || {
            stage.counts().await == (0, 1)
        })
        .await;
    daemon.stop().await;
    stage.close().await;
}

struct Kept<'a> {
    stage: &'a Stage,
    daemon: &'a Daemon,
    server: u64,
}

impl Kept<'_> {
    /// The command runs until it is ended here, and keeps the machine; it is shown as the reason.
    async fn beyond(&self, lifetime: Duration, reason: &str, mut command: Command) {
        let mut running = command.stdout(std::process::Stdio::null()).spawn().unwrap();
        self.stays(lifetime, reason, async || {}).await;
        assert!(running.try_wait().unwrap().is_none(), "docker {reason} still runs");
        running.kill().await.unwrap();
    }

    /// The machine stays the same all the time, for this reason, well beyond the idle timeout.
    async fn stays(&self, lifetime: Duration, reason: &str, mut use_it: impl AsyncFnMut()) {
        let begun = Instant::now();
        let mut output = Vec::new();
        while begun.elapsed() < lifetime + Duration::from_secs(1) {
            use_it().await;
            let status = self.daemon.client().status().await.unwrap();
            assert_eq!(
                status.state,
                api::MachineState::Up,
                "kept for {reason} until {:?}: {status:?}",
                begun.elapsed()
            );
            output = status.why.reasons.into_iter().map(|reason| reason.what).collect();
            sleep(Duration::from_millis(200)).await;
        }
        assert!(
            output.iter().any(|what| what.contains(reason)),
            "{reason} is shown as a reason: {output:?}"
        );
        assert_eq!(Holdings::of(self.stage).await.only().0, self.server);
    }
}

async fn activity_within_the_grace_cancels_the_end(kept: &Kept<'_>) {
    let next = async || kept.daemon.client().status().await.unwrap().why.next;
    kept.stage
        .eventually("the grace begins", WITH_SILENT_CONNECTIONS, async || {
            next().await.starts_with("destroyed in")
        })
        .await;
    kept.stage.docker(&["ps"]).await.succeeded();
    let status = kept.daemon.client().status().await.unwrap();
    assert!(
        !status.why.next.starts_with("destroyed in") && !status.why.reasons.is_empty(),
        "{status:?}"
    );
    assert_eq!(Holdings::of(kept.stage).await.only().0, kept.server);
}

async fn a_forwarded_connection_keeps(kept: &Kept<'_>) {
    let published = kept.stage.docker(&["port", "ticking", "7/tcp"]).await;
    let port: u16 = published
        .succeeded()
        .stdout
        .lines()
        .next()
        .unwrap()
        .rsplit_once(':')
        .unwrap()
        .1
        .trim()
        .parse()
        .unwrap();
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let echo = async || {
        connection.write_all(b"x").await.unwrap();
        let mut answer = [0];
        timeout(Duration::from_secs(10), connection.read_exact(&mut answer))
            .await
            .expect("an echo")
            .unwrap();
    };
    kept.stays(WITH_SILENT_CONNECTIONS, "ticking", echo).await;
}
