//! The daemon as a service of systemd, from its installation over a crash, a hang and a reboot to
//! its removal. A machine of the local cloud is the user's computer: it has systemd, logind and a
//! docker client. Its daemon creates a second machine.

use std::time::Duration;

use crate::rig::{Stage, agent_directory, pass_over};
use crate::user_computer::{Computer, SOCKET};

/// systemd starts a daemon again after a second.
const RESTART: Duration = Duration::from_secs(40);
const CONTROL_STATUS: &str = "curl -sS --max-time 20 --unix-socket \
     /run/user/1500/dockbridge/default/docker.sock.control http://dockbridge/status";

impl Computer<'_> {
    /// Program and agents of this build, and a saved token.
    async fn install_build(&self) {
        let (stage, agents) = (self.stage, agent_directory());
        self.root("mkdir -p /usr/local/lib/dockbridge").await.succeeded();
        for agent in std::fs::read_dir(agents).unwrap().flatten() {
            let name = agent.file_name().into_string().unwrap();
            stage.send(&agent.path(), &format!("/usr/local/lib/dockbridge/{name}")).await;
        }
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_dockbridge"));
        stage.send(program, "/usr/local/bin/dockbridge").await;
        let modes = "chmod 755 /usr/local/bin/dockbridge /usr/local/lib/dockbridge/*";
        self.root(modes).await.succeeded();
        self.init("--no-context").await.succeeded();
    }

    /// Waits until another daemon serves than the one with this process.
    async fn until_restarted(&self, former: u32) {
        self.until("another daemon serves", RESTART, async || {
            let process = self.process().await;
            // A connection of its own would start a daemon that systemd has given up.
            process != 0 && process != former && self.is_running().await
        })
        .await;
    }

    async fn is_running(&self) -> bool {
        let show = "systemctl --user show --property=SubState --value dockbridge.service";
        self.user(show).await.stdout.trim() == "running"
    }

    /// Everything of dockbridge's and systemd's that an installation may leave.
    async fn traces(&self) -> String {
        let script = "find .config /run/user/1500/dockbridge /run/user/1500/systemd/units 2>&1 | \
                      grep -v invocation | sort; systemctl --user list-unit-files \"dockbridge*\" \
                      --no-legend; systemctl --user list-units --all \"dockbridge*\" --no-legend";
        self.user(script).await.stdout
    }
}

#[tokio::test]
async fn service_survives_a_crash_a_hang_and_a_reboot_and_leaves_nothing() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let (daemon, computer) = Computer::set_up(&stage).await;
    computer.install_build().await;
    let before = computer.traces().await;

    let installed = computer.user("dockbridge service install").await;
    installed.succeeded().said(&["Installed the service dockbridge.service", SOCKET]);
    let again = computer.user("dockbridge service install").await;
    again.succeeded().said(&["is installed already"]);
    let verify = "systemd-analyze verify --user --man=no .config/systemd/user/dockbridge.*";
    let verified = computer.user(verify).await;
    assert_eq!((verified.succeeded().stderr.as_str(), verified.stdout.as_str()), ("", ""));
    assert_eq!(computer.process().await, 0, "no client has come");

    // The first docker command starts the daemon, and that wakes a machine.
    let docker = format!("docker -H unix://{SOCKET}");
    let version = computer.user(&format!("{docker} version")).await;
    version.succeeded();
    assert_eq!(stage.counts().await, (2, 2));
    let status = computer.user("dockbridge service status").await;
    status.succeeded().said(&[
        "dockbridge.service, active (running)",
        "dockbridge.socket, active (running), begins with a login",
        "EUR an hour",
    ]);

    crash_and_hang(&computer).await;

    // Another client of the same machine: what runs there is found again.
    computer.user(&format!("{docker} version")).await.succeeded();
    computer.reboot().await;
    assert_eq!(computer.process().await, 0, "no client has come since the reboot");
    computer.user(&format!("{docker} version")).await.succeeded();
    assert_ne!(computer.process().await, 0);

    let stopped = computer.user("dockbridge stop --destroy").await;
    stopped.succeeded().said(&["Stopped the daemon.", "until the next login or"]);
    assert_eq!(stage.counts().await.0, 1, "the user's computer is left");
    computer.user(&format!("{docker} version")).await.failed(1, &["annot connect to the Docker"]);
    let started = computer.user("dockbridge start").await;
    started.succeeded().said(&["Started the service dockbridge.service (process "]);
    let removed = computer.user("dockbridge service remove").await;
    removed.succeeded().said(&["Stopped the daemon.", "Removed the service dockbridge.service."]);
    let lock = format!("{SOCKET}.lock");
    let after: String = computer
        .traces()
        .await
        .lines()
        .filter(|line| {
            *line != lock
                && !["", "/default"]
                    .iter()
                    .any(|directory| *line == format!("/run/user/1500/dockbridge{directory}"))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let before: String = before
        .lines()
        .filter(|line| !line.contains("/run/user/1500/dockbridge"))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(after, before);

    daemon.stop().await;
    stage.close().await;
}

/// After kill -9, and for a process that hangs.
async fn crash_and_hang(computer: &Computer<'_>) {
    let first = computer.process().await;
    computer.user(&format!("kill -9 {first}")).await.succeeded();
    computer.until_restarted(first).await;

    let settings = "mkdir -p .config/systemd/user/dockbridge.service.d && printf \
                    \"[Service]\\nWatchdogSec=10\\n\" \
                    >.config/systemd/user/dockbridge.service.d/short.conf && systemctl --user \
                    daemon-reload && systemctl --user restart dockbridge.service";
    computer.user(settings).await.succeeded();
    let second = computer.process().await;
    assert_ne!(second, 0);
    computer.user(&format!("kill -STOP {second}")).await.succeeded();
    computer.until_restarted(second).await;
    let answered = computer.user(CONTROL_STATUS).await;
    assert!(answered.succeeded().stdout.contains("\"dockbridge.service\""), "{answered}");
    let undo = "rm -r .config/systemd/user/dockbridge.service.d && systemctl --user daemon-reload \
                && systemctl --user restart dockbridge.service";
    computer.user(undo).await.succeeded();
}
