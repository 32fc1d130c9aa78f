//! From a computer without dockbridge to `docker ps` after a reboot, by install.sh and by Debian
//! package, and back: `uninstall` leaves nothing. A machine of the local cloud is the user's
//! computer. The packages are made as those of a release, from the debug build.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::rig::{Daemon, Ran, Stage, agent_directory, pass_over, run_within};

/// A boot, or a wake on a busy host.
const BOOT: Duration = Duration::from_secs(120);
/// Stripping and compressing a debug build, and fetching the tool for Debian packages once.
const PACKING: Duration = Duration::from_secs(300);
/// What scripts/lib/tool says where a tool cannot be obtained.
const UNAVAILABLE: i32 = 69;

/// Directories that programs share, and that the first of them creates.
const SHARED: [&str; 7] = [
    "/home/ada/.config",
    "/home/ada/.config/systemd",
    "/home/ada/.config/systemd/user",
    "/home/ada/.local",
    "/home/ada/.local/share",
    "/home/ada/.local/state",
    "/home/ada/.cache",
];
/// What the docker client and systemd write themselves.
const OF_OTHERS: [&str; 2] = ["/home/ada/.docker", "/run/user/1500/systemd"];

/// The files of a release; `None` where they cannot be made.
async fn packed() -> Option<TempDir> {
    let directory = tempfile::Builder::new().prefix("dockbridge-dist-").tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/lib/pack");
    let program = env!("CARGO_BIN_EXE_dockbridge");
    let mut command = tokio::process::Command::new(script);
    command
        .arg(directory.path())
        .arg(format!("{}={program}", std::env::consts::ARCH))
        .env("DOCKBRIDGE_PACK", "debug")
        .env("DOCKBRIDGE_AGENT_DIR", agent_directory());
    let ran = run_within(PACKING, command, "").await;
    if ran.status.code() == Some(UNAVAILABLE) {
        testkit::passed_over!("there are no Debian packages without nfpm: {}", ran.stderr.trim());
        return None;
    }
    ran.succeeded();
    Some(directory)
}

/// The user's computer: a machine with systemd, logind and a docker client.
struct Computer<'a> {
    stage: &'a Stage,
    /// What a user types before each command.
    environment: String,
}

impl<'a> Computer<'a> {
    async fn set_up(stage: &'a Stage) -> Self {
        let environment = "export XDG_RUNTIME_DIR=/run/user/1500 \
             PATH=$HOME/.local/bin:/usr/local/bin:/usr/bin:/bin; cd"
            .to_owned();
        let computer = Self { stage, environment };
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
        computer.user_manager_is_there().await;
        computer
    }

    async fn root(&self, script: &str) -> Ran {
        self.stage.on_machine(script).await
    }

    /// Runs a script without single quotes as the user.
    async fn user(&self, script: &str) -> Ran {
        self.root(&format!("su ada -c '{} && {script}'", self.environment)).await
    }

    async fn user_manager_is_there(&self) {
        let state = async || self.root("loginctl; journalctl --no-pager --lines 40").await;
        let is_there =
            async || self.user("systemctl --user show --property=Version").await.status.success();
        testkit::eventually("the user has a service manager", BOOT, is_there, async || {
            state().await.to_string()
        })
        .await;
    }

    /// Every path that an installation may touch, with its kind and mode.
    async fn listing(&self) -> BTreeSet<String> {
        let find = "find /home /usr /etc /opt /var/lib/systemd/linger /run/user/1500 -xdev \
             -printf \"%p %y %m\\n\"";
        self.root(find).await.succeeded().stdout.lines().map(str::to_owned).collect()
    }

    /// `init`, `service install`, a reboot, and docker.
    async fn serves_after_a_reboot(&self) {
        let cloud = &self.stage.cloud;
        let init = format!(
            "echo {} | HCLOUD_ENDPOINT={} dockbridge init --token-stdin",
            cloud.token(),
            cloud.machine_endpoint().expect("machines")
        );
        self.user(&init).await.succeeded();
        self.user("dockbridge service install").await.succeeded();
        self.user("docker context use dockbridge").await.succeeded();
        self.reboot().await;
        self.user("docker ps").await.succeeded().said(&["CONTAINER ID"]);
        let status = self.user("dockbridge service status").await;
        status.succeeded().said(&["dockbridge.service, active (running)"]);
        assert_eq!(self.stage.counts().await, (2, 2), "its machine, and this computer");
        self.user("dockbridge stop --destroy").await.succeeded();
    }

    async fn reboot(&self) {
        // Written at each boot.
        let since = "cat /run/dockbridge/first-lease";
        let before = self.root(since).await.succeeded().stdout.clone();
        // Its output does not count: the connection ends with the computer.
        self.root("systemctl reboot").await;
        let is_back = async || self.root(since).await.stdout.trim() > before.trim();
        testkit::eventually("the computer is back", BOOT, is_back, async || {
            self.stage.look().await.to_string()
        })
        .await;
        self.user_manager_is_there().await;
    }

    /// Removes dockbridge as its user does; the listing is then as before.
    async fn leaves_nothing(&self, before: &BTreeSet<String>, package: &str) {
        let removed = self.user("dockbridge uninstall --purge --yes").await;
        removed.succeeded().said(&["costs money", "Removed."]);
        self.root(package).await.succeeded();
        let after = self.listing().await;
        let is_own = |line: &&String| {
            let path = line.split(' ').next().unwrap_or_default();
            !SHARED.contains(&path) && !OF_OTHERS.iter().any(|other| path.starts_with(other))
        };
        let new: Vec<_> = after.difference(before).filter(is_own).collect();
        assert!(new.is_empty(), "left: {new:?}");
        let gone: Vec<_> = before.difference(&after).filter(is_own).collect();
        assert!(gone.is_empty(), "removed, and not dockbridge's: {gone:?}");
    }
}

/// A computer that the stage's own machine plays, and the address at which it finds the packages.
async fn computer(stage: &Stage) -> (Daemon, Computer<'_>) {
    let daemon = stage.start(&[]).await;
    stage.docker(&["version"]).await.succeeded();
    stage.dockbridge(&["pin"]).await.succeeded();
    let computer = Computer::set_up(stage).await;
    (daemon, computer)
}

/// The host's address on the machines' network.
fn bridge(stage: &Stage) -> IpAddr {
    let endpoint = stage.cloud.machine_endpoint().expect("machines");
    let address: SocketAddr =
        endpoint.trim_start_matches("http://").trim_end_matches("/v1").parse().unwrap();
    address.ip()
}

#[tokio::test]
async fn install_script_to_docker_after_a_reboot_and_back() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let Some(packed) = packed().await else { return };
    let (daemon, computer) = computer(&stage).await;
    let server =
        crate::files::Server::start_on(bridge(&stage), packed.path(), crate::files::Manner::Whole);
    let before = computer.listing().await;

    let url = &server.url;
    let install = format!("curl -fsS {url}/install.sh | DOCKBRIDGE_DOWNLOAD_URL={url} sh");
    computer.user(&install).await.succeeded().said(&["Installed dockbridge", "Next: "]);
    computer.serves_after_a_reboot().await;
    computer.leaves_nothing(&before, "true").await;

    daemon.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn debian_package_to_docker_after_a_reboot_and_back() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let Some(packed) = packed().await else { return };
    let (daemon, computer) = computer(&stage).await;
    let before = computer.listing().await;

    let files = std::fs::read_dir(packed.path()).unwrap().flatten().map(|entry| entry.path());
    let package = files.into_iter().find(|path| path.extension().is_some_and(|it| it == "deb"));
    stage.send(&package.unwrap(), "/root/dockbridge.deb").await;
    computer
        .root("dpkg --install /root/dockbridge.deb && rm /root/dockbridge.deb")
        .await
        .succeeded();
    let verified = computer.root("dpkg --verify dockbridge").await;
    assert_eq!(verified.succeeded().stdout, "", "every file is as it was packed");
    computer.serves_after_a_reboot().await;
    computer.leaves_nothing(&before, "dpkg --purge dockbridge").await;

    daemon.stop().await;
    stage.close().await;
}
