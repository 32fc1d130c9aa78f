//! The daemon at sockets that a service manager passes, the notices that it sends, and the command
//! `service` where no manager runs.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram as Sender;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use api::client::{Client, ClientError};
use api::control_socket;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixDatagram, UnixStream};
use tokio::process::Child;
use tokio::time::timeout;

use crate::rig::{Desk, has_docker};

/// Ceiling for whatever is waited for.
const LONGEST: Duration = Duration::from_secs(20);

/// A daemon that the first client starts.
struct Waiting {
    child: Child,
    log: PathBuf,
}

impl Waiting {
    /// Has `systemd-socket-activate` listen at the default socket and its control socket. `None`,
    /// with the test passed over, without that program.
    async fn listen(desk: &Desk, options: &[&str]) -> Option<Self> {
        let log = desk.path("activation.log");
        let sockets = [desk.socket(), control_socket(&desk.socket())];
        std::fs::create_dir_all(desk.socket().parent().unwrap()).unwrap();
        let mut command = desk.command("systemd-socket-activate");
        command.args(options);
        for socket in sockets {
            command.arg("--listen").arg(socket);
        }
        for name in desk.environment.keys() {
            command.arg("--setenv").arg(name);
        }
        command.arg(env!("CARGO_BIN_EXE_dockbridge")).arg("start").stdout(Stdio::null());
        let Ok(child) = command.stderr(File::create(&log).unwrap()).spawn() else {
            testkit::passed_over!("no systemd-socket-activate");
            return None;
        };
        let waiting = Self { child, log };
        let listens = async || waiting.said().contains("control as 4.");
        testkit::eventually("it listens", LONGEST, listens, async || waiting.said()).await;
        Some(waiting)
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The exit code and standard error, when the daemon has ended.
    async fn ended(mut self) -> (Option<i32>, String) {
        let status = timeout(LONGEST, self.child.wait()).await.expect("it ends").unwrap();
        (status.code(), self.said())
    }
}

#[tokio::test]
async fn first_client_starts_the_daemon_at_sockets_that_stay() {
    let mut desk = Desk::new().await;
    desk.set("DOCKBRIDGE_SERVICE", "dockbridge.service");
    let Some(waiting) = Waiting::listen(&desk, &["--fdname=docker:control"]).await else { return };
    let status = Client::of(&desk.socket()).status().await.unwrap();
    assert_eq!(Some(status.process), waiting.child.id());
    assert_eq!(status.service.as_deref(), Some("dockbridge.service"));
    desk.unset("DOCKBRIDGE_SERVICE");
    let printed = desk.dockbridge(&["status"]).await;
    printed.succeeded().said(&["Service   dockbridge.service\n"]);
    let second = desk.dockbridge(&["start"]).await;
    second.succeeded().said(&["is already running as the service dockbridge.service (process "]);
    desk.dockbridge(&["start", "--host", "a@b"])
        .await
        .failed(1, &["so --host has no effect", "`dockbridge service remove`"]);
    let mut docker = UnixStream::connect(desk.socket()).await.unwrap();
    docker.write_all(b"nonsense\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    timeout(LONGEST, docker.read_exact(&mut answer)).await.expect("an answer").unwrap();
    assert_eq!(&answer, b"HTTP/1.1 400");
    drop(docker);
    desk.dockbridge(&["stop"]).await.succeeded().said(&["Stopped the daemon."]);
    let (code, said) = waiting.ended().await;
    assert_eq!(code, Some(0), "{said}");
    assert!(desk.socket().exists(), "the file belongs to the service manager");
    assert!(control_socket(&desk.socket()).exists());
    // A daemon without a service manager replaces them, and removes its own.
    desk.start().await.stop().await;
    assert!(!desk.socket().exists());
}

#[tokio::test]
async fn client_of_a_daemon_that_cannot_start_gets_the_reason() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN");
    let options = ["--fdname=docker:control"];
    let Some(waiting) = Waiting::listen(&desk, &options).await else { return };
    let client = Client::of(&desk.socket());
    let Err(ClientError::Refused(error)) = client.status().await else { panic!("a refusal") };
    assert_eq!(error.message, "no Hetzner API token is configured");
    assert!(error.hints[0].contains("run `dockbridge init`"), "{error:?}");
    let (code, said) = waiting.ended().await;
    assert_eq!(code, Some(1), "{said}");
    if has_docker() {
        let Some(waiting) = Waiting::listen(&desk, &options).await else { return };
        let ran = desk.docker(&["ps"]).await.unwrap();
        ran.failed_with(
            "Error response from daemon: no Hetzner API token is configured; create one",
        );
        assert_eq!(waiting.ended().await.0, Some(1));
    }
}

#[tokio::test]
async fn sockets_of_other_names_and_kinds_are_refused_with_a_reason() {
    let desk = Desk::new().await;
    let Some(waiting) = Waiting::listen(&desk, &["--fdname=one:two"]).await else { return };
    drop(UnixStream::connect(desk.socket()).await.unwrap());
    let (code, said) = waiting.ended().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("passed a socket with the name `one`, which is not known"), "{said}");
    assert!(said.contains("Hint: `dockbridge service install`"), "{said}");

    let options = ["--datagram", "--fdname=docker:control"];
    let Some(waiting) = Waiting::listen(&desk, &options).await else { return };
    Sender::unbound().unwrap().send_to(b"x", desk.socket()).unwrap();
    let (code, said) = waiting.ended().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("passed `docker`, which is no listening stream socket"), "{said}");
}

#[tokio::test]
async fn socket_that_other_users_may_open_is_refused() {
    let desk = Desk::new().await;
    let options = ["--fdname=docker:control"];
    let Some(waiting) = Waiting::listen(&desk, &options).await else { return };
    let open = std::fs::Permissions::from_mode(0o622);
    std::fs::set_permissions(desk.socket(), open).unwrap();
    let Err(ClientError::Refused(error)) = Client::of(&desk.socket()).status().await else {
        panic!("a refusal")
    };
    assert!(error.message.contains("lets other users connect to it"), "{error:?}");
    assert_eq!(waiting.ended().await.0, Some(1));
}

#[tokio::test]
async fn sockets_passed_to_another_process_are_not_taken() {
    let mut desk = Desk::new().await;
    desk.set("LISTEN_PID", "1").set("LISTEN_FDS", "2").set("LISTEN_FDNAMES", "docker:control");
    desk.start().await.stop().await;
    assert!(!desk.socket().exists(), "the daemon removes its own socket");
}

/// Reads notices until this one has come.
async fn until_notice(notices: &UnixDatagram, wanted: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    while seen.last().is_none_or(|last| last != wanted) {
        let received = timeout(LONGEST, notices.recv(&mut buffer)).await;
        let count = received.unwrap_or_else(|_| panic!("no {wanted:?} after {seen:?}")).unwrap();
        seen.push(String::from_utf8(buffer[..count].to_vec()).unwrap().trim().to_owned());
    }
    seen
}

#[tokio::test]
async fn service_manager_learns_of_readiness_state_work_and_end() {
    let mut desk = Desk::new().await;
    let path = desk.path("notices");
    let notices = UnixDatagram::bind(&path).unwrap();
    desk.set("NOTIFY_SOCKET", path.to_str().unwrap()).set("WATCHDOG_USEC", "400000");
    let daemon = desk.start().await;
    let seen = until_notice(&notices, "STATUS=off").await;
    assert_eq!(seen[0], "READY=1", "{seen:?}");
    until_notice(&notices, "WATCHDOG=1").await;
    until_notice(&notices, "WATCHDOG=1").await;
    daemon.stop().await;
    until_notice(&notices, "STOPPING=1").await;
}

#[tokio::test]
async fn watchdog_of_another_process_hears_nothing() {
    let mut desk = Desk::new().await;
    let path = desk.path("notices");
    let notices = UnixDatagram::bind(&path).unwrap();
    desk.set("NOTIFY_SOCKET", path.to_str().unwrap()).set("WATCHDOG_USEC", "400000");
    desk.set("WATCHDOG_PID", "1");
    let daemon = desk.start().await;
    until_notice(&notices, "STATUS=off").await;
    daemon.stop().await;
    let seen = until_notice(&notices, "STOPPING=1").await;
    assert!(
        !seen.contains(&"WATCHDOG=1".to_owned()),
        "the watchdog is another process's: {seen:?}"
    );
}

/// Where the user's service manager finds units.
fn units(desk: &Desk) -> PathBuf {
    desk.path("user/.config/systemd/user")
}

#[tokio::test]
async fn without_a_user_manager_nothing_is_installed() {
    let desk = Desk::new().await;
    let failed = desk.dockbridge(&["service", "install"]).await;
    failed.failed(1, &["Error: no systemd user manager answers: ", "Hint: "]);
    assert!(!units(&desk).exists());
    let status = desk.dockbridge(&["service", "status"]).await;
    status.succeeded().said(&["No service of the profile default is installed"]);
    let status = desk.dockbridge(&["service", "status", "--json"]).await.succeeded().json();
    assert_eq!(status["installed"], false, "{status}");
    let removed = desk.dockbridge(&["service", "remove"]).await;
    removed.succeeded().said(&["The service dockbridge.service is not installed."]);
}

#[tokio::test]
async fn installed_service_is_respected_by_start_and_stop_and_removed_whole() {
    let desk = Desk::new().await;
    let wanted = units(&desk).join("sockets.target.wants");
    std::fs::create_dir_all(&wanted).unwrap();
    let socket = units(&desk).join("dockbridge.socket");
    std::fs::write(&socket, format!("[Socket]\nListenStream={}\n", desk.socket().display()))
        .unwrap();
    std::fs::write(units(&desk).join("dockbridge.service"), "[Service]\n").unwrap();
    std::os::unix::fs::symlink(&socket, wanted.join("dockbridge.socket")).unwrap();
    desk.dockbridge(&["start"]).await.failed(1, &["Error: `systemctl --user start "]);
    let with_host = desk.dockbridge(&["start", "--host", "a@b"]).await;
    with_host.failed(1, &["dockbridge runs as the service dockbridge.service, so --host has no"]);
    let stopped = desk.dockbridge(&["stop"]).await;
    stopped.failed(3, &["Warning: ", "no dockbridge serves"]);
    // Another socket is another daemon's.
    let elsewhere = desk.path("other.sock");
    let elsewhere = elsewhere.to_str().unwrap();
    let stopped = desk.dockbridge(&["--socket", elsewhere, "stop"]).await;
    stopped.failed(3, &["no dockbridge serves"]);
    assert!(!stopped.stderr.contains("Warning"), "{stopped}");
    let removed = desk.dockbridge(&["service", "remove"]).await;
    removed.succeeded().said(&["Removed the service dockbridge.service."]);
    assert!(removed.stderr.contains("Warning: no systemd user manager answers"), "{removed}");
    assert!(!desk.path("user/.config/systemd").exists(), "nothing is left");
    assert!(desk.path("user/.config").exists(), "what is not dockbridge's stays");
}
