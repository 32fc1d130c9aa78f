//! The host of these tests, and its user.

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

use crate::rig::{Daemon, Ran, Stage, run};

/// Docker's data must not be on the overlay that is the server's disk.
const SET_UP: &str = r#"
# After three refused logins in a row, OpenSSH 9.8 and later block a client for a while.
mkdir -p /etc/ssh/sshd_config.d &&
    echo 'PerSourcePenalties no' >/etc/ssh/sshd_config.d/10-no-penalties.conf
systemctl stop docker.socket docker.service
device=/dev/disk/by-id/scsi-0HC_Volume_VOLUME
until [ -e $device ]; do sleep 0.1; done
mkdir -p /srv/docker && mount $device /srv/docker
mkdir -p /srv/docker/first && mount --bind /srv/docker/first /var/lib/docker
systemctl start --no-block docker.socket docker.service
"#;

/// A user with a home directory and a key, and a host that admits this key.
pub struct OwnHost {
    pub stage: Stage,
    pub server: u64,
    pub address: String,
    pub host_key: PublicKey,
    /// The user's key.
    pub identity: PathBuf,
    pub fingerprint: String,
    /// The tests' own key to the host.
    pub landlord: PathBuf,
    /// Stands in for the cloud's API: no connection may arrive.
    pub cloud: TcpListener,
}

impl OwnHost {
    /// With the system's Docker. `None` if this host cannot run it.
    pub async fn new() -> Option<Self> {
        Self::with(ContainerEngine::default(), SET_UP, "docker version").await
    }

    /// With this engine, set up by a script; it is ready when `answers` succeeds on it.
    pub async fn with(engine: ContainerEngine, set_up: &str, answers: &str) -> Option<Self> {
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
    pub fn know(&self, key: &PublicKey) {
        let line = format!("{} {}\n", self.address, key.to_openssh().unwrap());
        std::fs::write(self.stage.directory.path().join("user/.ssh/known_hosts"), line).unwrap();
    }

    pub fn forget(&self) {
        std::fs::remove_file(self.stage.directory.path().join("user/.ssh/known_hosts")).unwrap();
    }

    /// The user's daemon on a socket.
    pub async fn start(&self, socket: &Path, more: &[&str], settings: &[(&str, &str)]) -> Daemon {
        self.start_as("root", socket, more, settings).await
    }

    /// The user's daemon on a socket, logged in as this remote user.
    pub async fn start_as(
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
    pub async fn on_host(&self, command: &str) -> Ran {
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

    pub fn socket(&self, name: &str) -> PathBuf {
        self.stage.directory.path().join(name)
    }

    /// Stops everything, after checking that the host is unchanged and that no cloud was asked.
    pub async fn close(self) {
        let server = self.stage.api.servers().get(self.server).await.unwrap();
        assert_eq!(
            server.map(|server| server.status),
            Some(ServerStatus::Running),
            "the host is not dockbridge's"
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

pub fn key(comment: &str) -> PrivateKey {
    generate_key(comment).unwrap()
}

pub fn write_key(path: &Path, key: &PrivateKey) -> PathBuf {
    key.write_openssh_file(path, LineEnding::LF).unwrap();
    path.to_owned()
}

/// Orders the host from the cloud.
pub async fn order(
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

pub fn answers(port: u16) -> bool {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = String::new();
    stream.write_all(b"GET /nothing HTTP/1.0\r\n\r\n").is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.")
}
