//! Notices on the user's desktop: a private message bus with a desktop that listens.

use std::time::Duration;

use crate::bus::Bus;
use crate::listener::Listener;
use crate::rig::{Daemon, Desk};

const LONGEST: Duration = Duration::from_secs(60);

/// A daemon of a profile whose machine never answers, and a command that waits for it.
async fn waiting(desk: &Desk, profile: &str, notices: &str) -> (Daemon, tokio::process::Child) {
    let socket = desk.path(&format!("home/run/{profile}/docker.sock"));
    let mut start = desk.command(env!("CARGO_BIN_EXE_dockbridge"));
    start.args(["--profile", profile, "start"]).env("DOCKBRIDGE_DESKTOP_NOTICES", notices);
    let client = api::client::Client::of(&socket);
    let is_ready = async || client.status().await.is_ok();
    let daemon = Daemon::start(start, &desk.path(&format!("{profile}.log")), is_ready).await;
    let mut wake = desk.command(env!("CARGO_BIN_EXE_dockbridge"));
    wake.args(["--profile", profile, "wake"]).stdout(std::process::Stdio::null());
    let wake = wake.spawn().unwrap();
    let is_waking =
        async || client.status().await.is_ok_and(|it| it.state == api::MachineState::Waking);
    testkit::eventually("the wait has begun", LONGEST, is_waking, async || daemon.output()).await;
    (daemon, wake)
}

#[tokio::test]
async fn long_wait_is_shown_on_the_desktop_unless_the_settings_say_no() {
    let Some(bus) = Bus::start().await else { return };
    let mut listener = Listener::at(bus.address()).await;
    let mut desk = Desk::new().await;
    desk.set("DBUS_SESSION_BUS_ADDRESS", bus.address());
    // The first wait is the quiet one: its notice would come first.
    let quiet = waiting(&desk, "quiet", "false").await;
    let loud = waiting(&desk, "loud", "true").await;
    let got = listener.next(LONGEST).await;
    assert_eq!(got.summary, "dockbridge (profile loud): a command waits for its machine");
    assert!(got.body.len() > 5 && got.body.ends_with('.'), "it says which stage runs: {got:?}");
    for (daemon, mut wake) in [quiet, loud] {
        wake.kill().await.unwrap();
        daemon.kill().await;
    }
}

#[tokio::test]
async fn without_a_message_bus_the_log_says_so() {
    let mut desk = Desk::new().await;
    desk.set("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    let (daemon, mut wake) = waiting(&desk, "m", "true").await;
    let log = || daemon.output();
    let is_said = async || log().contains("notices are not shown");
    testkit::eventually("the log has the reason", LONGEST, is_said, async || log()).await;
    wake.kill().await.unwrap();
    daemon.kill().await;
}
