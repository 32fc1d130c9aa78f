//! A local cloud's machines without its API, and commands to run on them.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use dockbridge_local_cloud::Sshd;
use dockbridge_local_cloud::hypervisor::{Event, Hypervisor, ImageSource, NewServer};
use dockbridge_local_cloud::nspawn::Nspawn;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// A volume's device link, without the id.
pub const LINK: &str = "/dev/disk/by-id/scsi-0HC_Volume_";

/// Ceiling; every step takes much less.
pub const CEILING: Duration = Duration::from_secs(60);

/// Passes the test over if this host cannot run machines.
pub fn passed_over() -> bool {
    let not_root = !rustix::process::geteuid().is_root();
    if not_root {
        testkit::passed_over!("real machines need root");
    }
    not_root
}

/// The machines of one local cloud, in a temporary directory.
pub struct Rig {
    pub cloud: Nspawn,
    directory: PathBuf,
    _goes_with_it: Option<TempDir>,
    pub events: mpsc::UnboundedReceiver<Event>,
}

impl Rig {
    pub async fn start() -> Rig {
        let directory = tempfile::tempdir().unwrap();
        let rig = Rig::start_in(directory.path()).await;
        Rig { _goes_with_it: Some(directory), ..rig }
    }

    pub async fn start_in(directory: &Path) -> Rig {
        Rig::start_with(directory, Sshd::Socket).await
    }

    pub async fn start_with(directory: &Path, sshd: Sshd) -> Rig {
        let keygen = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(directory.join("key"))
            .status()
            .await;
        assert!(keygen.unwrap().success());
        let cloud = Nspawn::start(&directory.join("state"), sshd).await.unwrap();
        let events = cloud.events().expect("events are taken once");
        Rig { cloud, directory: directory.to_owned(), _goes_with_it: None, events }
    }

    /// Stops the local cloud and starts another one on the same directory.
    pub async fn again(&mut self) {
        self.cloud.close().await.unwrap();
        // The directory is locked until the old one is dropped. A local cloud on another directory
        // takes the place of its field meanwhile.
        let elsewhere = tempfile::tempdir().unwrap();
        drop(std::mem::replace(
            &mut self.cloud,
            Nspawn::start(elsewhere.path(), Sshd::Socket).await.unwrap(),
        ));
        let next = Nspawn::start(&self.state(), Sshd::Socket).await.unwrap();
        self.events = next.events().expect("events are taken once");
        let stopgap = std::mem::replace(&mut self.cloud, next);
        stopgap.close().await.unwrap();
    }

    pub fn key(&self) -> PathBuf {
        self.directory.join("key")
    }

    pub fn public_key(&self) -> String {
        std::fs::read_to_string(self.directory.join("key.pub")).unwrap().trim().to_owned()
    }

    pub fn state(&self) -> PathBuf {
        self.directory.join("state").canonicalize().unwrap()
    }

    /// The slot number in everything that this local cloud leaves on the host.
    pub fn slot(&self) -> u8 {
        self.cloud.gateway().octets()[2]
    }

    pub async fn create(&self, id: u64, user_data: Option<&str>) -> Machine {
        self.create_from(id, ImageSource::Base, user_data).await
    }

    pub async fn create_from(
        &self,
        id: u64,
        image: ImageSource,
        user_data: Option<&str>,
    ) -> Machine {
        let server = NewServer {
            id,
            name: format!("box-{id}"),
            image,
            user_data: user_data.map(str::to_owned),
            ssh_keys: vec![self.public_key()],
            availability_zone: "fsn1-dc14".to_owned(),
            region: "eu-central".to_owned(),
            disk: 40,
            architecture: "x86".to_owned(),
        };
        let promised = self.cloud.reserve_address(id).unwrap();
        self.cloud.create(server).await.unwrap();
        let machine = self.machine(id);
        assert_eq!(machine.address, promised);
        machine
    }

    /// An existing server.
    pub fn machine(&self, id: u64) -> Machine {
        let address = self.cloud.reserve_address(id).unwrap();
        Machine {
            id,
            address,
            key: self.key(),
            console: self.state().join(format!("servers/{id}/console.log")),
        }
    }

    /// Kills a machine's nspawn, like an accident.
    pub fn kill(&self, id: u64) {
        let mark = format!("--machine=dbc{}-{id}", self.slot());
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let arguments = String::from_utf8_lossy(&arguments).into_owned();
            if arguments.starts_with("systemd-nspawn\0")
                && arguments.split('\0').any(|argument| argument == mark)
            {
                let pid = process.file_name().to_str().unwrap().parse().unwrap();
                rustix::process::kill_process(
                    rustix::process::Pid::from_raw(pid).unwrap(),
                    rustix::process::Signal::KILL,
                )
                .unwrap();
                return;
            }
        }
        panic!("no process has {mark}");
    }

    /// Creates, starts, and waits until ssh answers.
    pub async fn boot(&self, id: u64) -> Machine {
        let machine = self.create(id, None).await;
        self.cloud.start(id).await.unwrap();
        machine.answers().await;
        machine
    }

    /// Waits for the machine to stop by itself.
    pub async fn stopped(&mut self, id: u64) {
        let event = timeout(CEILING, self.events.recv()).await.expect("the machine stops").unwrap();
        assert_eq!(event, Event::Stopped(id));
    }

    /// Stops it and checks that the host is as before.
    pub async fn end(self) {
        self.cloud.close().await.unwrap();
        let (slot, state) = (self.slot(), self.state());
        drop(self.cloud);
        assert_eq!(left_on_host(slot, &state), Vec::<String>::new());
    }
}

/// Polls until the condition holds.
pub async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < CEILING, "never: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// A machine as seen from outside.
pub struct Machine {
    pub id: u64,
    pub address: Ipv4Addr,
    key: PathBuf,
    console: PathBuf,
}

impl Machine {
    pub async fn ssh(&self, command: &str) -> Output {
        ssh(&self.key, self.address, command).await
    }

    /// Waits until ssh answers.
    pub async fn answers(&self) {
        let began = Instant::now();
        loop {
            let tried = self.ssh("true").await;
            if tried.status.success() {
                println!("server {} answers ssh after {:?}", self.id, began.elapsed());
                return;
            }
            let console = std::fs::read_to_string(&self.console).unwrap_or_default();
            assert!(began.elapsed() < CEILING, "ssh does not answer: {tried:?}\n{console}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs a command that must succeed and returns its output.
    pub async fn run(&self, command: &str) -> String {
        let output = self.ssh(command).await;
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs a command until it succeeds.
    pub async fn run_until(&self, command: &str) -> String {
        let began = Instant::now();
        loop {
            let output = self.ssh(command).await;
            if output.status.success() {
                return String::from_utf8(output.stdout).unwrap().trim().to_owned();
            }
            assert!(began.elapsed() < CEILING, "{command} never succeeds: {output:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

pub async fn ssh(key: &Path, address: Ipv4Addr, command: &str) -> Output {
    let options = [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "ConnectTimeout=1",
        "BatchMode=yes",
        "IdentitiesOnly=yes",
    ];
    let mut ssh = Command::new("ssh");
    ssh.args(options.iter().flat_map(|option| ["-o", option]))
        .arg("-i")
        .arg(key)
        .arg(format!("root@{address}"))
        .arg(command);
    ssh.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap()
}

/// Everything on this host that carries the slot number of a local cloud or lies in its directory.
pub fn left_on_host(slot: u8, state: &Path) -> Vec<String> {
    let state = state.display().to_string();
    let text = |program: &str, args: &[&str]| {
        let output = std::process::Command::new(program).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let found = |what: &str, text: &str, carries: &dyn Fn(&str) -> bool| {
        text.lines()
            .filter(|line| carries(line))
            .map(|line| format!("{what}: {line}"))
            .collect::<Vec<_>>()
    };
    let (bridge, link, table) =
        (format!(": dbcloud{slot}:"), format!(": vb-dbc{slot}-"), format!("dockbridge_{slot}"));
    let machine = format!("--machine=dbc{slot}-");
    let loops = text("losetup", &["--list", "--raw", "--output", "NAME,BACK-FILE"]);
    let mut left = found("loop", &loops, &|line| line.contains(&state));
    left.extend(found("link", &text("ip", &["-oneline", "link"]), &|line| {
        line.contains(&bridge) || line.contains(&link)
    }));
    left.extend(found("table", &text("nft", &["list", "tables"]), &|line| line.ends_with(&table)));
    let groups = text("find", &["/sys/fs/cgroup", "-maxdepth", "2", "-type", "d"]);
    left.extend(found("control group", &groups, &|line| line.contains(&format!("/dbc{slot}-"))));
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        left.extend(found("process", &arguments, &|line| line.contains(&machine)));
        let mounts = std::fs::read_to_string(process.path().join("mountinfo")).unwrap_or_default();
        left.extend(found("mount", &mounts, &|line| line.contains(&state)));
    }
    left
}
