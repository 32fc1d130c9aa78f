//! The token and the login key are only in the user's own files, whatever is logged, shown, run or
//! handed over.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use hetzner::Query;
use russh::keys::PublicKey;
use tokio::process::Command;
use tunnel::Fingerprint;

use crate::rig::{Ran, Stage, pass_over, run};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn token_and_login_key_are_in_the_users_own_files_only() {
    let Some(mut stage) = Stage::new().await else { return pass_over() };
    let token = stage.cloud.token().to_owned();
    // Neither the environment nor an argument contains it: the user pasted it once.
    stage.environment.retain(|(name, _)| name != "DOCKBRIDGE_HETZNER_API_TOKEN");
    let mut command = stage.command(env!("CARGO_BIN_EXE_dockbridge"));
    command.args(["init", "--token-stdin", "--no-context"]);
    let init = run(command, &token).await;
    init.succeeded();
    let secrets = Secrets {
        token,
        login_key: private_lines(&std::fs::read_to_string(own(&stage, "ssh_ed25519")).unwrap()),
    };
    let watched = Watched::over(secrets.all());

    // A whole life, with all output.
    let daemon = stage
        .start(&[
            ("DOCKBRIDGE_LOGGING_LEVEL", "trace"),
            ("DOCKBRIDGE_KEEPALIVE_TIMEOUT", "4s"),
            ("DOCKBRIDGE_KEEPALIVE_INTERVAL", "1s"),
        ])
        .await;
    stage.make_image("tiny").await;
    let output = [
        init,
        stage.docker(&["info"]).await,
        stage.docker(&["version"]).await,
        stage.docker(&["run", "--rm", "tiny", "env"]).await,
        stage.dockbridge(&["status", "--json"]).await,
        stage.dockbridge(&["config", "show"]).await,
        stage.dockbridge(&["server", "list", "--json"]).await,
        stage.on_machine("journalctl --no-pager --output=export").await,
        stage.on_machine("systemctl show '*'").await,
        stage.on_machine("ps axwwe").await,
    ];
    for ran in &output {
        assert!(
            secrets.found_in(&format!("{}{}", ran.succeeded().stdout, ran.stderr)).is_empty(),
            "printed by {}",
            ran.line
        );
    }
    secrets.are_not_on(&stage).await;
    host_key_is_replaced(&stage).await;

    stage.dockbridge(&["server", "destroy"]).await.succeeded();
    assert_eq!(stage.counts().await, (0, 1));
    // The last act of an unattended machine is the one that needs the token.
    stage.docker(&["ps"]).await.succeeded();
    daemon.kill().await;
    stage
        .eventually("the machine has deleted itself", PATIENCE, async || {
            stage.counts().await.0 == 0
        })
        .await;

    let (seen, found) = watched.end();
    assert!(
        seen.iter().any(|line| line.contains("docker\0info")),
        "the watch over arguments sees nothing"
    );
    assert_eq!(found, BTreeSet::new(), "arguments or environments that hold a secret");
    let log = stage.daemon_log();
    assert!(log.contains("TRACE"), "the log is as talkative as it can be made");
    assert!(secrets.found_in(&log).is_empty(), "in the log");
    secrets.are_in_their_files_only(&stage);
    stage.close().await;
}

struct Secrets {
    token: String,
    login_key: Vec<String>,
}

impl Secrets {
    fn all(&self) -> Vec<String> {
        std::iter::once(&self.token).chain(&self.login_key).cloned().collect()
    }

    /// As text, or as the numbers of its bytes, which is how buffers are printed.
    fn found_in(&self, text: &str) -> Vec<String> {
        let numbers = |secret: &String| {
            secret.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ")
        };
        self.all()
            .into_iter()
            .filter(|secret| text.contains(secret) || text.contains(&numbers(secret)))
            .collect()
    }

    /// Checks the files of the machine.
    async fn are_not_on(&self, stage: &Stage) {
        let public = std::fs::read_to_string(own(stage, "ssh_ed25519")).unwrap();
        let public = russh::keys::PrivateKey::from_openssh(&public)
            .unwrap()
            .public_key()
            .to_openssh()
            .unwrap();
        let public = public.split(' ').nth(1).unwrap().to_owned();
        let known = search_machine(stage, &[public]).await;
        assert!(
            known.stdout.lines().any(|line| line == "/root/.ssh/authorized_keys"),
            "the search finds nothing: {known}"
        );
        let found = search_machine(stage, &self.all()).await;
        assert_eq!(found.stdout, "", "files of the machine that hold a secret");
    }

    /// Checks everything in the stage except the proper files; the cloud knows the tokens that it
    /// admits.
    fn are_in_their_files_only(&self, stage: &Stage) {
        let directory = stage.directory.path();
        let patterns = |secrets: &[String]| secrets.join("\n");
        for (patterns, expected) in [
            (
                patterns(std::slice::from_ref(&self.token)),
                vec![directory.join("cloud/token"), own(stage, "token")],
            ),
            (patterns(&self.login_key), vec![own(stage, "ssh_ed25519")]),
        ] {
            let list = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(list.path(), patterns).unwrap();
            // The volume is mostly empty; its files were searched on the machine.
            let mut grep = std::process::Command::new("grep");
            grep.args(["-rlaF", "--exclude=*.img", "-f"]).arg(list.path()).arg(directory);
            let found: BTreeSet<PathBuf> = String::from_utf8(grep.output().unwrap().stdout)
                .unwrap()
                .lines()
                .map(PathBuf::from)
                .collect();
            assert_eq!(found, expected.into_iter().collect());
        }
        for name in ["token", "ssh_ed25519"] {
            assert_eq!(
                own(stage, name).metadata().unwrap().permissions().mode() & 0o777,
                0o600,
                "{name}"
            );
        }
    }
}

/// One of the user's own files.
fn own(stage: &Stage, name: &str) -> PathBuf {
    stage.directory.path().join("home/config").join(name)
}

/// The lines of a private key in OpenSSH's format that contain its secret part: the first is the
/// same for all keys, the second is public.
fn private_lines(key: &str) -> Vec<String> {
    let lines: Vec<String> =
        key.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned).collect();
    lines[2..4].to_vec()
}

/// Files of the machine with one of these texts, which are not given as arguments.
async fn search_machine(stage: &Stage, texts: &[String]) -> Ran {
    let mut command = stage.command(env!("CARGO_BIN_EXE_dockbridge"));
    command.args([
        "server",
        "ssh",
        "grep -rlaFs --devices=skip -f - /etc /root /home /run /tmp /usr/local /var /mnt /dev/shm",
    ]);
    let ran = run(command, &texts.join("\n")).await;
    assert!(ran.stderr.is_empty(), "{ran}");
    ran
}

/// The key from the user data is no longer the machine's: every process there could have read it.
async fn host_key_is_replaced(stage: &Stage) {
    let state: serde_json::Value = serde_json::from_slice(
        &std::fs::read(stage.directory.path().join("cloud/cloud.json")).unwrap(),
    )
    .unwrap();
    let user_data = find(&state, "user_data")
        .and_then(serde_json::Value::as_str)
        .expect("the cloud keeps the user-data");
    let config: serde_json::Value =
        serde_json::from_str(user_data.strip_prefix("#cloud-config\n").unwrap()).unwrap();
    let first =
        PublicKey::from_openssh(config["ssh_keys"]["ed25519_public"].as_str().unwrap()).unwrap();
    let first_private = private_lines(config["ssh_keys"]["ed25519_private"].as_str().unwrap());

    let server = stage.api.servers().list(&Query::default()).await.unwrap().remove(0);
    let address = server.public_net.ipv4.unwrap().ip.to_string();
    let presented = async || {
        let mut command = Command::new("ssh-keyscan");
        command.args(["-T", "5", &address]);
        run(command, "").await.stdout
    };
    let settled = async || {
        let labels = stage.api.servers().get(server.id).await.unwrap().unwrap().labels;
        let known = labels.get("dockbridge-host-key").cloned().unwrap_or_default();
        known != Fingerprint::of(&first).to_label()
            && !labels.contains_key("dockbridge-next-host-key")
    };
    stage.eventually("the label names another key", PATIENCE, settled).await;
    let labels = stage.api.servers().get(server.id).await.unwrap().unwrap().labels;
    let keys = presented().await;
    let keys: Vec<&str> =
        keys.lines().filter_map(|line| line.split_once(' ').map(|(_, key)| key)).collect();
    let [key] = keys.as_slice() else { panic!("sshd presents {keys:?}") };
    assert_eq!(
        &Fingerprint::of(&PublicKey::from_openssh(key).unwrap()).to_label(),
        labels.get("dockbridge-host-key").unwrap()
    );

    let holders = search_machine(stage, &first_private).await;
    assert!(holders.stdout.contains("/var/lib/cloud/"), "the first key was there: {holders}");
    assert!(!holders.stdout.contains("/etc/ssh/"), "sshd still has it: {holders}");
}

fn find<'a>(value: &'a serde_json::Value, key: &str) -> Option<&'a serde_json::Value> {
    match value {
        serde_json::Value::Object(fields) => {
            fields.get(key).or_else(|| fields.values().find_map(|value| find(value, key)))
        }
        serde_json::Value::Array(values) => values.iter().find_map(|value| find(value, key)),
        _ => None,
    }
}

/// Watches the arguments and environments of all processes of this host, which include its
/// machines', over and over.
struct Watched {
    end: Sender<()>,
    thread: JoinHandle<(BTreeSet<String>, BTreeSet<String>)>,
}

impl Watched {
    fn over(secrets: Vec<String>) -> Self {
        let (end, ended) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
            while ended.recv_timeout(Duration::from_millis(10)) == Err(RecvTimeoutError::Timeout) {
                for process in std::fs::read_dir("/proc")
                    .unwrap()
                    .flatten()
                    .filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit())
                {
                    look(&process.path(), &secrets, &mut seen, &mut found);
                }
            }
            (seen, found)
        });
        Self { end, thread }
    }

    /// All command lines that were seen, and those of processes with a secret in arguments or
    /// environment.
    fn end(self) -> (BTreeSet<String>, BTreeSet<String>) {
        drop(self.end);
        self.thread.join().unwrap()
    }
}

fn look(
    process: &Path,
    secrets: &[String],
    seen: &mut BTreeSet<String>,
    found: &mut BTreeSet<String>,
) {
    // A process may be gone in the meantime.
    let read = |name: &str| {
        String::from_utf8_lossy(&std::fs::read(process.join(name)).unwrap_or_default()).into_owned()
    };
    let (arguments, environment) = (read("cmdline"), read("environ"));
    if secrets.iter().any(|secret| arguments.contains(secret) || environment.contains(secret)) {
        found.insert(arguments.clone());
    }
    seen.insert(arguments);
}
