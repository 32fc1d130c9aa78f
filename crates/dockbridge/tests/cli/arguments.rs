//! Invalid arguments, and commands on a host that cannot run them.

use crate::rig::Desk;

#[tokio::test]
async fn nonsense_is_refused_with_a_usage() {
    let desk = Desk::new().await;
    let cases: &[(&[&str], &[&str])] = &[
        (&["frobnicate"], &["unrecognized subcommand 'frobnicate'", "--help"]),
        (&["start", "--provider", "azure"], &["invalid value 'azure'", "hetzner, ssh"]),
        (&["start", "--provider", "ssh"], &["--host <HOST>"]),
        (&["volume", "delete"], &["<VOLUME>"]),
        (&["try", "--idle-timeout", "soon"], &["write it as 90s, 5m or 1h 30m"]),
        (&["local-cloud", "--listen", "here"], &["invalid value 'here'", "<ADDRESS:PORT>"]),
        (
            &["ports", "add", "8080:web"],
            &["\"8080:web\" is no forward: it has three parts", "such as 8080:web:80"],
        ),
        (
            &["ports", "remove", "web"],
            &["\"web\" is no forward: a port is a number from 1 to 65535", "such as 8080,"],
        ),
        (&["statsu"], &["some similar subcommands exist: 'start', 'status'"]),
    ];
    for (arguments, expected) in cases {
        desk.dockbridge(arguments).await.failed(2, expected);
    }
    desk.dockbridge(&["--profile", "My_Profile", "start"])
        .await
        .failed(1, &["\"My_Profile\" is no profile name", "1 to 24 lower-case letters"]);
    desk.nothing_was_created().await;
}

#[tokio::test]
async fn a_host_of_ones_own_is_written_as_for_ssh() {
    let desk = Desk::new().await;
    for host in ["me@", "@example.org", "me@host:99999", "-oProxyCommand=x", "ssh://"] {
        desk.dockbridge(&["start", "--provider", "ssh", &format!("--host={host}")]).await.failed(
            1,
            &[
                &format!("Error: {host:?} is not a host"),
                "Hint: write it as user@address, user@address:port",
            ],
        );
    }
    assert!(!desk.socket().exists(), "nothing is served");
}

#[tokio::test]
async fn real_machines_without_root_are_refused_at_once() {
    let desk = Desk::new().await;
    desk.dockbridge_without_root(&["try"]).await.failed(
        1,
        &["Error: the local cloud runs real machines and needs root", "Hint: run it with sudo"],
    );
    let expected = [
        "Error: real machines need root",
        "Hint: run it as root, or only the API with --machines none",
    ];
    for arguments in
        [&["local-cloud"][..], &["local-cloud", "--clean"], &["local-cloud", "--prepare"]]
    {
        desk.dockbridge_without_root(arguments).await.failed(1, &expected);
    }
}

#[tokio::test]
async fn the_story_needs_a_docker_client() {
    if !rustix::process::geteuid().is_root() {
        return testkit::passed_over!("without root it is not asked for");
    }
    let mut desk = Desk::new().await;
    let empty = desk.path("empty");
    std::fs::create_dir(&empty).unwrap();
    desk.set("PATH", empty.to_str().unwrap());
    desk.dockbridge(&["try"]).await.failed(
        1,
        &[
            "Error: no docker client is installed",
            "Hint: install one (Debian: docker-cli); no engine is needed",
        ],
    );
}
