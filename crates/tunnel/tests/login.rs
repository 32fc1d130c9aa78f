//! Who is let in, on both sides.

mod rig;

use rig::{Sshd, connect, generate, soon, write};
use tunnel::{ConnectError, Fingerprint, HostKeys, Identity, Options, Tunnel};

#[tokio::test]
async fn a_pinned_host_key_is_accepted_and_any_other_refused() {
    let Some(sshd) = Sshd::start().await else { return };
    let presented = Fingerprint::of(sshd.host_key.public_key());
    let other = Fingerprint::of(generate().public_key());

    let mut options = sshd.options();
    options.host_keys = HostKeys::Pinned(vec![other, presented]);
    connect(options.clone()).await.close().await;

    options.host_keys = HostKeys::Pinned(vec![other]);
    let error = soon("refusal", Tunnel::connect(options.clone())).await.unwrap_err();
    assert!(matches!(&error, ConnectError::HostKeyRefused { presented: shown, .. } if *shown == presented), "{error:?}");

    options.host_keys = HostKeys::Pinned(Vec::new());
    let error = soon("refusal", Tunnel::connect(options)).await.unwrap_err();
    assert!(matches!(error, ConnectError::HostKeyRefused { .. }), "an empty list trusts nobody: {error:?}");
}

#[tokio::test]
async fn known_hosts_are_trusted_by_name_and_nobody_on_first_use() {
    let Some(sshd) = Sshd::start().await else { return };
    let file = sshd.path("known_hosts");
    let mut options = sshd.options();
    options.host_keys = HostKeys::KnownHosts(file.clone());
    let refused = async |options| match soon("refusal", Tunnel::connect(options)).await {
        Err(ConnectError::HostKeyRefused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };

    assert!(refused(options.clone()).await.contains("not among the known hosts"), "before the first login there is no file");
    let folder = Options { host_keys: HostKeys::KnownHosts(file.parent().unwrap().to_owned()), ..options.clone() };
    assert!(refused(folder).await.contains("cannot be read"));
    write(&file, "", 0o600);
    assert!(refused(options.clone()).await.contains("not among the known hosts"));
    write(&file, &format!("[127.0.0.1]:{} {}\n", sshd.port, generate().public_key().to_openssh().unwrap()), 0o600);
    assert!(refused(options.clone()).await.contains("another key is known"));
    write(&file, &format!("[127.0.0.1]:{} {}\n", sshd.port, sshd.host_key.public_key().to_openssh().unwrap()), 0o600);
    connect(options.clone()).await.close().await;
    let hashed = std::process::Command::new("ssh-keygen").arg("-H").arg("-f").arg(&file).output();
    if hashed.is_ok_and(|hashed| hashed.status.success()) {
        assert!(std::fs::read_to_string(&file).unwrap().starts_with("|1|"));
        connect(options).await.close().await;
    }
}

#[tokio::test]
async fn a_key_that_the_host_does_not_know_is_refused_and_named() {
    let Some(sshd) = Sshd::start().await else { return };
    let mut options = sshd.options();
    let stranger = generate();
    let fingerprint = Fingerprint::of(stranger.public_key());
    options.identity = Identity::Key(stranger.into());
    let error = soon("refusal", Tunnel::connect(options)).await.unwrap_err();
    assert!(matches!(&error, ConnectError::LoginRefused { key, .. } if *key == fingerprint), "{error:?}");
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
        assert!(matches!(&error, ConnectError::Identity { path, .. } if path.ends_with(bad)), "{error:?}");
    }
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_unreachable() {
    let Some(sshd) = Sshd::start().await else { return };
    let mut options = sshd.options();
    drop(sshd);
    options.identity = Identity::Key(generate().into());
    let error = soon("refusal", Tunnel::connect(options)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_command_brings_back_its_status_and_both_outputs() {
    let Some(sshd) = Sshd::start().await else { return };
    for (way, options) in sshd.both_ways() {
        let tunnel = connect(options).await;
        let output = soon("exec", tunnel.exec("cat; echo oops >&2; exit 7", b"input")).await.unwrap();
        assert_eq!((output.status, &output.stdout[..], &output.stderr[..]), (Some(7), &b"input"[..], &b"oops\n"[..]), "{way}");
        let large = vec![b'x'; 3_000_000];
        let output = soon("exec", tunnel.exec("cat", &large)).await.unwrap();
        assert!(output.success() && output.stdout == large, "{way}: {} bytes", output.stdout.len());
        let output = soon("exec", tunnel.exec("kill -9 $$", b"")).await.unwrap();
        assert_eq!(output.status, None, "{way}");
        tunnel.close().await;
    }
}
