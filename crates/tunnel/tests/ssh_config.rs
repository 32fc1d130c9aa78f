//! Hosts as users configure them: known_hosts in any order and of any kind, several keys, agents,
//! jump hosts. With the system's sshd, ssh and ssh-agent.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests count as tests")]

mod rig;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dockbridge_tunnel::{ConnectError, HostKeys, Identity, Options, Transport, Tunnel};
use rig::{Sshd, connect, eventually, generate, soon, write};
use russh::keys::PrivateKey;

/// Generates a key with OpenSSH; `None`, with the reason printed, where that fails.
fn keygen(path: &Path, kind: &str, passphrase: &str) -> Option<String> {
    let mut command = Command::new("ssh-keygen");
    let made = command
        .args(["-q", "-t", kind, "-N", passphrase, "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        testkit::passed_over!("ssh-keygen makes no {kind} key here");
        return None;
    }
    Some(std::fs::read_to_string(path.with_extension("pub")).unwrap().trim().to_owned())
}

async fn refused(options: &Options) -> String {
    soon("refusal", Tunnel::connect(options.clone())).await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_checkable_key_is_found_after_an_rsa_line_in_known_hosts() {
    // The host offers its RSA key as well, with the signature that dockbridge does not check.
    let keys = tempfile::tempdir().unwrap();
    let path = keys.path().join("rsa");
    let Some(rsa) = keygen(&path, "rsa", "") else { return };
    let offers = format!("HostKey {}\nHostKeyAlgorithms +ssh-rsa\n", path.display());
    let Some(sshd) = Sshd::start_with(&offers).await else { return };
    let (name, file) = (format!("[127.0.0.1]:{}", sshd.port), sshd.path("known_hosts"));
    let ed25519 = sshd.host_key.public_key().to_openssh().unwrap();
    let options = Options {
        host_keys: HostKeys::KnownHostsOf { alias: None, files: vec![file.clone()] },
        ..sshd.options()
    };

    write(&file, &format!("{name} {rsa}\n{name} {ed25519}\n"), 0o600);
    connect(options.clone()).await.close().await;
    write(&file, &format!("{name} {rsa}\n"), 0o600);
    let message = refused(&options).await;
    for part in [
        "only its ssh-rsa key",
        "ssh -o HostKeyAlgorithms=ssh-ed25519",
        &format!("-p {} root@127.0.0.1", sshd.port),
    ] {
        assert!(message.contains(part), "{message}");
    }
    // The key under another name, in the second file.
    let other = sshd.path("other");
    write(&other, &format!("name {ed25519}\n"), 0o600);
    let files = vec![file, sshd.path("missing"), other];
    let by_name = HostKeys::KnownHostsOf { alias: Some("name".to_owned()), files: files.clone() };
    connect(Options { host_keys: by_name, ..options.clone() }).await.close().await;
    let by_address = HostKeys::KnownHostsOf { alias: None, files };
    assert!(
        refused(&Options { host_keys: by_address, ..options })
            .await
            .contains("only its ssh-rsa key")
    );
}

#[tokio::test]
async fn a_host_without_a_known_kind_of_key_is_refused_with_a_hint() {
    let Some(sshd) = Sshd::start().await else { return };
    let Some(ecdsa) = keygen(&sshd.path("ecdsa"), "ecdsa", "") else { return };
    let file = sshd.path("known_hosts");
    write(&file, &format!("[127.0.0.1]:{} {ecdsa}\n", sshd.port), 0o600);
    let message =
        refused(&Options { host_keys: HostKeys::KnownHosts(file), ..sshd.options() }).await;
    assert!(
        message.contains("only its ecdsa-sha2-nistp256 key is known, and it offers ssh-ed25519"),
        "{message}"
    );
    assert!(message.contains("that adds the missing line"), "{message}");
}

/// An agent with one key.
struct Agent {
    child: std::process::Child,
    socket: PathBuf,
}

impl Agent {
    async fn with(sshd: &Sshd, key: &Path) -> Self {
        let socket = sshd.path("agent.sock");
        let child = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the agent takes the key", async || {
            let mut add = Command::new("ssh-add");
            let added = add
                .arg("-q")
                .arg(key)
                .env("SSH_AUTH_SOCK", &socket)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            if added.status.success() {
                Ok(())
            } else {
                Err(String::from_utf8_lossy(&added.stderr).into_owned())
            }
        })
        .await;
        Self { child, socket }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn offered(files: &[PathBuf], agent: Option<&Agent>, only_files: bool) -> Identity {
    Identity::Offered {
        files: files.to_vec(),
        agent: agent.map(|agent| agent.socket.clone()),
        only_files,
    }
}

fn write_key(path: &Path, key: &PrivateKey) {
    write(path, &key.to_openssh(Default::default()).unwrap(), 0o600);
    write(&path.with_extension("pub"), &key.public_key().to_openssh().unwrap(), 0o644);
}

#[tokio::test]
async fn keys_of_files_and_agents_are_offered_until_one_is_accepted() {
    let Some(sshd) = Sshd::start().await else { return };
    let (good, stranger) = (sshd.path("key"), sshd.path("stranger"));
    write_key(&stranger, &generate());
    let with = |identity| Options { identity, ..sshd.options() };
    let missing = sshd.path("missing");
    connect(with(offered(&[missing.clone(), stranger.clone(), good.clone()], None, false)))
        .await
        .close()
        .await;

    let agent = Agent::with(&sshd, &good).await;
    connect(with(offered(std::slice::from_ref(&missing), Some(&agent), false))).await.close().await;
    let message =
        refused(&with(offered(std::slice::from_ref(&stranger), Some(&agent), true))).await;
    assert!(
        message.contains("stranger is not accepted") && !message.contains("agent"),
        "only the files' keys: {message}"
    );
    // A public half alone names a key that only the agent has.
    let public = sshd.path("only.pub");
    write(&public, &sshd.key.public_key().to_openssh().unwrap(), 0o644);
    connect(with(offered(&[public], Some(&agent), true))).await.close().await;
}

#[tokio::test]
async fn unusable_keys_are_named_with_a_hint() {
    let Some(sshd) = Sshd::start().await else { return };
    let (rsa, locked) = (sshd.path("id_rsa"), sshd.path("id_locked"));
    if keygen(&rsa, "rsa", "").is_none() || keygen(&locked, "ed25519", "secret words").is_none() {
        return;
    }
    let with =
        |files: &[PathBuf]| Options { identity: offered(files, None, false), ..sshd.options() };
    let message = refused(&with(&[rsa.clone(), locked.clone()])).await;
    for part in [
        "id_rsa (ssh-rsa) is an RSA key",
        "ssh-keygen -t ed25519",
        "ssh-copy-id",
        "id_locked is locked by a passphrase: `ssh-add`",
    ] {
        assert!(message.contains(part), "{part:?} is missing: {message}");
    }
    let message = refused(&with(&[sshd.path("missing")])).await;
    assert!(message.contains("there is none: `ssh-keygen -t ed25519` makes one"), "{message}");
    let dead = Identity::Offered {
        files: vec![],
        agent: Some(sshd.path("nowhere.sock")),
        only_files: false,
    };
    let message = refused(&Options { identity: dead, ..sshd.options() }).await;
    assert!(message.contains("nowhere.sock does not answer"), "{message}");
    connect(with(&[rsa, locked, sshd.path("key")])).await.close().await;
}

#[tokio::test]
async fn a_host_is_reached_through_a_jump_host() {
    let (Some(sshd), Some(jump)) = (Sshd::start().await, Sshd::start().await) else { return };
    let known = jump.path("known");
    write(
        &known,
        &format!(
            "[127.0.0.1]:{} {}\n",
            jump.port,
            jump.host_key.public_key().to_openssh().unwrap()
        ),
        0o600,
    );
    let by = |key: &str| {
        let options = ["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i"]
            .map(str::to_owned);
        let mut words = vec!["ssh".to_owned()];
        words.extend(options);
        words.extend([
            jump.path(key).display().to_string(),
            "-o".to_owned(),
            format!("UserKnownHostsFile={}", known.display()),
        ]);
        words.extend([
            "-W".to_owned(),
            format!("[127.0.0.1]:{}", sshd.port),
            format!("ssh://root@127.0.0.1:{}", jump.port),
        ]);
        Options { transport: Transport::Command(words), ..sshd.options_with_agent() }
    };
    let tunnel = connect(by("key")).await;
    let output = soon("an answer", tunnel.exec("echo $SSH_CONNECTION", b"")).await.unwrap();
    assert!(output.success(), "{output:?}");
    tunnel.close().await;

    let error = soon("refusal", Tunnel::connect(by("nothing"))).await.unwrap_err();
    assert!(
        matches!(
            &error,
            ConnectError::TransportFailed { message, .. } if message.contains("Permission denied")
        ),
        "{error}"
    );
    let missing = Options {
        transport: Transport::Command(vec!["/nowhere/ssh".to_owned()]),
        ..sshd.options()
    };
    assert!(
        refused(&missing).await.contains("`/nowhere/ssh` failed: No such file"),
        "a missing program is named"
    );
}
