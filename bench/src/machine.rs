//! The machine that everything is measured against: one of the local cloud's, a real Debian with
//! sshd and dockerd as they come, on this host. On it: dockerd's volume, dockerd on TCP as well,
//! the engine that does nothing, images. It ends with this process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use local_cloud::Sshd;
use local_cloud::hypervisor::{Format, Hypervisor as _, ImageSource, NewServer};
use local_cloud::nspawn::Nspawn;

use crate::clock;
use crate::data::{SIZES, logger, noise};

/// A container in the machine's own network, for forwards to ports there.
pub const HOST_NETWORK: &str = "bench-host";
/// Where the engine that does nothing listens.
pub const ENGINE_PORT: u16 = 2376;

/// The one server and its one volume.
const ID: u64 = 1;
/// GiB, of which only what is written takes space.
const VOLUME: u64 = 20;
/// It boots in a few seconds, on a busy host in some more.
const BOOT_LIMIT: Duration = Duration::from_secs(90);

/// dockerd on its volume and on TCP, and TCP as Debian 12 ships it. sshd has its defaults, except
/// that newer ones shut addresses out for a while after failed logins, of which `ssh://` has many.
const SET_UP: &str = "set -e
sed -i '/MaxStartups/d' /etc/ssh/sshd_config.d/*.conf
printf 'PerSourcePenalties no\n' >/etc/ssh/sshd_config.d/bench.conf
/usr/sbin/sshd -t 2>/dev/null || rm /etc/ssh/sshd_config.d/bench.conf
systemctl reload ssh
sysctl -qw net.ipv4.tcp_congestion_control=cubic net.ipv4.tcp_rmem='4096 131072 6291456' \
    net.ipv4.tcp_wmem='4096 16384 4194304' net.ipv4.tcp_no_metrics_save=1
systemctl stop docker.socket docker.service
mount /dev/disk/by-id/scsi-0HC_Volume_1 /var/lib/docker
mkdir -p /etc/systemd/system/docker.service.d
printf '[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// -H tcp://0.0.0.0:2375 \
    --tls=false --containerd=/run/containerd/containerd.sock\n' \
    >/etc/systemd/system/docker.service.d/tcp.conf
systemctl daemon-reload
systemctl start docker.socket docker.service";

const START_ENGINE: &str = "systemd-run --quiet --unit bench-engine -p LimitNOFILE=65536 -p \
    TasksMax=infinity \
    /opt/bench/LOADER --library-path /opt/bench /opt/bench/PROGRAM engine --unix /run/fake.sock \
    --tcp 0.0.0.0:2376
for i in $(seq 100); do [ -S /run/fake.sock ] && exit; sleep 0.1; done; exit 1";

/// A machine that is ready.
pub struct Machine {
    cloud: Nspawn,
    /// Its address.
    pub address: String,
    /// Private key that lets root in.
    pub key: PathBuf,
}

impl Machine {
    /// Boots it, with its disks in `directory`, and puts everything on it. Takes about 15 s, once
    /// the base system exists.
    pub async fn boot(directory: &Path, data: &Path) -> Result<Self> {
        let key = directory.join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&key)
            .status()?;
        ensure!(made.success(), "ssh-keygen ended with {made}");
        let public = std::fs::read_to_string(key.with_extension("pub"))?.trim().to_owned();

        let cloud = Nspawn::start(&directory.join("cloud"), Sshd::Service).await?;
        let address = cloud.reserve_address(ID)?.to_string();
        let server = NewServer {
            id: ID,
            name: "bench".to_owned(),
            image: ImageSource::Base,
            user_data: None,
            ssh_keys: vec![public],
            availability_zone: "fsn1-dc14".to_owned(),
            region: "eu-central".to_owned(),
            disk: 40,
            architecture: "x86".to_owned(),
        };
        cloud.create(server).await?;
        cloud.create_volume(ID, VOLUME, Some(Format::Ext4)).await?;
        cloud.attach(ID, ID).await?;
        cloud.start(ID).await?;
        let machine = Self { cloud, address, key };
        let furnished = tokio::task::block_in_place(|| machine.furnish(data));
        match furnished {
            Ok(()) => Ok(machine),
            Err(error) => {
                machine.end().await;
                Err(error)
            }
        }
    }

    fn furnish(&self, data: &Path) -> Result<()> {
        let begun = clock::now();
        while let Err(error) = self.run("true", None) {
            if begun.elapsed() > BOOT_LIMIT {
                return Err(error.context("the machine does not answer"));
            }
            clock::pause(Duration::from_millis(100));
        }
        self.run(SET_UP, None).context("dockerd cannot be set up")?;
        self.bring_engine().context("the engine that does nothing cannot be started")?;
        self.run("docker import - bench/logger", Some(&logger(data)))?;
        self.run(
            "docker run -d --network none --name bench-log bench/logger /bin/sh -c 'while :; \
            do echo line; sleep 1; done'",
            None,
        )?;
        self.run(
            &format!(
                "docker run -d --network host --name {HOST_NETWORK} bench/logger /bin/sh -c \
                'while :; do sleep 3600; done'"
            ),
            None,
        )?;
        for mib in SIZES {
            self.run(&format!("docker import - bench/noise{mib}"), Some(&noise(data, mib)))?;
        }
        Ok(())
    }

    /// This very program runs there, with this host's C library beside it, for the machine may have
    /// another one.
    fn bring_engine(&self) -> Result<()> {
        let program = std::env::current_exe()?;
        let name = program
            .file_name()
            .and_then(|name| name.to_str())
            .context("the program's name is not text")?;
        let listed = Command::new("ldd").arg(&program).output().context("ldd")?;
        let listed = String::from_utf8(listed.stdout)?;
        let libraries: Vec<&str> =
            listed.split_whitespace().filter(|word| word.starts_with('/')).collect();
        let loader = libraries
            .iter()
            .find_map(|path| path.rsplit('/').next().filter(|name| name.starts_with("ld-")));
        let loader = loader.context("the program's loader is not known")?;
        let packed = tempfile::NamedTempFile::new()?;
        let names = "--transform=s|.*/||";
        let tar = Command::new("tar")
            .args(["-chPf"])
            .arg(packed.path())
            .arg(names)
            .arg(&program)
            .args(&libraries)
            .status()?;
        ensure!(tar.success(), "tar ended with {tar}");
        self.run("mkdir -p /opt/bench && tar -C /opt/bench -xf -", Some(packed.path()))?;
        self.run(&START_ENGINE.replace("LOADER", loader).replace("PROGRAM", name), None)?;
        Ok(())
    }

    /// Runs a command there that has to succeed and returns what it printed.
    pub fn run(&self, command: &str, input: Option<&Path>) -> Result<String> {
        let settings = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ConnectTimeout=2",
            "IdentitiesOnly=yes",
        ];
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "/dev/null", "-i"])
            .arg(&self.key)
            .args(settings.iter().flat_map(|setting| ["-o", setting]));
        ssh.arg(format!("root@{}", self.address)).arg(command);
        ssh.stdin(match input {
            Some(file) => Stdio::from(std::fs::File::open(file)?),
            None => Stdio::null(),
        });
        let output = ssh.output()?;
        if !output.status.success() {
            let printed = String::from_utf8_lossy(&output.stderr);
            bail!(
                "`{}` ended with {}: {}",
                command.lines().last().unwrap_or_default(),
                output.status,
                printed.trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Switches it off and removes everything from this host.
    pub async fn end(self) {
        if let Err(error) = self.cloud.close().await {
            crate::output::complain(&format!("the machine was not ended in order: {error}"));
        }
    }
}
