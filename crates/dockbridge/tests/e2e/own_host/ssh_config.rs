//! The host from the user's `ssh_config`: aliases, identities, agents, jump hosts, URLs. With the
//! system's ssh and ssh-agent.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::host::{OwnHost, key, write_key};
use crate::rig::pass_over;

/// An `ssh_config` with these lines after those that all hosts share.
fn config(host: &OwnHost, lines: &str) -> PathBuf {
    let home = host.stage.directory.path().join("user");
    let path = home.join("ssh_config");
    let known = home.join(".ssh/known_hosts");
    let (address, identity) = (&host.address, host.identity.display());
    let common = format!(
        "Host *\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile none\nHost box\n  HostName \
         {address}\n  User root\n  IdentityFile {identity}\n  IdentityAgent none\n",
        known.display()
    );
    std::fs::write(&path, format!("{lines}{common}")).unwrap();
    path
}

/// Creates a volume through a daemon for this host, and stops the daemon.
async fn engine_of(host: &OwnHost, name: &str, config: &str) -> crate::rig::Ran {
    let socket = host.socket("by-config.sock");
    let arguments = ["--provider", "ssh", "--host", name, "--ssh-config", config];
    let daemon = host.stage.start_with(&socket, &arguments, &[]).await;
    let ran = host.stage.docker_at(&socket, &["volume", "create", "by-config"], "").await;
    daemon.stop().await;
    ran
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_jump_hosts_agents_and_urls_are_read_as_by_ssh() {
    let Some(host) = OwnHost::new().await else { return pass_over() };
    let (address, directory) = (host.address.clone(), host.stage.directory.path().to_owned());
    let agent = directory.join("agent.sock");
    let mut process = Command::new("ssh-agent");
    let _agent = process
        .args(["-D", "-a"])
        .arg(&agent)
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let added = async || {
        let mut add = Command::new("ssh-add");
        add.arg("-q")
            .arg(&host.identity)
            .env("SSH_AUTH_SOCK", &agent)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        add.status().await.is_ok_and(|status| status.success())
    };
    host.stage.eventually("the agent has the key", Duration::from_secs(20), added).await;
    let stranger = write_key(&directory.join("stranger"), &key("stranger"));
    let lines = format!(
        "Host behind\n  HostName 127.0.0.1\n  HostKeyAlias {address}\n  ProxyJump box\n  User \
         root\n  IdentityFile {identity}\n\
         Host by-agent\n  HostName {address}\n  User root\n  IdentityAgent {agent}\n  IdentityFile \
         {stranger}\n\
         Host nobody\n  HostName {address}\n  User root\n  IdentityAgent none\n  IdentityFile \
         {stranger}\n\
         Host lost\n  HostName {address}\n  User root\n  ProxyCommand echo no route to %h >&2; \
         exit 3\n  IdentityFile {identity}\n\
         Host {address}\n  IdentityFile {identity}\n",
        identity = host.identity.display(),
        agent = agent.display(),
        stranger = stranger.display(),
    );
    let config = config(&host, &lines);
    let config = config.to_str().unwrap();
    for name in [
        "box",
        "behind",
        "by-agent",
        &format!("ssh://root@{address}:22"),
        &format!("root@{address}"),
    ] {
        let ran = engine_of(&host, name, config).await;
        assert_eq!(ran.succeeded().stdout, "by-config\n", "{name}: {ran}");
    }
    let refused = engine_of(&host, "nobody", config).await;
    refused
        .failed_with("accepts none of the keys of this computer")
        .failed_with("stranger is not accepted")
        .failed_with("--identity");
    let lost = engine_of(&host, "lost", config).await;
    lost.failed_with(&format!("no route to {address}"))
        .failed_with("the same command by hand shows more");

    let socket = host.socket("bad.sock");
    let mut bad = host.stage.command(env!("CARGO_BIN_EXE_dockbridge"));
    bad.args(["start", "--provider", "ssh", "--host=-oProxyCommand=touch x", "--socket"])
        .arg(&socket);
    crate::rig::run(bad, "").await.failed_with("is not a host");
    host.close().await;
}
