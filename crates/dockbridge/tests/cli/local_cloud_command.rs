//! `dockbridge local-cloud` as a command of its own, without machines.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use hetzner::{Client, Code, NewServer, Query};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use crate::rig::{Desk, mode, signal};

const PATIENCE: Duration = Duration::from_secs(20);

/// A local cloud in a process of its own.
struct Running {
    child: Child,
    endpoint: String,
    lines: Lines<BufReader<ChildStdout>>,
}

async fn start(desk: &Desk, arguments: &[&str]) -> Running {
    let mut command = desk.command(env!("CARGO_BIN_EXE_dockbridge"));
    command.args(["local-cloud", "--machines", "none", "--listen", "127.0.0.1:0"]).args(arguments);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut endpoint = None;
    while endpoint.is_none() {
        let line = timeout(PATIENCE, lines.next_line())
            .await
            .expect("it prints its endpoint")
            .unwrap()
            .expect("it goes on");
        endpoint = line.strip_prefix("export HCLOUD_ENDPOINT=").map(str::to_owned);
    }
    Running { child, endpoint: endpoint.unwrap(), lines }
}

impl Running {
    fn api(&self, token: &str) -> Client {
        Client::new(self.endpoint.parse().unwrap(), token.to_owned().into()).unwrap()
    }

    async fn ends_clean(mut self, by: Signal) {
        signal(&self.child, by);
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap();
        assert!(status.success(), "{by:?}: {status}");
        let mut said = String::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            said.push_str(&line);
        }
        assert!(said.contains("Stopping: "), "{said}");
    }
}

#[tokio::test]
async fn it_serves_until_it_is_asked_to_end_and_remembers() {
    let desk = Desk::new().await;
    let state = desk.path("own-cloud");
    let state = state.to_str().unwrap();
    for by in [Signal::INT, Signal::TERM] {
        let cloud = start(&desk, &["--state", state]).await;
        let token = std::fs::read_to_string(desk.path("own-cloud/token")).unwrap();
        assert_eq!(mode(&desk.path("own-cloud/token")), 0o600);
        let api = cloud.api(token.trim());
        assert!(!api.locations().list(&Query::default()).await.unwrap().is_empty());
        if by == Signal::INT {
            api.ssh_keys().create("kept", &public_key(), &hetzner::Labels::new()).await.unwrap();
        }
        let keys: Vec<String> = api
            .ssh_keys()
            .list(&Query::default())
            .await
            .unwrap()
            .into_iter()
            .map(|key| key.name)
            .collect();
        assert_eq!(keys, ["kept"], "after {by:?}");
        cloud.ends_clean(by).await;
    }
}

fn public_key() -> String {
    machine::generate_key("test").unwrap().public_key().to_openssh().unwrap()
}

#[tokio::test]
async fn a_token_of_ones_own_is_not_printed() {
    let mut desk = Desk::new().await;
    desk.set("DOCKBRIDGE_LOCAL_CLOUD_TOKEN", "a-token-of-ones-own");
    let mut cloud = start(&desk, &["--state", desk.path("own-cloud").to_str().unwrap()]).await;
    assert!(
        !cloud
            .api("a-token-of-ones-own")
            .server_types()
            .list(&Query::default())
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        cloud
            .api("another")
            .server_types()
            .list(&Query::default())
            .await
            .unwrap_err()
            .is_unauthorized()
    );
    signal(&cloud.child, Signal::TERM);
    while let Some(line) = cloud.lines.next_line().await.unwrap() {
        assert!(!line.contains("a-token-of-ones-own"), "{line}");
    }
    assert!(cloud.child.wait().await.unwrap().success());
}

#[tokio::test]
async fn a_read_only_token_and_limits_are_given_by_options() {
    let desk = Desk::new().await;
    let file = desk.path("read-only");
    std::fs::write(&file, "a-token-that-looks\n").unwrap();
    let (state, file) = (desk.path("own-cloud"), file.to_str().unwrap().to_owned());
    let arguments = [
        "--state",
        state.to_str().unwrap(),
        "--read-only-token-file",
        &file,
        "--server-limit",
        "0",
    ];
    let more = [
        "--requests-per-hour",
        "7200",
        "--stock",
        "captured",
        "--pace",
        "real",
        "--pace-seed",
        "5",
    ];
    let cloud = start(&desk, &[&arguments[..], &more].concat()).await;
    let looks = cloud.api("a-token-that-looks");
    let cx23 = looks
        .server_types()
        .list(&Query::default())
        .await
        .unwrap()
        .into_iter()
        .find(|kind| kind.name == "cx23")
        .unwrap();
    assert!(cx23.locations.iter().all(|place| !place.available), "{:?}", cx23.locations);
    let refused =
        looks.ssh_keys().create("k", &public_key(), &hetzner::Labels::new()).await.unwrap_err();
    assert!(refused.is_read_only() && !refused.is_unauthorized(), "{refused}");
    let token = std::fs::read_to_string(desk.path("own-cloud/token")).unwrap();
    let order = NewServer {
        name: "s".into(),
        server_type: "cx23".into(),
        image: "debian-12".into(),
        ..NewServer::default()
    };
    let ordered = cloud.api(token.trim()).servers().create(&order).await.unwrap_err();
    assert_eq!(ordered.code(), Some(&Code::ResourceLimitExceeded), "{ordered}");
    cloud.ends_clean(Signal::TERM).await;
    let missing = desk.path("missing");
    desk.dockbridge(&[
        "local-cloud",
        "--machines",
        "none",
        "--read-only-token-file",
        missing.to_str().unwrap(),
    ])
    .await
    .failed(1, &["Error: cannot read the token in ", "Hint: write any token into the file"]);
}

#[tokio::test]
async fn conflicts_are_reported_with_a_hint() {
    let desk = Desk::new().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let own = desk.path("own-cloud");
    let own = own.to_str().unwrap();
    desk.dockbridge(&["local-cloud", "--machines", "none", "--listen", &address, "--state", own])
        .await
        .failed(
            1,
            &[
                &format!("Error: cannot listen on {address}"),
                "Hint: choose another address with --listen ADDRESS:PORT",
            ],
        );
    let used = desk.path("cloud");
    let used = used.to_str().unwrap();
    desk.dockbridge(&[
        "local-cloud",
        "--machines",
        "none",
        "--listen",
        "127.0.0.1:0",
        "--state",
        used,
    ])
    .await
    .failed(
        1,
        &[
            &format!("Error: another local cloud uses {used}"),
            "Hint: stop that one, or choose another directory with --state DIR",
        ],
    );
    std::fs::create_dir(desk.path("closed")).unwrap();
    std::fs::set_permissions(
        desk.path("closed"),
        std::os::unix::fs::PermissionsExt::from_mode(0o555),
    )
    .unwrap();
    let closed = desk.path("closed/cloud");
    let closed = closed.to_str().unwrap();
    desk.dockbridge_without_root(&[
        "local-cloud",
        "--machines",
        "none",
        "--listen",
        "127.0.0.1:0",
        "--state",
        closed,
    ])
    .await
    .failed(
        1,
        &[
            &format!("Error: cannot use the state directory {closed}"),
            "Hint: choose a writable directory with --state DIR",
        ],
    );
}
