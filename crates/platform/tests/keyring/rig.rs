//! GNOME Keyring on a private bus, with an unlocked collection.

use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::bus::{Bus, LONGEST};

const SERVICE: &str = "org.freedesktop.secrets";
const ROOT: &str = "/org/freedesktop/secrets";
/// `--unlock` makes it, and it is the default one.
const COLLECTION: &str = "/org/freedesktop/secrets/collection/login";

pub struct GnomeKeyring {
    bus: Bus,
    _daemon: Child,
    _directory: TempDir,
}

impl GnomeKeyring {
    /// `None` where the programs are missing.
    pub async fn unlocked() -> Option<Self> {
        let bus = Bus::start().await?;
        if !["/usr/bin/gnome-keyring-daemon", "/usr/bin/secret-tool"]
            .iter()
            .all(|tool| Path::new(tool).exists())
        {
            testkit::passed_over!("needs gnome-keyring-daemon and secret-tool");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new("gnome-keyring-daemon");
        command
            .args(["--foreground", "--components=secrets", "--unlock"])
            .env("DBUS_SESSION_BUS_ADDRESS", bus.address())
            .env("HOME", directory.path())
            .env("XDG_DATA_HOME", directory.path())
            .env("XDG_RUNTIME_DIR", directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut daemon = command.spawn().unwrap();
        // The password of the collection; the end of the input ends it.
        daemon.stdin.take().unwrap().write_all(b"password").await.unwrap();
        let keyring = Self { bus, _daemon: daemon, _directory: directory };
        let begun = Instant::now();
        while !keyring.has_default_collection().await {
            assert!(begun.elapsed() < LONGEST, "GNOME Keyring does not answer");
            sleep(std::time::Duration::from_millis(50)).await;
        }
        Some(keyring)
    }

    pub fn address(&self) -> &str {
        self.bus.address()
    }

    async fn has_default_collection(&self) -> bool {
        let named = self
            .gdbus(
                "org.freedesktop.DBus",
                "/org/freedesktop/DBus",
                "org.freedesktop.DBus.NameHasOwner",
                SERVICE,
            )
            .await;
        // Any other call would have the bus start another one.
        named.is_some_and(|answer| answer.contains("true"))
            && self
                .gdbus(SERVICE, ROOT, "org.freedesktop.Secret.Service.ReadAlias", "default")
                .await
                .is_some_and(|answer| answer.contains(COLLECTION))
    }

    /// Locks the collection.
    pub async fn lock(&self) {
        let collection = format!("['{COLLECTION}']");
        let locked = self
            .gdbus(SERVICE, ROOT, "org.freedesktop.Secret.Service.Lock", &collection)
            .await
            .expect("it locks");
        assert!(locked.contains(COLLECTION), "{locked}");
    }

    /// A secret, as another program reads it.
    pub async fn lookup(&self, attributes: &[(&str, &str)]) -> Option<String> {
        let mut command = Command::new("secret-tool");
        command.env("DBUS_SESSION_BUS_ADDRESS", self.address()).arg("lookup");
        for (name, value) in attributes {
            command.args([name, value]);
        }
        let output = command.output().await.unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    async fn gdbus(&self, to: &str, path: &str, method: &str, argument: &str) -> Option<String> {
        let mut command = Command::new("gdbus");
        command
            .env("DBUS_SESSION_BUS_ADDRESS", self.address())
            .args(["call", "--session", "--dest", to, "--object-path", path])
            .args(["--method", method, argument]);
        let output = command.output().await.unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }
}
