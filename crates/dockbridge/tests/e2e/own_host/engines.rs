//! Hosts with another engine than the system's Docker: Podman, and rootless Docker. What works
//! over plain `ssh -L` to the same socket works through dockbridge; what cannot work is named.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use local_cloud::ContainerEngine;
use tokio::process::{Child, Command};

use super::host::{OwnHost, answers};
use crate::docker_cli::{Comparison, Script, scripts};
use crate::rig::{Stage, pass_over};

const PODMANS_SOCKET: &str = "/run/podman/podman.sock";

/// Storage must not be on the overlay that is the server's disk.
const PODMAN: &str = r#"
device=/dev/disk/by-id/scsi-0HC_Volume_VOLUME
until [ -e $device ]; do sleep 0.1; done
mkdir -p /var/lib/containers && mount $device /var/lib/containers
"#;

impl OwnHost {
    /// The engine's socket, forwarded by the system's ssh.
    async fn forward(&self, remote: &str, local: &Path) -> Child {
        let mut ssh = self.ssh();
        ssh.args(["-N", "-o", "ExitOnForwardFailure=yes", "-L"])
            .arg(format!("{}:{remote}", local.display()))
            .arg(&self.address);
        let forward = ssh.kill_on_drop(true).spawn().unwrap();
        let answers = async || self.stage.docker_at(local, &["ps"], "").await.status.success();
        self.stage
            .eventually("the engine answers by ssh -L", Duration::from_secs(20), answers)
            .await;
        forward
    }

    fn ssh(&self) -> Command {
        let known = self.stage.directory.path().join("landlord.known");
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "ConnectTimeout=5",
            "-l",
            "root",
            "-i",
        ]);
        ssh.arg(&self.landlord).arg("-o").arg(format!("UserKnownHostsFile={}", known.display()));
        ssh
    }

    /// Both paths to the engine, with the image `tiny`.
    async fn compared(self, user: &str, remote: &str) -> Comparison {
        let direct = self.socket("direct.sock");
        let forward = self.forward(remote, &direct).await;
        let socket = self.stage.socket();
        let daemon = self.start_as(user, &socket, &["--remote-socket", remote], &[]).await;
        self.stage.import_image("tiny").await;
        Comparison::of(self.stage, daemon, direct, forward)
    }
}

/// The scripts of [`scripts::CORE`] that work on Podman.
const ON_PODMAN: &[&str] = &[
    "output is separate from errors",
    "piped input",
    "an interrupt, and an end that is asked for",
    "logs that follow end with the container",
    "attach and wait",
];

/// Podman's differences. What it lacks is refused alike on both paths.
const PODMANS: &[Script<'_>] = &[
    (
        "exit codes",
        "docker run --rm tiny true; echo $?; docker run --rm tiny sh -c 'exit 3'; echo $?; docker \
         run --rm tiny /nowhere 2>/dev/null; echo $?",
        "0\n3\n",
    ),
    (
        "exec, cp, volumes, save and load",
        "docker volume create vol; docker run -d --name box -v vol:/v tiny sleep 100 >/dev/null; \
         echo in | docker exec -i box sh -c 'cat >/v/f; exit 4'; echo $?; docker cp box:/v/f - | \
         tar -xO; docker kill box; docker rm box; docker run --rm -v vol:/v tiny cat /v/f; docker \
         volume rm vol; docker save tiny | docker load -q",
        "4\nin\nbox\nbox\nin\nvol\nLoaded image",
    ),
    (
        "a build without a command in it",
        "mkdir c; echo copied >c/f; printf 'FROM tiny\\nCOPY f /f\\nCMD [\"cat\", \"/f\"]\\n' \
         >c/Dockerfile; DOCKER_BUILDKIT=0 docker build -q -t built c >/dev/null 2>&1; docker run \
         --rm built; docker rmi built >/dev/null",
        "copied\n",
    ),
    (
        "events",
        "docker events --filter container=ev --format '{{.Actor.Attributes.name}} {{.Action}}' \
         >events & for i in $(seq 50); do docker run --rm --name ev tiny true; grep -q remove \
         events && break; done; kill $!; grep -m 1 remove events",
        "ev remove\n",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn podman_works_as_by_plain_ssh() {
    let ping = format!("curl -sS --fail --unix-socket {PODMANS_SOCKET} http://engine/_ping");
    let Some(host) = OwnHost::with(ContainerEngine::Podman, PODMAN, &ping).await else {
        return pass_over();
    };
    let comparison = host.compared("root", PODMANS_SOCKET).await;
    let core = scripts::CORE.iter().filter(|(name, ..)| ON_PODMAN.contains(name));
    let work: Vec<Script<'_>> = PODMANS.iter().chain(core).copied().collect();
    let differences = comparison.differences(&work).await;
    assert!(differences.is_empty(), "{} differ\n{}", differences.len(), differences.join("\n\n"));

    let stage = &comparison.stage;
    let (published, by_hand) = (free_port(), free_port());
    serve(stage, published).await;
    stage
        .eventually("the published port answers here", Duration::from_secs(10), async || {
            answers(published)
        })
        .await;
    stage.dockbridge(&["ports", "add", &format!("{by_hand}:web:80")]).await.succeeded();
    stage
        .eventually(
            "a port that is not published answers here",
            Duration::from_secs(10),
            async || answers(by_hand),
        )
        .await;
    stage.docker(&["kill", "web"]).await.succeeded();
    let is_free = async || TcpListener::bind(("127.0.0.1", published)).is_ok();
    stage.eventually("the published port is free again", Duration::from_secs(10), is_free).await;
    let directory = format!("{}:/f", stage.directory.path().display());
    stage
        .docker(&["run", "--rm", "-v", &directory, "tiny"])
        .await
        .failed_with(" is on this computer, and the engine is not");
    comparison.close().await;
}

/// Docker's data of the user `u` must not be on the overlay either, and the user may log in as
/// `u`.
const ROOTLESS: &str = r#"
device=/dev/disk/by-id/scsi-0HC_Volume_VOLUME
until [ -e $device ]; do sleep 0.1; done
mkdir -p /home/u/.local/share && mount $device /home/u/.local/share
chown -R u:u /home/u/.local
"#;

/// As in Docker's documentation for a host without a login session. The setup tool looks for a
/// module that the machine's kernel, which is this host's, does not need: iptables uses nf_tables.
/// It also looks for docker next to itself.
const SET_UP_ROOTLESS: &str = r#"
mkdir -p /lib/modules/$(uname -r) &&
    echo kernel/net/ipv4/netfilter/ip_tables.ko >/lib/modules/$(uname -r)/modules.builtin
install -d -o u -g u -m 700 /home/u/.ssh &&
    install -o u -g u -m 600 /root/.ssh/authorized_keys /home/u/.ssh/
ln -s /usr/bin/docker /usr/share/docker.io/contrib/docker
loginctl enable-linger u
run=/run/user/$(id -u u)
for i in $(seq 100); do [ -S $run/bus ] && break; sleep 0.1; done
runuser -u u -- env HOME=/home/u XDG_RUNTIME_DIR=$run DBUS_SESSION_BUS_ADDRESS=unix:path=$run/bus \
    PATH=/usr/sbin:/usr/bin:/usr/share/docker.io/contrib dockerd-rootless-setuptool.sh install
"#;

const ROOTLESS_SOCKET: &str = "/run/user/1000/docker.sock";

/// The scripts of [`scripts::CORE`] that are run on a rootless engine.
const ON_ROOTLESS: &[&str] = &[
    "exit codes",
    "piped input",
    "a terminal",
    "an interrupt, and an end that is asked for",
    "logs that follow end with the container",
    "exec",
    "cp in both directions",
    "save and load",
    "events as they come and of the past",
];

#[tokio::test(flavor = "multi_thread")]
async fn rootless_docker_works_as_by_plain_ssh_and_needs_a_lingering_user() {
    let Some(host) = OwnHost::with(
        ContainerEngine::Rootless,
        ROOTLESS,
        "test -d /home/u/.local/share/lost+found",
    )
    .await
    else {
        return pass_over();
    };
    let set_up = host.on_host(SET_UP_ROOTLESS).await;
    assert!(set_up.status.success(), "{set_up}");
    let there = format!("curl -sS --fail --unix-socket {ROOTLESS_SOCKET} http://engine/_ping");
    let is_there = async || host.on_host(&there).await.status.success();
    host.stage.eventually("the engine of u answers", Duration::from_secs(30), is_there).await;

    // As for a user who has logged out.
    host.on_host("loginctl disable-linger u; loginctl terminate-user u").await;
    let is_gone =
        async || !host.on_host(&format!("test -e {ROOTLESS_SOCKET}")).await.status.success();
    host.stage
        .eventually("the socket is gone with the user's session", Duration::from_secs(30), is_gone)
        .await;
    let socket = host.socket("early.sock");
    let daemon = host.start(&socket, &["--remote-socket", ROOTLESS_SOCKET], &[]).await;
    let missing = host.stage.docker_at(&socket, &["ps"], "").await;
    missing
        .failed_with(&format!("{ROOTLESS_SOCKET} cannot be reached: "))
        .failed_with("`loginctl enable-linger USER`");
    host.on_host("loginctl enable-linger u").await.succeeded();
    let works = async || host.stage.docker_at(&socket, &["ps"], "").await.status.success();
    host.stage
        .eventually("a lingering user's engine is used", Duration::from_secs(30), works)
        .await;
    daemon.stop().await;

    let comparison = host.compared("u", ROOTLESS_SOCKET).await;
    let work: Vec<Script<'_>> =
        scripts::CORE.iter().filter(|(name, ..)| ON_ROOTLESS.contains(name)).copied().collect();
    let differences = comparison.differences(&work).await;
    assert!(differences.is_empty(), "{} differ\n{}", differences.len(), differences.join("\n\n"));

    let stage = &comparison.stage;
    let (published, by_hand) = (free_port(), free_port());
    serve(stage, published).await;
    stage
        .eventually("the published port answers here", Duration::from_secs(10), async || {
            answers(published)
        })
        .await;
    stage.dockbridge(&["ports", "add", &format!("{by_hand}:web:80")]).await.succeeded();
    assert!(!answers(by_hand), "the host does not reach a rootless engine's containers");
    let named = async || {
        stage.dockbridge(&["ports"]).await.succeeded().stdout.contains("the engine runs rootless")
    };
    stage.eventually("the reason is among the ports", Duration::from_secs(20), named).await;
    stage.docker(&["rm", "-f", "web"]).await.succeeded();
    comparison.close().await;
}

/// A web server with a published port, and a port 80 of its own.
async fn serve(stage: &Stage, published: u16) {
    let publish = format!("{published}:80");
    stage
        .docker(&[
            "run", "-d", "--name", "web", "-p", &publish, "tiny", "httpd", "-f", "-p", "80", "-h",
            "/bin",
        ])
        .await
        .succeeded();
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
