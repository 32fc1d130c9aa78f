//! From a computer without dockbridge to `docker ps` after a reboot, by install.sh and by Debian
//! package, and back: `uninstall` leaves nothing. The packages are made as those of a release, from
//! the debug build.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::files::{Manner, Server};
use crate::rig::{Stage, agent_directory, pass_over, run_within};
use crate::user_computer::Computer;

/// Stripping and compressing a debug build, and fetching the tool for Debian packages once.
const PACKING: Duration = Duration::from_secs(300);
/// Exit code of scripts/lib/tool where a tool cannot be obtained.
const UNAVAILABLE: i32 = 69;

/// What a computer writes by itself while it runs, boots, and has any package installed and
/// removed. Each is a pattern of `find -path`.
const OF_THE_SYSTEM: [&str; 9] = [
    "/tmp",
    "/var/tmp",
    "/var/log",
    "/var/cache",
    "/var/lib/cloud",
    "/var/lib/dpkg/*-old",
    "/var/lib/systemd",
    "/run/user/*/systemd",
    "/root",
];

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

fn debian_package(packed: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(packed).unwrap().flatten().map(|entry| entry.path());
    files.find(|path| path.extension().is_some_and(|it| it == "deb")).expect("a package")
}

impl Computer<'_> {
    /// Files with kind, mode, owner, target and size, the content of those of the user and of the
    /// system's settings, units, docker contexts, and processes of dockbridge. docker's own files
    /// are made before, so that those that it keeps for itself do not count as left.
    async fn listing(&self) -> BTreeSet<String> {
        let own_files = "docker context create other --docker host=unix:///nowhere && \
                         docker context use other && docker context use default && \
                         docker context rm other";
        self.user(own_files).await.succeeded();
        let unlisted = OF_THE_SYSTEM.map(|pattern| format!("-path \"{pattern}\"")).join(" -o ");
        let files = format!(
            "set -e; find / /run/user/1500 -xdev \\( {unlisted} \\) -prune -o \\( -type d \
             -printf \"%p %y %m %u\\n\" -o -printf \"%p %y %m %u %s %l\\n\" \\)
             find /home /etc -type f -exec sha256sum {{}} +"
        );
        let units = "systemctl --user list-unit-files --no-legend && systemctl --user list-units \
                     --all --plain --no-legend \"dockbridge*\" && docker context ls --format \
                     \"context {{.Name}} {{.DockerEndpoint}} {{.Current}}\"";
        let processes = "ps -A -o user=,args= | grep [d]ockbridge.*start || true";
        let mut listing = BTreeSet::new();
        for ran in [
            self.root(&files).await,
            self.user(units).await,
            self.root("systemctl list-unit-files --no-legend").await,
            self.root(processes).await,
        ] {
            listing.extend(ran.succeeded().stdout.lines().map(str::to_owned));
        }
        listing
    }

    /// `init`, `service install`, a reboot, and docker.
    async fn serves_after_a_reboot(&self) {
        self.init("").await.succeeded().said(&["The token is valid."]);
        // Nothing is typed: the token is the saved one.
        self.user("dockbridge init --yes").await.succeeded().said(&["The token is valid."]);
        self.user("dockbridge plugin install").await.succeeded();
        self.user("dockbridge service install").await.succeeded();
        self.user("docker context use dockbridge").await.succeeded();
        self.reboot().await;
        assert_eq!(self.process().await, 0, "no client has come since the reboot");
        assert_eq!(self.stage.counts().await, (1, 1), "this computer and its volume");
        self.user("docker ps").await.succeeded().said(&["CONTAINER ID"]);
        let status = self.user("docker dockbridge service status").await;
        status.succeeded().said(&[
            "dockbridge.service, active (running)",
            "Runs      from boot on, without a login (linger)",
        ]);
        assert_eq!(self.stage.counts().await, (2, 2), "its machine, and this computer");
    }

    /// Removes dockbridge as its user does, while the daemon and a machine run. The listing is then
    /// as before, and the cloud is as it was.
    async fn leaves_nothing(&self, before: &BTreeSet<String>, package: &str) {
        let removed = self.user("dockbridge uninstall --purge --yes").await;
        removed.succeeded().said(&[
            "This stays in the cloud and costs money (net):\n  server dockbridge-",
            "\n  volume dockbridge-",
            "Removed the service dockbridge.service.",
            "Removed the docker context \"dockbridge\".",
            "Removed the docker plugin /home/ada/.docker/cli-plugins/docker-dockbridge.",
            "Removed.",
        ]);
        self.root(package).await.succeeded();
        let after = self.listing().await;
        let left: Vec<_> = after.difference(before).collect();
        let gone: Vec<_> = before.difference(&after).collect();
        assert!(left.is_empty() && gone.is_empty(), "left: {left:#?}\ngone: {gone:#?}");
        assert_eq!(self.stage.counts().await, (2, 2), "nothing is deleted in the cloud");
    }
}

#[tokio::test]
async fn install_script_to_docker_after_a_reboot_and_back() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let Some(packed) = packed().await else { return };
    let (daemon, computer) = Computer::set_up(&stage).await;
    let server = Server::start_on(computer.host_address(), packed.path(), Manner::Whole);
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
    let (daemon, computer) = Computer::set_up(&stage).await;
    let before = computer.listing().await;

    stage.send(&debian_package(packed.path()), "/root/dockbridge.deb").await;
    let install = "dpkg --install /root/dockbridge.deb && rm /root/dockbridge.deb";
    computer.root(install).await.succeeded();
    let verified = computer.root("dpkg --verify dockbridge").await;
    assert_eq!(verified.succeeded().stdout, "", "every file is as it was packed");
    computer.serves_after_a_reboot().await;
    computer.leaves_nothing(&before, "dpkg --purge dockbridge").await;

    daemon.stop().await;
    stage.close().await;
}
