//! A machine that runs and does not serve this computer: each cause has its own words, is found
//! soon, and costs no machine.

use std::time::Duration;

use rustix::process::Signal;

use super::{billed, only_server};
use crate::races::cuts::{processes_of, signal_all};
use crate::rig::{Daemon, Stage, pass_over, set_link};

/// Each cause is reported within this time.
const SAID_WITHIN: Duration = Duration::from_secs(30);
const SOON: Duration = Duration::from_secs(60);

/// A machine that is up.
async fn up() -> Option<(Stage, Daemon, u64)> {
    let stage = Stage::new().await?;
    let daemon = stage.start(&[("DOCKBRIDGE_KEEPALIVE_TIMEOUT", "30m")]).await;
    stage.docker(&["ps"]).await.succeeded();
    // Later logins see the key that the machine made itself.
    stage
        .eventually("the machine is settled", SOON, async || {
            stage.daemon_log().contains("the machine is settled")
        })
        .await;
    let server = only_server(&stage).await;
    Some((stage, daemon, server))
}

async fn says(stage: &Stage, daemon: &Daemon, server: u64, words: &[&str]) {
    let lost = async || {
        daemon.client().status().await.is_ok_and(|status| status.state != api::MachineState::Up)
    };
    stage.eventually("the loss is noticed", SAID_WITHIN, lost).await;
    let output = stage.docker(&["ps"]).await;
    for words in words {
        output.failed_with(words);
    }
    eprintln!("said after {:.1} s: {}", output.took.as_secs_f64(), output.stderr.trim());
    assert!(output.took < SAID_WITHIN, "{output}\n{}", stage.daemon_log());
    assert_eq!(
        (only_server(stage).await, billed(stage).await),
        (server, vec![server]),
        "it is kept, and nothing was bought"
    );
}

#[tokio::test]
async fn a_machine_with_a_silent_port_is_kept_and_reported_as_silent() {
    let Some((stage, daemon, server)) = up().await else { return pass_over() };
    let link = stage.link();
    set_link(&link, "down").await;
    says(
        &stage,
        &daemon,
        server,
        &["the cloud reports server", "although that of other hosts answers; the server is kept"],
    )
    .await;
    set_link(&link, "up").await;
    stage
        .eventually("it is found again", SOON, async || {
            daemon.client().status().await.is_ok_and(|now| now.state == api::MachineState::Up)
        })
        .await;
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn a_refused_login_key_is_named_and_the_machine_kept() {
    let Some((stage, daemon, server)) = up().await else { return pass_over() };
    stage.on_machine("mv /root/.ssh/authorized_keys /root/.ssh/other").await.succeeded();
    signal_all(&processes_of(server, "sshd-session"), Signal::KILL);
    let words = [
        "does not accept this computer's login key SHA256:",
        "another computer of this owner created it",
    ];
    says(&stage, &daemon, server, &words).await;
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn another_machine_at_the_address_is_named_and_the_machine_kept() {
    let Some((stage, daemon, server)) = up().await else { return pass_over() };
    let other_key = "rm /etc/ssh/ssh_host_ed25519_key* && ssh-keygen -q -t ed25519 -N '' -f \
        /etc/ssh/ssh_host_ed25519_key";
    stage.on_machine(other_key).await.succeeded();
    signal_all(&processes_of(server, "sshd"), Signal::KILL);
    says(
        &stage,
        &daemon,
        server,
        &["presents the host key SHA256:", "which is not the one it was made with"],
    )
    .await;
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn a_machine_that_accepts_and_does_not_answer_is_called_overloaded_and_kept() {
    let Some((stage, daemon, server)) = up().await else { return pass_over() };
    let services = processes_of(server, "sshd");
    signal_all(&services, Signal::STOP);
    says(
        &stage,
        &daemon,
        server,
        &["accepts connections on TCP port 22 and has not answered on them"],
    )
    .await;
    signal_all(&services, Signal::CONT);
    stage
        .eventually("it is found again", SOON, async || {
            daemon.client().status().await.is_ok_and(|now| now.state == api::MachineState::Up)
        })
        .await;
    daemon.stop().await;
    stage.close().await;
}
