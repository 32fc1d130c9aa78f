//! What keeps a daemon from starting, and what does not.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use crate::rig::{Desk, READ_ONLY};

#[tokio::test]
async fn without_a_token_nothing_starts() {
    let mut desk = Desk::new().await;
    desk.unset("HCLOUD_TOKEN");
    let expected = [
        "Error: no Hetzner API token is configured",
        "Hint: create one with Read & Write in the Hetzner Cloud console, then run `dockbridge \
         init` or set HCLOUD_TOKEN",
        "Hint: `dockbridge try` needs no account",
    ];
    for command in [
        &["start"][..],
        &["start", "--detach"],
        &["server", "list"],
        &["volume", "list"],
        &["sweep"],
    ] {
        desk.dockbridge(command).await.failed(1, &expected);
    }
    assert!(!desk.socket().exists(), "nothing is served");
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn a_wrong_token_is_reported_at_the_start() {
    let mut desk = Desk::new().await;
    desk.set("HCLOUD_TOKEN", "wrong");
    let hint = "Hint: the API token is not valid: make one in the cloud console and run \
     `dockbridge init`";
    for command in [&["start"][..], &["start", "--detach"]] {
        desk.dockbridge(command)
            .await
            .failed(1, &["Error: the cloud rejected the API token", hint]);
    }
    for command in
        [&["server", "list"][..], &["volume", "list"], &["sweep"], &["server", "destroy"]]
    {
        desk.dockbridge(command).await.failed(1, &["Error: the cloud could not ", hint]);
    }
    desk.set("HCLOUD_TOKEN", "not a token");
    desk.dockbridge(&["start"]).await.failed(
        1,
        &["contains an invalid character", "Hint: copy it again from the Hetzner Cloud console"],
    );
    assert!(!desk.socket().exists(), "nothing is served");
    desk.set("HCLOUD_TOKEN", crate::rig::TOKEN).nothing_was_created().await;
}

#[tokio::test]
async fn a_read_only_token_can_list_but_docker_commands_report_it() {
    let mut desk = Desk::new().await;
    desk.set("HCLOUD_TOKEN", READ_ONLY);
    desk.dockbridge(&["server", "list"]).await.succeeded().said(&["No server exists."]);
    let daemon = desk.start().await;
    let expected = "the API token may only read: make one with Read & Write in the cloud console \
     and run `dockbridge init`";
    if let Some(ran) = desk.docker(&["ps"]).await {
        ran.failed(1, &["Error response from daemon: the cloud could not ", expected]);
    }
    desk.dockbridge(&["wake"]).await.failed(1, &["Error: the cloud could not", expected]);
    desk.nothing_was_created().await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_port_of_this_computer_leads_to_docker_too_and_no_web_page_gets_in() {
    let desk = Desk::new().await;
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    desk.settings(&format!("docker:\n  proxy_port: {port}\n"));
    let expected = [
        &format!("Error: port {port} of this computer cannot be listened on")[..],
        "Hint: change `docker.proxy_port`, or leave it out",
    ];
    for command in [&["start"][..], &["start", "--detach"]] {
        desk.dockbridge(command).await.failed(1, &expected);
    }
    drop(taken);
    let daemon = desk.start().await;
    assert!(
        daemon.output().contains(&format!("export DOCKER_HOST=tcp://127.0.0.1:{port}")),
        "{}",
        daemon.output()
    );
    desk.dockbridge(&["status"])
        .await
        .succeeded()
        .said(&[&format!("tcp://127.0.0.1:{port} (same engine)")]);
    assert_eq!(desk.dockbridge(&["status", "--json"]).await.json()["proxy_port"], port);
    let mut page = TcpStream::connect(("127.0.0.1", port)).unwrap();
    page.write_all(
        b"POST /containers/create HTTP/1.1\r\nHost: evil.example\r\nConnection: \
         close\r\nContent-Length: 0\r\n\r\n",
    )
    .unwrap();
    let mut answer = String::new();
    page.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
    desk.nothing_was_created().await;
    daemon.stop().await;
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the port is free again");
}

#[tokio::test]
async fn a_socket_that_is_taken_stays_with_its_owner() {
    let desk = Desk::new().await;
    let socket = desk.path("other.sock");
    let path = socket.to_str().unwrap();
    let theirs = UnixListener::bind(&socket).unwrap();
    for command in [&["start", "--socket", path][..], &["start", "--detach", "--socket", path]] {
        desk.dockbridge(command).await.failed(
            1,
            &[
                &format!("Error: another program listens at {path}"),
                "Hint: choose another place with `--socket PATH`",
            ],
        );
    }
    drop(theirs);
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "precious").unwrap();
    desk.dockbridge(&["start", "--socket", path]).await.failed(
        1,
        &[
            &format!("Error: {path} exists and is no socket"),
            "Hint: move it away, or choose another place with `--socket PATH`",
        ],
    );
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious");
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn a_second_start_finds_the_daemon_running_and_changes_nothing() {
    let desk = Desk::new().await;
    let daemon = desk.start().await;
    let process = daemon.child.id().unwrap();
    let expected =
        format!("dockbridge is already running (process {process}). Docker socket: unix://");
    for command in [&["start"][..], &["start", "--detach"]] {
        desk.dockbridge(command).await.succeeded().said(&[&expected]);
    }
    // Other arguments would require another daemon.
    let expected = [
        &format!(
            "Error: dockbridge (process {process}) is already running, so --host has no effect"
        )[..],
        "Hint: run `dockbridge stop`, then start it with the new arguments",
    ];
    desk.dockbridge(&["start", "--host", "me@example.org"]).await.failed(1, &expected);
    let socket = desk.socket();
    let expected = format!(
        "Error: dockbridge (process {process}) already serves {} for profile default",
        socket.display()
    );
    let other = ["--profile", "m", "start", "--detach", "--socket", socket.to_str().unwrap()];
    desk.dockbridge(&other)
        .await
        .failed(1, &[&expected, "Hint: choose another path with `--socket PATH`"]);
    desk.dockbridge(&["status"]).await.succeeded();
    desk.dockbridge(&["stop"]).await.succeeded().said(&["Stopped the daemon."]);
    drop(daemon);
    assert!(!desk.socket().exists(), "it was left behind");
}

#[tokio::test]
async fn an_unwritable_directory_of_the_socket_is_reported() {
    let mut desk = Desk::new().await;
    let home = desk.path("home-of-nobody");
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o777)).unwrap();
    desk.set("DOCKBRIDGE_HOME", home.to_str().unwrap());
    std::fs::create_dir(desk.path("closed")).unwrap();
    std::fs::set_permissions(desk.path("closed"), std::fs::Permissions::from_mode(0o555)).unwrap();
    for socket in [desk.path("closed/docker.sock"), desk.path("closed/deeper/docker.sock")] {
        let socket = socket.to_str().unwrap();
        desk.dockbridge_without_root(&["start", "--socket", socket]).await.failed(
            1,
            &[
                &format!("Error: the socket {socket} cannot be made"),
                "Hint: choose a place that you may write to with `--socket PATH`",
            ],
        );
    }
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn an_unreachable_cloud_is_reported_and_asked_again_later() {
    let mut desk = Desk::new().await;
    desk.set("HCLOUD_ENDPOINT", "http://127.0.0.1:1/v1");
    let daemon = desk.start().await;
    let said = daemon.output();
    assert!(
        said.contains("Cannot ask the cloud now (") && said.contains("docker commands try again."),
        "{said}"
    );
    if let Some(ran) = desk.docker(&["ps"]).await {
        ran.failed(1, &["Error response from daemon: the cloud could not list the "]);
    }
    desk.dockbridge(&["server", "list"])
        .await
        .failed(1, &["Error: the cloud could not report its prices"]);
    daemon.stop().await;
}

#[tokio::test]
async fn an_invalid_address_is_reported() {
    let mut desk = Desk::new().await;
    for (endpoint, expected) in [
        ("nowhere", "\"nowhere\" is not an API address"),
        ("ftp://example.org/v1", "is not an http(s) address"),
    ] {
        desk.set("HCLOUD_ENDPOINT", endpoint);
        desk.dockbridge(&["start"])
            .await
            .failed(1, &[expected, "Hint: change `hetzner.endpoint` or HCLOUD_ENDPOINT"]);
    }
}

#[tokio::test]
async fn an_unusable_login_key_is_reported() {
    let mut desk = Desk::new().await;
    let key = desk.path("key");
    desk.set("DOCKBRIDGE_SSH_PRIVATE_KEY_PATH", key.to_str().unwrap());
    let hint = "Hint: change `ssh.private_key_path`, or remove it to use dockbridge's own key";
    desk.dockbridge(&["start"])
        .await
        .failed(1, &[&format!("Error: cannot read the private key {}", key.display()), hint]);
    std::fs::write(&key, "not a key").unwrap();
    desk.dockbridge(&["start"])
        .await
        .failed(1, &[&format!("Error: cannot use the private key {}", key.display()), hint]);
    assert_eq!(std::fs::read_to_string(&key).unwrap(), "not a key");
}

#[tokio::test]
async fn without_a_daemon_its_commands_say_so_with_a_code_of_their_own() {
    let desk = Desk::new().await;
    let expected = [
        &format!("Error: no dockbridge serves {}", desk.socket().display()),
        "Hint: start it with `dockbridge start`",
    ];
    for command in [&["status"][..], &["stop"], &["wake"], &["server", "create"]] {
        desk.dockbridge(command).await.failed(3, &expected);
    }
    for command in [&["status", "--json"][..], &["why", "--json"], &["ports", "--json"]] {
        let ran = desk.dockbridge(command).await;
        ran.failed(3, &[]);
        assert_eq!(ran.stdout, "", "{ran}");
        let printed: api::Failed = serde_json::from_str(&ran.stderr).unwrap();
        let error = printed.error;
        assert_eq!(
            (error.code, error.category, error.hints.as_slice(), error.retryable),
            (
                api::Code::DaemonNotRunning,
                api::Category::Daemon,
                &["start it with `dockbridge start`".to_owned()][..],
                false
            ),
            "{ran}"
        );
        assert!(error.at > 1_700_000_000 && error.message.contains("no dockbridge serves"));
    }
    desk.nothing_was_created().await;

    // Reports a machine that costs money all the same.
    let identity = desk.identity("default");
    desk.make_server(&identity.name(), identity.labels("machine"), Vec::new(), true).await;
    desk.dockbridge(&["status"])
        .await
        .failed(3, &[&format!("Hint: a machine exists all the same: {}", identity.name())]);
}
