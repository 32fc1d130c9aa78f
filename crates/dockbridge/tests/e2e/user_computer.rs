//! The user's computer: a machine of the local cloud, with systemd, logind, a docker client, and a
//! user who has a service manager and no other files than a new account has. Another machine is
//! what this computer's own daemon creates. What is installed here, and how, the tests decide.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::rig::{Daemon, Ran, Stage};

/// A boot, or a wake on a busy host.
pub const BOOT: Duration = Duration::from_secs(120);
/// The user's socket.
pub const SOCKET: &str = "/run/user/1500/dockbridge/default/docker.sock";

pub struct Computer<'a> {
    pub stage: &'a Stage,
}

impl<'a> Computer<'a> {
    /// The stage's own machine, kept, with its user. The daemon of the stage reaches it.
    pub async fn set_up(stage: &'a Stage) -> (Daemon, Self) {
        let daemon = stage.start(&[]).await;
        stage.docker(&["version"]).await.succeeded();
        stage.dockbridge(&["pin"]).await.succeeded();
        let computer = Self { stage };
        // At the end of its first boot sshd starts again, and refuses a login at that moment.
        let booted = "systemctl is-system-running --wait >/dev/null || true";
        let state = async || computer.root("systemctl list-jobs").await.to_string();
        let has_booted = async || computer.root(booted).await.status.success();
        testkit::eventually("the computer has booted", BOOT, has_booted, state).await;
        // The machine's systemd has no part of PAM.
        computer
            .root(
                "set -e; useradd --create-home --uid 1500 ada
                 mkdir -p /etc/systemd/system/user@.service.d
                 printf \"[Service]\\nPAMName=\\nEnvironment=XDG_RUNTIME_DIR=/run/user/%%i\\n\" \
                     >/etc/systemd/system/user@.service.d/session.conf
                 systemctl daemon-reload && loginctl enable-linger ada",
            )
            .await
            .succeeded();
        computer.until_user_has_a_manager().await;
        (daemon, computer)
    }

    pub async fn root(&self, script: &str) -> Ran {
        self.stage.on_machine(script).await
    }

    /// Runs a script without single quotes as the user.
    pub async fn user(&self, script: &str) -> Ran {
        let environment = "export XDG_RUNTIME_DIR=/run/user/1500 \
                           PATH=$HOME/.local/bin:/usr/local/bin:/usr/bin:/bin; cd";
        self.root(&format!("su ada -c '{environment} && {script}'")).await
    }

    pub async fn until(&self, what: &str, ceiling: Duration, holds: impl AsyncFnMut() -> bool) {
        let state = async || {
            let journal = "journalctl --no-pager --lines 60; systemctl --user --no-pager status \
                           dockbridge.service";
            format!("{}\n{}", self.root("loginctl").await, self.user(journal).await)
        };
        testkit::eventually(what, ceiling, holds, state).await;
    }

    async fn until_user_has_a_manager(&self) {
        self.until("the user has a service manager", BOOT, async || {
            self.user("systemctl --user show --property=Version").await.status.success()
        })
        .await;
    }

    /// `init` with the cloud's token, which is saved: no service sees the environment of a shell.
    pub async fn init(&self, arguments: &str) -> Ran {
        let endpoint = self.stage.cloud.machine_endpoint().expect("machines");
        let token = self.stage.cloud.token();
        let init = format!(
            "echo {token} | HCLOUD_ENDPOINT={endpoint} dockbridge init --token-stdin {arguments}"
        );
        self.user(&init).await
    }

    /// The daemon's process, as systemd knows it; 0 if there is none.
    pub async fn process(&self) -> u32 {
        let show = "systemctl --user show --property=MainPID --value dockbridge.service";
        self.user(show).await.stdout.trim().parse().unwrap_or(0)
    }

    /// Restarts the computer, and waits until systemd listens at the user's sockets again.
    pub async fn reboot(&self) {
        // Written at each boot.
        let since = "cat /run/dockbridge/first-lease";
        let before = self.root(since).await.succeeded().stdout.clone();
        // Its output does not count: the connection ends with the computer.
        self.root("systemctl reboot").await;
        self.until("the computer is back", BOOT, async || {
            self.root(since).await.stdout.trim() > before.trim()
        })
        .await;
        self.until("the user's manager is back", BOOT, async || {
            self.user("systemctl --user is-active dockbridge.socket").await.status.success()
        })
        .await;
    }

    /// The address of this host in the computer's network.
    pub fn host_address(&self) -> IpAddr {
        let endpoint = self.stage.cloud.machine_endpoint().expect("machines");
        let address: SocketAddr =
            endpoint.trim_start_matches("http://").trim_end_matches("/v1").parse().unwrap();
        address.ip()
    }
}
