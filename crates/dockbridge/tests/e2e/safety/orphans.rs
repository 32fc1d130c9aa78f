//! `dockbridge local-cloud` with real machines: everything that it uses on this host is released,
//! also after it was killed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use hetzner::{Client, NewServer, NewVolume, Query};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::rig::{Ran, pass_over, run};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_local_cloud_releases_everything_at_its_end_and_cleans_up_after_a_killed_one() {
    if !rustix::process::geteuid().is_root() {
        return pass_over();
    }
    let directory =
        tempfile::Builder::new().prefix("dockbridge-e2e-").tempdir_in("/var/tmp").unwrap();
    let mut cloud = Running::start(directory.path()).await;
    cloud.make_server().await;
    assert_eq!(
        left(&cloud, directory.path()).await.len(),
        4,
        "a machine, its disk, a link and a firewall"
    );
    cloud.signal(Signal::TERM);
    assert!(timeout(PATIENCE, cloud.child.wait()).await.unwrap().unwrap().success());
    assert_eq!(left(&cloud, directory.path()).await, Vec::<String>::new(), "after SIGTERM");

    let mut cloud = Running::start(directory.path()).await;
    let server = cloud.api.servers().list(&Query::default()).await.unwrap().remove(0);
    let on = cloud.api.servers().power_on(server.id).await.unwrap();
    cloud.api.wait(vec![on]).await.unwrap();
    assert_eq!(left(&cloud, directory.path()).await.len(), 4, "it knows its server again");
    cloud.signal(Signal::KILL);
    cloud.child.wait().await.unwrap();
    let begun = Instant::now();
    loop {
        let cleaned = dockbridge(&["local-cloud", "--clean"]).await;
        assert!(cleaned.succeeded().stdout.starts_with("Removed: "), "{cleaned}");
        let left = left(&cloud, directory.path()).await;
        if left.is_empty() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "after kill -9 and {cleaned}: {left:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

struct Running {
    child: Child,
    api: Client,
    /// Its slot on the host, as in `dbcloud7`.
    place: String,
}

impl Running {
    async fn start(state: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dockbridge"));
        command
            .args(["local-cloud", "--listen", "127.0.0.1:0", "--state"])
            .arg(state.join("cloud"));
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let endpoint = loop {
            let line = timeout(PATIENCE, lines.next_line())
                .await
                .expect("it prints its endpoint")
                .unwrap()
                .expect("it goes on");
            if let Some(endpoint) = line.strip_prefix("export HCLOUD_ENDPOINT=") {
                break endpoint.to_owned();
            }
        };
        // Its last lines have a reader, as on a terminal.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let token = std::fs::read_to_string(state.join("cloud/token")).unwrap();
        let place = endpoint.split('.').nth(2).unwrap().to_owned();
        Self {
            child,
            api: Client::new(endpoint.parse().unwrap(), token.trim().to_owned().into()).unwrap(),
            place,
        }
    }

    async fn make_server(&self) {
        let volume = NewVolume {
            name: "disk".to_owned(),
            size: 10,
            location: "fsn1".to_owned(),
            format: None,
            labels: [].into(),
        };
        let volume = self.api.volumes().create(&volume).await.unwrap();
        self.api.wait(volume.actions()).await.unwrap();
        let server = NewServer {
            name: "server".to_owned(),
            server_type: "cx23".to_owned(),
            image: "docker-ce".to_owned(),
            location: Some("fsn1".to_owned()),
            volumes: vec![volume.volume.id],
            ..NewServer::default()
        };
        let created = self.api.servers().create(&server).await.unwrap();
        self.api
            .wait(std::iter::once(created.action).chain(created.next_actions).collect())
            .await
            .unwrap();
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }
}

/// This cloud's remains on the host, by kind.
async fn left(cloud: &Running, directory: &Path) -> Vec<String> {
    let place = &cloud.place;
    let mark = format!("--machine=dbc{place}-");
    let has_machine = std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut arguments = arguments.split(|byte| *byte == 0);
        arguments.next().is_some_and(|program| program.ends_with(b"systemd-nspawn"))
            && arguments.any(|argument| argument.starts_with(mark.as_bytes()))
    });
    let output = |program: &'static str, arguments: &'static [&'static str]| async move {
        let mut command = Command::new(program);
        command.args(arguments);
        run(command, "").await.succeeded().stdout.clone()
    };
    let loops = output("losetup", &["--list", "--noheadings", "--output", "BACK-FILE"]).await;
    let links = output("ip", &["-brief", "link"]).await;
    let tables = output("nft", &["list", "tables"]).await;
    let found = [
        ("machine", has_machine),
        ("loop device", loops.contains(directory.to_str().unwrap())),
        ("link", links.lines().any(|line| line.starts_with(&format!("dbcloud{place} ")))),
        ("firewall", tables.lines().any(|line| line.ends_with(&format!(" dockbridge_{place}")))),
    ];
    found.into_iter().filter(|(_, is_there)| *is_there).map(|(kind, _)| kind.to_owned()).collect()
}

async fn dockbridge(arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dockbridge"));
    command.args(arguments);
    run(command, "").await
}
