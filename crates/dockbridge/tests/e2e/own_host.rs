//! A host of the user's own: used, left alone afterwards, never created and never deleted; and no
//! cloud is asked. The host of these tests is a server that they order themselves, set up with
//! docker like an owner would.

mod engines;
mod ssh_config;

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hetzner::{Labels, NewServer, NewVolume, ServerStatus, VolumeFormat};
use local_cloud::ContainerEngine;
use machine::generate_key;
use russh::keys::ssh_key::{HashAlg, LineEnding};
use russh::keys::{PrivateKey, PublicKey};
use serde_json::json;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::rig::{Daemon, Ran, Stage, pass_over, run};

/// Docker's data must not be on the overlay that is the server's disk.
const SET_UP: &str = r#"
# From three refused logins in a row on, OpenSSH 9.8 and later hang up on a client for a while, whatever it asks.
mkdir -p /etc/ssh/sshd_config.d && echo 'PerSourcePenalties no' >/etc/ssh/sshd_config.d/10-no-penalties.conf
systemctl stop docker.socket docker.service
device=/dev/disk/by-id/scsi-0HC_Volume_VOLUME
until [ -e $device ]; do sleep 0.1; done
mkdir -p /srv/docker && mount $device /srv/docker
mkdir -p /srv/docker/first && mount --bind /srv/docker/first /var/lib/docker
systemctl start --no-block docker.socket docker.service
"#;

/// A user with a home directory and a key, and a host that admits this key.
struct OwnHost {
    stage: Stage,
    server: u64,
    address: String,
    host_key: PublicKey,
    /// The user's key.
    identity: PathBuf,
    fingerprint: String,
    /// The tests' own key to the host.
    landlord: PathBuf,
    /// Stands in for the cloud's API: no connection may arrive.
    cloud: TcpListener,
}

impl OwnHost {
    /// With the system's Docker. `None` if this host cannot run it.
    async fn new() -> Option<Self> {
        Self::with(ContainerEngine::default(), SET_UP, "docker version").await
    }

    /// With this engine, set up by a script; it is ready when `answers` succeeds on it.
    async fn with(engine: ContainerEngine, set_up: &str, answers: &str) -> Option<Self> {
        let mut stage = Stage::with_engine(engine).await?;
        let home = stage.directory.path().join("user");
        std::fs::create_dir_all(home.join(".ssh")).unwrap();
        let (user, landlord, host_key) = (key("user"), key("landlord"), key("host"));
        let (server, address) = order(&stage, &[&user, &landlord], &host_key, set_up).await;

        let cloud = TcpListener::bind("127.0.0.1:0").unwrap();
        cloud.set_nonblocking(true).unwrap();
        stage.environment.retain(|(name, _)| !name.starts_with("DOCKBRIDGE_HETZNER_"));
        let endpoint = format!("http://{}/v1", cloud.local_addr().unwrap());
        stage.environment.push(("DOCKBRIDGE_HETZNER_ENDPOINT".to_owned(), endpoint));
        stage.environment.push(("HOME".to_owned(), home.display().to_string()));

        let host = Self {
            server,
            address,
            host_key: host_key.public_key().clone(),
            identity: write_key(&home.join("key"), &user),
            fingerprint: user.fingerprint(HashAlg::Sha256).to_string(),
            landlord: write_key(&stage.directory.path().join("landlord"), &landlord),
            cloud,
            stage,
        };
        host.know(&host.host_key.clone());
        let ready = async || host.on_host(answers).await.status.success();
        host.stage.eventually("the host's engine answers", Duration::from_secs(60), ready).await;
        Some(host)
    }

    /// Makes this the only host key that the user knows.
    fn know(&self, key: &PublicKey) {
        let line = format!("{} {}\n", self.address, key.to_openssh().unwrap());
        std::fs::write(self.stage.directory.path().join("user/.ssh/known_hosts"), line).unwrap();
    }

    fn forget(&self) {
        std::fs::remove_file(self.stage.directory.path().join("user/.ssh/known_hosts")).unwrap();
    }

    /// The user's daemon on a socket.
    async fn start(&self, socket: &Path, more: &[&str], settings: &[(&str, &str)]) -> Daemon {
        self.start_as("root", socket, more, settings).await
    }

    /// The user's daemon on a socket, logged in as this remote user.
    async fn start_as(
        &self,
        user: &str,
        socket: &Path,
        more: &[&str],
        settings: &[(&str, &str)],
    ) -> Daemon {
        let host = format!("{user}@{}", self.address);
        let arguments = [
            &["--provider", "ssh", "--host", &host, "--identity", self.identity.to_str().unwrap()],
            more,
        ]
        .concat();
        self.stage.start_with(socket, &arguments, settings).await
    }

    /// Runs a command on the host, with the system's ssh.
    async fn on_host(&self, command: &str) -> Ran {
        let known = self.stage.directory.path().join("landlord.known");
        std::fs::write(
            &known,
            format!("{} {}\n", self.address, self.host_key.to_openssh().unwrap()),
        )
        .unwrap();
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
        ssh.arg(&self.landlord)
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", known.display()))
            .arg(&self.address)
            .arg(command);
        run(ssh, "").await
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.stage.directory.path().join(name)
    }

    /// Stops everything, after checking that the host is unchanged and that no cloud was asked.
    async fn close(self) {
        let server = self.stage.api.servers().get(self.server).await.unwrap();
        assert_eq!(
            server.map(|server| server.status),
            Some(ServerStatus::Running),
            "the host is not ours"
        );
        assert_eq!(self.stage.counts().await, (1, 1), "nothing was made");
        let knocked = self.cloud.accept();
        assert!(
            knocked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
            "the cloud was asked"
        );
        self.stage.close().await;
    }
}

fn key(comment: &str) -> PrivateKey {
    generate_key(comment).unwrap()
}

fn write_key(path: &Path, key: &PrivateKey) -> PathBuf {
    key.write_openssh_file(path, LineEnding::LF).unwrap();
    path.to_owned()
}

/// Orders the host from the cloud.
async fn order(
    stage: &Stage,
    logins: &[&PrivateKey],
    host_key: &PrivateKey,
    set_up: &str,
) -> (u64, String) {
    let (api, labels, location) = (&stage.api, Labels::new(), "fsn1".to_owned());
    let mut ssh_keys = Vec::new();
    for login in logins {
        let public = login.public_key().to_openssh().unwrap();
        ssh_keys.push(
            api.ssh_keys()
                .create(login.comment().as_str_lossy(), &public, &labels)
                .await
                .unwrap()
                .id,
        );
    }
    let volume = NewVolume {
        name: "data".to_owned(),
        size: 10,
        location: location.clone(),
        format: Some(VolumeFormat::Ext4),
        labels: labels.clone(),
    };
    let volume = api.volumes().create(&volume).await.unwrap();
    api.wait(volume.actions()).await.unwrap();
    let user_data = json!({
        "ssh_deletekeys": true,
        "ssh_genkeytypes": [],
        "ssh_keys": {
            "ed25519_private": host_key.to_openssh(LineEnding::LF).unwrap().as_str(),
            "ed25519_public": host_key.public_key().to_openssh().unwrap(),
        },
        "bootcmd": [["sh", "-c", set_up.replace("VOLUME", &volume.volume.id.to_string())]],
    });
    let server = NewServer {
        name: "own".to_owned(),
        server_type: "cx23".to_owned(),
        image: "docker-ce".to_owned(),
        location: Some(location),
        ssh_keys,
        volumes: vec![volume.volume.id],
        user_data: Some(format!("#cloud-config\n{user_data}\n")),
        ..NewServer::default()
    };
    let created = api.servers().create(&server).await.unwrap();
    api.wait(created.actions()).await.unwrap();
    (created.server.id, created.server.public_net.ipv4.unwrap().ip.to_string())
}

fn answers(port: u16) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = String::new();
    stream.write_all(b"GET /nothing HTTP/1.0\r\n\r\n").is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_the_users_own_is_used_released_and_never_deleted() {
    let Some(host) = OwnHost::new().await else { return pass_over() };
    let stage = &host.stage;
    let idle =
        [("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "1s"), ("DOCKBRIDGE_ACTIVITY_GRACE_PERIOD", "1s")];
    let daemon = host.start(&stage.socket(), &[], &idle).await;

    stage.make_image("tiny").await;
    let three = stage.docker(&["run", "--rm", "tiny", "sh", "-c", "echo out; exit 3"]).await;
    assert_eq!((three.status.code(), three.stdout.as_str()), (Some(3), "out\n"), "{three}");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let publish = format!("{port}:80");
    stage
        .docker(&[
            "run", "-d", "--name", "web", "-p", &publish, "tiny", "httpd", "-f", "-p", "80", "-h",
            "/bin",
        ])
        .await
        .succeeded();
    stage
        .eventually("the published port answers here", Duration::from_secs(10), async || {
            answers(port)
        })
        .await;
    let agents = host.on_host("ls ~/.cache/dockbridge").await;
    assert!(agents.succeeded().stdout.starts_with("agent-"), "{agents}");

    // Idle for long enough to destroy a cloud machine.
    stage.docker(&["stop", "-t", "0", "web"]).await.succeeded();
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(5) {
        let status = daemon.client().status().await.unwrap();
        assert_eq!(
            (status.state.as_str(), status.why.next.as_str()),
            ("up", "this host is not ours: it is only connected to")
        );
        sleep(Duration::from_millis(200)).await;
    }
    stage.docker(&["start", "web"]).await.succeeded();

    let woken = stage.dockbridge(&["wake"]).await;
    assert!(
        woken.succeeded().stdout.contains(&format!("root@{}:22 is ready.", host.address)),
        "{woken}"
    );
    let status = stage.dockbridge(&["status"]).await;
    assert!(
        status.succeeded().stdout.contains(&format!("Machine   root@{}:22, running", host.address)),
        "{status}"
    );
    assert!(!status.stdout.contains("EUR"), "{status}");

    let destroyed = stage.dockbridge(&["server", "destroy"]).await;
    assert_eq!(
        destroyed.succeeded().stdout,
        "This host is not ours: it was let go of, and goes on.\n",
        "{destroyed}"
    );
    assert!(!answers(port), "its ports are let go of, too");
    let names = stage.docker(&["ps", "--format", "{{.Names}}"]).await;
    assert_eq!(names.succeeded().stdout, "web\n", "{names}");
    stage
        .eventually("the published port answers here again", Duration::from_secs(10), async || {
            answers(port)
        })
        .await;

    let stopped = stage.dockbridge(&["stop", "--destroy"]).await;
    assert!(stopped.succeeded().stdout.contains("This host is not ours"), "{stopped}");
    drop(daemon);
    assert_eq!(host.on_host("docker ps --format '{{.Names}}'").await.stdout, "web\n");
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_and_a_rejected_key_have_different_messages() {
    let Some(host) = OwnHost::new().await else { return pass_over() };
    let stage = &host.stage;

    host.forget();
    let daemon = host.start(&stage.socket(), &[], &[]).await;
    let presented = host.host_key.fingerprint(HashAlg::Sha256).to_string();
    let stranger = stage.docker(&["ps"]).await;
    stranger
        .failed_with("the host is not among the known hosts")
        .failed_with(&presented)
        .failed_with("nothing was sent to it");
    stage.dockbridge(&["wake"]).await.failed_with("the host is not among the known hosts");
    host.know(key("another").public_key());
    stage
        .docker(&["ps"])
        .await
        .failed_with("another key is known for this host")
        .failed_with(&presented);
    let logins = host.on_host("journalctl --no-pager -o cat | grep '^Accepted publickey'").await;
    assert!(!logins.succeeded().stdout.contains(&host.fingerprint), "somebody logged in: {logins}");

    // As soon as the host is known it is used, and there are traces of that.
    host.know(&host.host_key);
    stage.docker(&["ps"]).await.succeeded();
    let logins = host.on_host("journalctl --no-pager -o cat | grep '^Accepted publickey'").await;
    assert!(logins.succeeded().stdout.contains(&host.fingerprint), "{logins}");
    daemon.stop().await;

    let other = key("other");
    let wrong = write_key(&stage.directory.path().join("other"), &other);
    let refused = async |arguments: &[&str]| {
        let socket = host.socket("refused.sock");
        let daemon =
            stage.start_with(&socket, &[&["--provider", "ssh"], arguments].concat(), &[]).await;
        let refused = stage.docker_at(&socket, &["ps"], "").await;
        assert!(refused.took < Duration::from_secs(15), "{refused}");
        daemon.stop().await;
        refused
    };
    let own = format!("root@{}", host.address);
    let login = refused(&["--host", &own, "--identity", wrong.to_str().unwrap()]).await;
    login
        .failed_with(&format!(
            "{own}:22 does not accept the key {}",
            other.fingerprint(HashAlg::Sha256)
        ))
        .failed_with("--identity");
    let missing = refused(&["--host", &own, "--identity", "/nowhere/key"]).await;
    missing.failed_with("the private key /nowhere/key cannot be used: ");
    let silent =
        refused(&["--host", &format!("{own}:9"), "--identity", host.identity.to_str().unwrap()])
            .await;
    silent.failed_with(&format!("{own}:9 cannot be reached: "));
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_socket_of_the_host_and_a_home_that_runs_no_programs() {
    let Some(host) = OwnHost::new().await else { return pass_over() };
    let stage = &host.stage;
    // In a network of its own: with `--bridge none` it removes the other's bridge.
    let second = "systemd-run --unit second -p PrivateNetwork=yes dockerd -H \
     unix:///run/second/docker.sock --data-root /srv/docker/second --exec-root /run/second \
     --pidfile /run/second.pid --containerd-namespace second --containerd-plugins-namespace \
     second-plugins --bridge none --iptables=false --ip6tables=false --label which=second";
    host.on_host(second).await.succeeded();
    let socket = host.socket("second.sock");
    let daemon = host.start(&socket, &["--remote-socket", "/run/second/docker.sock"], &[]).await;
    let labels = async || stage.docker_at(&socket, &["info", "--format", "{{.Labels}}"], "").await;
    stage
        .eventually("the second engine answers", Duration::from_secs(30), async || {
            labels().await.stdout == "[which=second]\n"
        })
        .await;
    daemon.stop().await;

    let daemon = host.start(&socket, &["--remote-socket", "/run/nowhere.sock"], &[]).await;
    let nowhere = stage.docker_at(&socket, &["ps"], "").await;
    nowhere
        .failed_with("/run/nowhere.sock cannot be reached: ")
        .failed_with("Is Docker running on the machine?");
    daemon.stop().await;

    host.on_host("mount -t tmpfs -o noexec tmpfs /root/.cache").await.succeeded();
    let daemon = host.start(&stage.socket(), &[], &[]).await;
    stage.make_image("tiny").await;
    let echoed = stage
        .docker_at(
            &stage.socket(),
            &["run", "--rm", "-i", "tiny", "sh", "-c", "cat; exit 4"],
            "in and out",
        )
        .await;
    assert_eq!((echoed.status.code(), echoed.stdout.as_str()), (Some(4), "in and out"), "{echoed}");
    let why = format!(
        "no agent runs on root@{}:22, every stream is an SSH channel of its own: the agent did not \
         start (status 126)",
        host.address
    );
    assert!(stage.daemon_log().contains(&why), "{}", stage.daemon_log());
    daemon.stop().await;
    host.close().await;
}
