//! Authentication of the host and of the login.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod rig;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dockbridge_tunnel::{
    AgentState, Agents, Class, ConnectError, Destination, EmbeddedAgent, Fingerprint, HostKeys,
    Identity, Options, Pins, Tunnel,
};
use rig::{Peer, Sshd, connect, docker, eventually, generate, soon, write};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn a_pinned_host_key_is_accepted_and_any_other_refused() {
    let Some(sshd) = Sshd::start().await else { return };
    let presented = Fingerprint::of(sshd.host_key.public_key());
    let other = Fingerprint::of(generate().public_key());

    let mut options = sshd.options();
    options.host_keys = HostKeys::Pinned(vec![other, presented].into());
    connect(options.clone()).await.close().await;

    options.host_keys = HostKeys::Pinned(vec![other].into());
    let error = soon("refusal", Tunnel::connect(options.clone())).await.unwrap_err();
    assert!(
        matches!(
            &error,
            ConnectError::HostKeyRefused { presented: shown, .. } if *shown == presented
        ),
        "{error:?}"
    );

    options.host_keys = HostKeys::Pinned(Vec::new().into());
    let error = soon("refusal", Tunnel::connect(options)).await.unwrap_err();
    assert!(
        matches!(error, ConnectError::HostKeyRefused { .. }),
        "an empty list trusts no key: {error:?}"
    );
}

#[tokio::test]
async fn without_a_known_key_only_the_first_one_is_trusted() {
    let Some(sshd) = Sshd::start().await else { return };
    let seen = Pins::default();
    let mut options = sshd.options();
    options.host_keys = HostKeys::FirstSeen(seen.clone());
    connect(options.clone()).await.close().await;
    connect(options.clone()).await.close().await;
    sshd.change_host_key().await;
    let error = soon("refusal", Tunnel::connect(options.clone())).await.unwrap_err();
    assert!(
        matches!(
            &error,
            ConnectError::HostKeyRefused { reason, .. } if reason.contains("presented first")
        ),
        "{error:?}"
    );
    options.host_keys = HostKeys::FirstSeen(Pins::default());
    connect(options).await.close().await;
}

fn agent_of_this_host() -> Vec<u8> {
    let agent =
        std::fs::read_dir(rig::agent_directory()).unwrap().flatten().map(|entry| entry.path());
    let of_this_host = format!("dockbridge-agent-{}", rig::arch());
    let is_agent = |path: &std::path::PathBuf| {
        path.ends_with(&of_this_host) || path.ends_with("dockbridge-agent")
    };
    std::fs::read(agent.into_iter().find(is_agent).unwrap()).unwrap()
}

#[tokio::test]
async fn an_embedded_agent_is_unpacked_and_uploaded() {
    let Some(sshd) = Sshd::start().await else { return };
    let binary = agent_of_this_host();
    let compressed = zstd::encode_all(&binary[..], 1).unwrap().leak();
    let embedded =
        |arch, compressed| Agents::Embedded(vec![EmbeddedAgent { arch, compressed }].leak());
    let mut options = sshd.options_with_agent();
    options.agent.as_mut().unwrap().binaries = embedded(rig::arch(), &*compressed);
    let tunnel = connect(options.clone()).await;
    assert_eq!(tunnel.agent(), AgentState::Running { resident: false });
    let sent = sshd.path("remote").join(dockbridge_tunnel::installed_agent(&binary));
    assert!(std::fs::read(sent).unwrap() == binary, "the upload is the unpacked binary");
    tunnel.close().await;

    options.agent.as_mut().unwrap().binaries = embedded("another", &*compressed);
    let tunnel = soon("connect", Tunnel::connect(options)).await.unwrap();
    let why = tunnel.agent();
    assert!(
        matches!(&why, AgentState::Absent { reason } if reason.contains("no agent for Linux")),
        "{why:?}"
    );
    tunnel.close().await;
}

/// An image may contain the agent. It is started from there if it equals the one to be uploaded,
/// whatever its name says.
#[tokio::test]
async fn an_installed_agent_is_used_instead_of_an_upload_only_if_equal() {
    let Some(sshd) = Sshd::start().await else { return };
    let binary = agent_of_this_host();
    let (image, sent) = (sshd.path("image"), sshd.path("remote"));
    std::fs::create_dir(&image).unwrap();
    let installed = image.join(dockbridge_tunnel::installed_agent(&binary));
    let mut options = sshd.options_with_agent();
    options.agent.as_mut().unwrap().installed = Some(image.display().to_string());
    for (content, from_image) in [(&b"#!/bin/sh\necho not the agent"[..], false), (&binary, true)] {
        std::fs::write(&installed, content).unwrap();
        std::fs::set_permissions(&installed, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let tunnel = connect(options.clone()).await;
        assert_eq!(tunnel.agent(), AgentState::Running { resident: false }, "{from_image}");
        let was_sent = std::fs::read_dir(&sent).is_ok_and(|mut entries| entries.next().is_some());
        assert_eq!(was_sent, !from_image);
        tunnel.close().await;
        std::fs::remove_dir_all(&sent).ok();
    }
}

/// More than any window in both directions at once, and the exit status.
#[tokio::test]
async fn a_command_has_streams_for_input_and_output_and_an_exit_status() {
    let Some(sshd) = Sshd::start().await else { return };
    let tunnel = connect(sshd.options()).await;
    let mut process = tunnel.start("tr a b; echo last words >&2; exit 7").await.unwrap();
    let mut input = process.take_input();
    let feeding = tokio::spawn(async move {
        input.write_all(&vec![b'a'; 40 << 20]).await.unwrap();
        input.shutdown().await.unwrap();
    });
    let mut output = Vec::new();
    soon("all of it", process.read_to_end(&mut output)).await.unwrap();
    feeding.await.unwrap();
    assert!(output.len() == 40 << 20 && output.iter().all(|byte| *byte == b'b'));
    let end = soon("the end", process.ended()).await;
    assert_eq!((end.status, end.stderr.as_str()), (Some(7), "last words"));
    tunnel.close().await;
}

#[tokio::test]
async fn a_reader_of_a_command_gets_an_error_when_the_path_is_lost() {
    let Some(sshd) = Sshd::start().await else { return };
    let tunnel = connect(sshd.options()).await;
    let mut process = tunnel.start("echo up; sleep 1000").await.unwrap();
    let mut up = [0; 3];
    soon("first output", process.read_exact(&mut up)).await.unwrap();
    let reading = tokio::spawn(async move { process.read(&mut up).await });
    // The reader waits by now, or finds the end when it starts; both have to report it.
    tokio::task::yield_now().await;
    tunnel.close().await;
    let heard = soon("the end", reading).await.unwrap();
    assert!(heard.is_err(), "{heard:?}");
}

/// Plain channels and big transfers have connections of their own, which are made long after the
/// first.
#[tokio::test]
async fn a_tunnel_connects_again_after_a_host_key_change_that_it_trusts() {
    let Some(sshd) = Sshd::start().await else { return };
    let _docker = docker(&sshd, Peer::Echo);
    let tunnel = connect(sshd.options()).await;
    let next = sshd.change_host_key().await;
    let open = || soon("an answer", tunnel.open(Destination::Docker, Class::Interactive));
    let error = open().await.unwrap_err();
    assert!(error.to_string().contains("not the key that this machine was given"), "{error}");
    tunnel.trust_also(next);
    // A login that began before may still be in progress.
    let mut stream =
        eventually("a connection", || async { open().await.map_err(|error| error.to_string()) })
            .await;
    tunnel.trust_only(Fingerprint::of(generate().public_key()));
    soon("write", stream.write_all(b"word")).await.unwrap();
    soon("read", stream.read_exact(&mut [0; 4])).await.unwrap();
    tunnel.close().await;
}

/// One connection is kept ready ahead of need; where none can be made, there are no endless
/// attempts.
#[tokio::test]
async fn a_host_that_refuses_every_login_is_not_tried_endlessly() {
    let Some(sshd) = Sshd::start().await else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = sshd.options();
    let to = (
        "127.0.0.1",
        std::mem::replace(&mut options.endpoint.port, listener.local_addr().unwrap().port()),
    );
    let asked = Arc::new(AtomicUsize::new(0));
    let door = tokio::spawn({
        let asked = asked.clone();
        async move {
            let mut first = true;
            while let Ok((mut client, _)) = listener.accept().await {
                asked.fetch_add(1, Ordering::Relaxed);
                if std::mem::take(&mut first) {
                    let mut host = TcpStream::connect(to).await.unwrap();
                    tokio::spawn(async move { copy_bidirectional(&mut client, &mut host).await });
                }
            }
        }
    });
    let tunnel = connect(options).await;
    for _ in 0..3 {
        soon("an answer", tunnel.open(Destination::Docker, Class::Interactive)).await.unwrap_err();
    }
    // There is no event to wait for: endless attempts would happen at once and many times.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let asked = asked.load(Ordering::Relaxed);
    assert!(
        (2..=8).contains(&asked),
        "{asked} connections for the login, three streams and a few ahead"
    );
    tunnel.close().await;
    door.abort();
}

#[tokio::test]
async fn known_hosts_are_trusted_by_name_and_no_host_on_first_use() {
    let Some(sshd) = Sshd::start().await else { return };
    let file = sshd.path("known_hosts");
    let mut options = sshd.options();
    options.host_keys = HostKeys::KnownHosts(file.clone());
    let refused = async |options| match soon("refusal", Tunnel::connect(options)).await {
        Err(ConnectError::HostKeyRefused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };

    assert!(
        refused(options.clone()).await.contains("not among the known hosts"),
        "before the first login there is no file"
    );
    let directory = Options {
        host_keys: HostKeys::KnownHosts(file.parent().unwrap().to_owned()),
        ..options.clone()
    };
    assert!(refused(directory).await.contains("cannot be read"));
    write(&file, "", 0o600);
    assert!(refused(options.clone()).await.contains("not among the known hosts"));
    write(
        &file,
        &format!("[127.0.0.1]:{} {}\n", sshd.port, generate().public_key().to_openssh().unwrap()),
        0o600,
    );
    assert!(refused(options.clone()).await.contains("another key is known"));
    write(
        &file,
        &format!(
            "[127.0.0.1]:{} {}\n",
            sshd.port,
            sshd.host_key.public_key().to_openssh().unwrap()
        ),
        0o600,
    );
    connect(options.clone()).await.close().await;
    let hashed = std::process::Command::new("ssh-keygen").arg("-H").arg("-f").arg(&file).output();
    if hashed.is_ok_and(|hashed| hashed.status.success()) {
        assert!(std::fs::read_to_string(&file).unwrap().starts_with("|1|"));
        connect(options).await.close().await;
    }
}

#[tokio::test]
async fn a_key_unknown_to_the_host_is_refused_and_named() {
    let Some(sshd) = Sshd::start().await else { return };
    let mut options = sshd.options();
    let stranger = generate();
    let fingerprint = Fingerprint::of(stranger.public_key());
    options.identity = Identity::Key(stranger.into());
    let error = soon("refusal", Tunnel::connect(options)).await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::LoginRefused { key, .. } if *key == fingerprint),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_key_file_works_and_a_bad_one_is_named() {
    let Some(sshd) = Sshd::start().await else { return };
    let mut options = sshd.options();
    options.identity = Identity::File(sshd.path("key"));
    connect(options.clone()).await.close().await;

    for bad in ["absent", "sshd_config"] {
        options.identity = Identity::File(sshd.path(bad));
        let error = soon("refusal", Tunnel::connect(options.clone())).await.unwrap_err();
        assert!(
            matches!(&error, ConnectError::Identity { path, .. } if path.ends_with(bad)),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_closed_port_is_unreachable() {
    let Some(sshd) = Sshd::start().await else { return };
    let mut options = sshd.options();
    drop(sshd);
    options.identity = Identity::Key(generate().into());
    let error = soon("refusal", Tunnel::connect(options)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_command_returns_its_status_and_both_outputs() {
    let Some(sshd) = Sshd::start().await else { return };
    for (route, options) in sshd.with_and_without_agent() {
        let tunnel = connect(options).await;
        let output =
            soon("exec", tunnel.exec("cat; echo oops >&2; exit 7", b"input")).await.unwrap();
        assert_eq!(
            (output.status, &output.stdout[..], &output.stderr[..]),
            (Some(7), &b"input"[..], &b"oops\n"[..]),
            "{route}"
        );
        let large = vec![b'x'; 3_000_000];
        let output = soon("exec", tunnel.exec("cat", &large)).await.unwrap();
        assert!(
            output.success() && output.stdout == large,
            "{route}: {} bytes",
            output.stdout.len()
        );
        let output = soon("exec", tunnel.exec("kill -9 $$", b"")).await.unwrap();
        assert_eq!(output.status, None, "{route}");
        tunnel.close().await;
    }
}
