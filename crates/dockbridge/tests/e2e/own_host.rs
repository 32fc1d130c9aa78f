//! A host of the user's own: used, left alone afterwards, never created and never deleted; and no
//! cloud is asked. The host of these tests is a server that they order themselves, set up with
//! docker like an owner would.

mod engines;
mod host;
mod ssh_config;

use std::net::TcpListener;
use std::time::Duration;

use russh::keys::ssh_key::HashAlg;
use tokio::time::{Instant, sleep};

use crate::rig::pass_over;
use host::{OwnHost, answers, key, write_key};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_of_the_users_own_is_used_released_and_never_deleted() {
    let Some(host) = OwnHost::new().await else { return pass_over() };
    let stage = &host.stage;
    let idle =
        [("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "1s"), ("DOCKBRIDGE_ACTIVITY_GRACE_PERIOD", "1s")];
    let daemon = host.start(&stage.socket(), &[], &idle).await;

    stage.make_image("tiny").await;
    let three = stage.docker(&["run", "--rm", "tiny", "sh", "-c", "echo out; exit 3"]).await;
    assert_eq!((three.status.code(), three.stdout.as_str()), (Some(3), "out\n"), "{three}");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let publish = format!("{port}:80");
    stage
        .docker(&[
            "run", "-d", "--name", "web", "-p", &publish, "tiny", "httpd", "-f", "-p", "80", "-h",
            "/bin",
        ])
        .await
        .succeeded();
    stage
        .eventually("the published port answers here", Duration::from_secs(10), async || {
            answers(port)
        })
        .await;
    let agents = host.on_host("ls ~/.cache/dockbridge").await;
    assert!(agents.succeeded().stdout.starts_with("agent-"), "{agents}");

    // Idle for long enough to destroy a cloud machine.
    stage.docker(&["stop", "-t", "0", "web"]).await.succeeded();
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(5) {
        let status = daemon.client().status().await.unwrap();
        assert_eq!(
            (status.state.word(), status.why.next.as_str()),
            ("up", "this host is not dockbridge's: it is only connected to")
        );
        sleep(Duration::from_millis(200)).await;
    }
    stage.docker(&["start", "web"]).await.succeeded();

    let woken = stage.dockbridge(&["wake"]).await;
    assert!(
        woken.succeeded().stdout.contains(&format!("root@{}:22 is ready.", host.address)),
        "{woken}"
    );
    let status = stage.dockbridge(&["status"]).await;
    assert!(
        status.succeeded().stdout.contains(&format!("Machine   root@{}:22, running", host.address)),
        "{status}"
    );
    assert!(!status.stdout.contains("EUR"), "{status}");

    let destroyed = stage.dockbridge(&["server", "destroy"]).await;
    assert_eq!(
        destroyed.succeeded().stdout,
        "This host is not dockbridge's: dockbridge has disconnected from it, and it goes on.\n",
        "{destroyed}"
    );
    assert!(!answers(port), "its ports are let go of, too");
    let names = stage.docker(&["ps", "--format", "{{.Names}}"]).await;
    assert_eq!(names.succeeded().stdout, "web\n", "{names}");
    stage
        .eventually("the published port answers here again", Duration::from_secs(10), async || {
            answers(port)
        })
        .await;

    let stopped = stage.dockbridge(&["stop", "--destroy"]).await;
    assert!(stopped.succeeded().stdout.contains("This host is not dockbridge's"), "{stopped}");
    drop(daemon);
    assert_eq!(host.on_host("docker ps --format '{{.Names}}'").await.stdout, "web\n");
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_and_a_rejected_key_have_different_messages() {
    let Some(host) = OwnHost::new().await else { return pass_over() };
    let stage = &host.stage;

    host.forget();
    let daemon = host.start(&stage.socket(), &[], &[]).await;
    let presented = host.host_key.fingerprint(HashAlg::Sha256).to_string();
    let stranger = stage.docker(&["ps"]).await;
    stranger
        .failed_with("the host is not among the known hosts")
        .failed_with(&presented)
        .failed_with("nothing was sent to it");
    stage.dockbridge(&["wake"]).await.failed_with("the host is not among the known hosts");
    host.know(key("another").public_key());
    stage
        .docker(&["ps"])
        .await
        .failed_with("another key is known for this host")
        .failed_with(&presented);
    let logins = host.on_host("journalctl --no-pager -o cat | grep '^Accepted publickey'").await;
    assert!(!logins.succeeded().stdout.contains(&host.fingerprint), "somebody logged in: {logins}");

    // As soon as the host is known it is used, and there are traces of that.
    host.know(&host.host_key);
    stage.docker(&["ps"]).await.succeeded();
    let logins = host.on_host("journalctl --no-pager -o cat | grep '^Accepted publickey'").await;
    assert!(logins.succeeded().stdout.contains(&host.fingerprint), "{logins}");
    daemon.stop().await;

    let other = key("other");
    let wrong = write_key(&stage.directory.path().join("other"), &other);
    let refused = async |arguments: &[&str]| {
        let socket = host.socket("refused.sock");
        let daemon =
            stage.start_with(&socket, &[&["--provider", "ssh"], arguments].concat(), &[]).await;
        let refused = stage.docker_at(&socket, &["ps"], "").await;
        assert!(refused.took < Duration::from_secs(15), "{refused}");
        daemon.stop().await;
        refused
    };
    let own = format!("root@{}", host.address);
    let login = refused(&["--host", &own, "--identity", wrong.to_str().unwrap()]).await;
    login
        .failed_with(&format!(
            "{own}:22 does not accept the key {}",
            other.fingerprint(HashAlg::Sha256)
        ))
        .failed_with("--identity");
    let missing = refused(&["--host", &own, "--identity", "/nowhere/key"]).await;
    missing.failed_with("the private key /nowhere/key cannot be used: ");
    let silent =
        refused(&["--host", &format!("{own}:9"), "--identity", host.identity.to_str().unwrap()])
            .await;
    silent.failed_with(&format!("{own}:9 cannot be reached: "));
    host.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_socket_of_the_host_and_a_home_that_runs_no_programs() {
    let Some(host) = OwnHost::new().await else { return pass_over() };
    let stage = &host.stage;
    // In a network of its own: with `--bridge none` it removes the other's bridge.
    let second = "systemd-run --unit second -p PrivateNetwork=yes dockerd -H \
     unix:///run/second/docker.sock --data-root /srv/docker/second --exec-root /run/second \
     --pidfile /run/second.pid --containerd-namespace second --containerd-plugins-namespace \
     second-plugins --bridge none --iptables=false --ip6tables=false --label which=second";
    host.on_host(second).await.succeeded();
    let socket = host.socket("second.sock");
    let daemon = host.start(&socket, &["--remote-socket", "/run/second/docker.sock"], &[]).await;
    let labels = async || stage.docker_at(&socket, &["info", "--format", "{{.Labels}}"], "").await;
    stage
        .eventually("the second engine answers", Duration::from_secs(30), async || {
            labels().await.stdout == "[which=second]\n"
        })
        .await;
    daemon.stop().await;

    let daemon = host.start(&socket, &["--remote-socket", "/run/nowhere.sock"], &[]).await;
    let nowhere = stage.docker_at(&socket, &["ps"], "").await;
    nowhere
        .failed_with("/run/nowhere.sock cannot be reached: ")
        .failed_with("Is Docker running on the machine?");
    daemon.stop().await;

    host.on_host("rm -r ~/.cache/dockbridge").await.succeeded();
    let without = [("DOCKBRIDGE_SSH_UPLOAD_AGENT", "false")];
    let daemon = host.start(&stage.socket(), &[], &without).await;
    stage.docker(&["ps"]).await.succeeded();
    assert!(stage.daemon_log().contains("no agent runs on root@"), "{}", stage.daemon_log());
    host.on_host("test ! -e ~/.cache/dockbridge").await.succeeded();
    daemon.stop().await;

    host.on_host("mount -t tmpfs -o noexec tmpfs /root/.cache").await.succeeded();
    let daemon = host.start(&stage.socket(), &[], &[]).await;
    stage.make_image("tiny").await;
    let echoed = stage
        .docker_at(
            &stage.socket(),
            &["run", "--rm", "-i", "tiny", "sh", "-c", "cat; exit 4"],
            "in and out",
        )
        .await;
    assert_eq!((echoed.status.code(), echoed.stdout.as_str()), (Some(4), "in and out"), "{echoed}");
    let why = format!(
        "no agent runs on root@{}:22, every stream is an SSH channel of its own: the agent did not \
         start (status 126)",
        host.address
    );
    assert!(stage.daemon_log().contains(&why), "{}", stage.daemon_log());
    daemon.stop().await;
    host.close().await;
}
