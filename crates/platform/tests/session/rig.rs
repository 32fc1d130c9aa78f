//! A private message bus, with a simulated logind on it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// The longest wait for anything, in a test that is going to pass.
pub const LONGEST: Duration = Duration::from_secs(60);

const LOGIN: &str = "org.freedesktop.login1";
const ROOT: &str = "/org/freedesktop/login1";
/// Debian's Python finds Debian's packages, even if another Python comes first in PATH.
const PYTHON: &str = "/usr/bin/python3";

pub struct Bus {
    address: String,
    _daemon: Child,
    mock: Option<Child>,
}

fn pass_over<T>(why: &str) -> Option<T> {
    testkit::passed_over!("needs {why}");
    None
}

impl Bus {
    /// `None` where there is no dbus-daemon.
    pub async fn start() -> Option<Self> {
        if !["/usr/bin/dbus-daemon", "/usr/bin/gdbus"].iter().all(|tool| Path::new(tool).exists()) {
            return pass_over("dbus-daemon and gdbus");
        }
        let mut command = Command::new("dbus-daemon");
        command
            .args(["--session", "--nofork", "--print-address=1"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut daemon = command.spawn().unwrap();
        let address = BufReader::new(daemon.stdout.take().unwrap())
            .lines()
            .next_line()
            .await
            .unwrap()
            .unwrap();
        Some(Self { address, _daemon: daemon, mock: None })
    }

    /// `None` where there is no python-dbusmock.
    pub async fn with_logind() -> Option<Self> {
        let mut bus = Self::start().await?;
        // Host programs: /usr/lib/python3/dist-packages/dbusmock
        let has_mock = std::process::Command::new(PYTHON)
            .args(["-c", "import dbusmock"])
            .stderr(Stdio::null())
            .status();
        if !has_mock.is_ok_and(|status| status.success()) {
            return pass_over("python3-dbusmock");
        }
        let mut command = Command::new(PYTHON);
        command
            .args(["-m", "dbusmock", "--system", "--template", "logind"])
            .env("DBUS_SYSTEM_BUS_ADDRESS", &bus.address);
        bus.mock = Some(
            command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn().unwrap(),
        );
        let begun = Instant::now();
        while bus.call(ROOT, "org.freedesktop.DBus.Peer.Ping", &[]).await.is_none() {
            assert!(begun.elapsed() < LONGEST, "the simulated logind does not answer");
            sleep(Duration::from_millis(50)).await;
        }
        Some(bus)
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    async fn gdbus(&self, arguments: &[&str]) -> Option<String> {
        let mut command = Command::new("gdbus");
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.address).args(arguments);
        let output = command.output().await.unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    async fn call(&self, path: &str, method: &str, arguments: &[&str]) -> Option<String> {
        let call =
            ["call", "--session", "--dest", LOGIN, "--object-path", path, "--method", method];
        self.gdbus(&[&call, arguments].concat()).await
    }

    /// Adds a session of a user and returns its path.
    pub async fn session(&self, id: &str, user: u32) -> String {
        let user = user.to_string();
        let added = self
            .call(
                ROOT,
                "org.freedesktop.DBus.Mock.AddSession",
                &[id, "seat0", &user, "somebody", "true"],
            )
            .await;
        assert!(added.is_some(), "session {id} is added");
        format!("{ROOT}/session/{id}")
    }

    pub async fn call_session(
        &self,
        session: &str,
        method: &str,
        _signature: &str,
        arguments: &[&str],
    ) {
        let called = self.call(session, &format!("{LOGIN}.Session.{method}"), arguments).await;
        assert!(called.is_some(), "{method} of {session}");
    }

    /// Sends a signal of logind's manager.
    pub async fn emit(&self, name: &str, signature: &str, arguments: &[&str]) {
        let values = match signature {
            "b" => format!("[<{}>]", arguments[0]),
            _ => format!("[<'{}'>, <objectpath '{}'>]", arguments[0], arguments[1]),
        };
        let emitted = self
            .call(
                ROOT,
                "org.freedesktop.DBus.Mock.EmitSignal",
                &["org.freedesktop.login1.Manager", name, signature, &values],
            )
            .await;
        assert!(emitted.is_some(), "{name}");
    }

    /// Sends any signal.
    pub async fn signal(&self, path: &str, name: &str, argument: &str) {
        let sent = self
            .gdbus(&["emit", "--session", "--object-path", path, "--signal", name, argument])
            .await;
        assert!(sent.is_some(), "{name}");
    }

    pub async fn until_inhibitors_are(&self, count: usize) {
        let begun = Instant::now();
        loop {
            let listed = self
                .call(ROOT, "org.freedesktop.login1.Manager.ListInhibitors", &[])
                .await
                .unwrap_or_default();
            if listed.matches("'dockbridge'").count() == count {
                return;
            }
            assert!(begun.elapsed() < LONGEST, "{count} inhibitors, but: {listed}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}
