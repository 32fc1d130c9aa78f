//! A local cloud's machines without its API, and what a person would type at them.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use local_cloud::hypervisor::{Event, Hypervisor, ImageSource, NewServer};
use local_cloud::nspawn::Nspawn;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// Much more than any step takes; a ceiling for what never comes.
pub const CEILING: Duration = Duration::from_secs(60);

/// Says why a test is passed over, if it is.
pub fn passed_over() -> bool {
    let not_root = !rustix::process::geteuid().is_root();
    if not_root {
        println!("passed over: real machines need root");
    }
    not_root
}

/// The machines of one local cloud, in a folder that goes with it.
pub struct Rig {
    pub cloud: Nspawn,
    pub folder: TempDir,
    pub events: mpsc::UnboundedReceiver<Event>,
}

impl Rig {
    pub async fn start() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let keygen = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.path().join("key")).status().await;
        assert!(keygen.unwrap().success());
        let cloud = Nspawn::start(&folder.path().join("state"), 0).await.unwrap();
        let events = cloud.events().expect("events are taken once");
        Rig { cloud, folder, events }
    }

    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    pub fn public_key(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("key.pub")).unwrap().trim().to_owned()
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state").canonicalize().unwrap()
    }

    /// The number in everything that this local cloud leaves on the host.
    pub fn place(&self) -> u8 {
        self.cloud.gateway().octets()[2]
    }

    pub async fn create(&self, id: u64, user_data: Option<&str>) -> Machine {
        self.create_from(id, ImageSource::Base, user_data).await
    }

    pub async fn create_from(&self, id: u64, image: ImageSource, user_data: Option<&str>) -> Machine {
        let address = self.cloud.reserve_address(id).unwrap();
        let server = NewServer {
            id,
            name: format!("box-{id}"),
            image,
            user_data: user_data.map(str::to_owned),
            ssh_keys: vec![self.public_key()],
            availability_zone: "fsn1-dc14".to_owned(),
            region: "eu-central".to_owned(),
        };
        self.cloud.create(server).await.unwrap();
        Machine { id, address, key: self.key(), console: self.state().join(format!("servers/{id}/console.log")) }
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

    /// Ends it and checks that the host is as before.
    pub async fn end(self) {
        self.cloud.close().await.unwrap();
        let (place, state) = (self.place(), self.state());
        drop(self.cloud);
        assert_eq!(left_on_host(place, &state), Vec::<String>::new());
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

    /// Runs a command that has to succeed and returns what it printed.
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
    ssh.args(options.iter().flat_map(|option| ["-o", option])).arg("-i").arg(key).arg(format!("root@{address}")).arg(command);
    ssh.stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap()
}

/// Everything on this host that carries the number of a local cloud or lies in its folder.
pub fn left_on_host(place: u8, state: &Path) -> Vec<String> {
    let state = state.display().to_string();
    let mut left = Vec::new();
    let text = |program: &str, args: &[&str]| {
        let output = std::process::Command::new(program).args(args).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let mut keep = |what: &str, text: &str, marks: &[&str]| {
        left.extend(text.lines().filter(|line| marks.iter().any(|mark| line.contains(mark))).map(|line| format!("{what}: {line}")));
    };
    keep("loop", &text("losetup", &["--list", "--raw", "--output", "NAME,BACK-FILE"]), &[&state]);
    keep("link", &text("ip", &["-oneline", "link"]), &[&format!(": dbcloud{place}:"), &format!("vb-dbc{place}-")]);
    keep(
        "table",
        &text("nft", &["list", "tables"]),
        &[&format!("dockbridge_{place}\n"), &format!("dockbridge_{place}")].map(|mark| mark.trim_end()),
    );
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let arguments = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        keep("process", &arguments, &[&format!("--machine=dbc{place}-")]);
        keep("mount", &std::fs::read_to_string(process.path().join("mountinfo")).unwrap_or_default(), &[&state]);
    }
    left
}
