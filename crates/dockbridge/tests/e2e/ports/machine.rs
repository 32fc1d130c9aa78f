//! Ports where the machine and this computer differ: the machine's own ports, its own network,
//! addresses of this computer, windows of several machines, swarms.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use super::families::{run_named, who_answers};
use super::{free_port, listed, local, shown};
use crate::rig::{Ran, Stage, pass_over};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn differences_of_the_machine_are_bridged_or_reported() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    stage.make_image("tiny").await;
    ports_of_the_machine(&stage).await;
    the_machines_network(&stage).await;
    a_swarm(&stage).await;
    let address = own_address();
    if let Some(address) = address {
        let refused = run_named(&stage, "lan", &[&format!("{address}:{}:80", free_port())]).await;
        refused.failed_with("set `ports.bind` to");
        stage.docker(&["rm", "-f", "lan"]).await.succeeded();
    }
    daemon.stop().await;
    match address {
        Some(address) => {
            // The machine is the same.
            let daemon = stage.start(&[("DOCKBRIDGE_PORTS_BIND", &address.to_string())]).await;
            an_address_of_this_computer(&stage, address).await;
            daemon.stop().await;
        }
        None => {
            testkit::passed_over!("this computer has no address of its own but loopback addresses")
        }
    }
    stage.close().await;
}

async fn ports_of_the_machine(stage: &Stage) {
    for publish in ["22:80", "127.0.0.1:22:80"] {
        let refused = run_named(stage, "low", &[publish]).await;
        assert_eq!(refused.status.code(), Some(125), "{refused}");
        refused
            .failed_with("address already in use")
            .failed_with("The machine itself uses port 22");
        let advice = refused
            .stderr
            .split("`dockbridge ports add ")
            .nth(1)
            .and_then(|rest| rest.split('`').next())
            .unwrap()
            .to_owned();
        stage.docker(&["rm", "-f", "low"]).await.succeeded();
        // Its advice works.
        run_named(stage, "low", &[]).await.succeeded();
        stage.dockbridge(&["ports", "add", &advice]).await.succeeded();
        assert_eq!(who_answers(local(22)).await.as_deref(), Some("low"));
        let here = advice.strip_suffix(":low:80").unwrap();
        stage.dockbridge(&["ports", "remove", here]).await.succeeded();
        stage.docker(&["rm", "-f", "low"]).await.succeeded();
    }
}

async fn the_machines_network(stage: &Stage) {
    let port = free_port();
    let serve = format!("mkdir -p /w && echo host >/w/name && exec httpd -f -p {port} -h /w");
    let arguments = [
        "run",
        "-d",
        "--name",
        "host",
        "--network",
        "host",
        "--expose",
        &port.to_string(),
        "tiny",
        "sh",
        "-c",
        &serve,
    ];
    let ran = stage.docker(&arguments).await;
    ran.succeeded();
    let advice = format!("ports add {port}:host:{port}");
    assert!(
        ran.stderr.contains("WARNING: The container uses the machine's own network")
            && ran.stderr.contains(&advice),
        "{ran}"
    );
    stage.dockbridge(&advice.split(' ').collect::<Vec<_>>()).await.succeeded();
    assert_eq!(who_answers(local(port)).await.as_deref(), Some("host"));
    stage.dockbridge(&["ports", "remove", &port.to_string()]).await.succeeded();
    stage.docker(&["rm", "-f", "host"]).await.succeeded();
    let ran = run_named(stage, "bridged", &[]).await;
    assert!(!ran.succeeded().stderr.contains("WARNING"), "{ran}");
    stage.docker(&["rm", "-f", "bridged"]).await.succeeded();
}

async fn a_swarm(stage: &Stage) {
    stage.docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]).await.succeeded();
    let port = free_port();
    let publish = format!("{port}:80");
    let serve = "mkdir -p /w && echo task >/w/name && exec httpd -f -p 80 -h /w";
    let service = [
        "service",
        "create",
        "--detach",
        "--name",
        "web",
        "--publish",
        &publish,
        "tiny",
        "sh",
        "-c",
        serve,
    ];
    stage.docker(&service).await.succeeded();
    let output = async || {
        let ports = listed(stage).await;
        ports.iter().any(|one| {
            one["container"] == "web"
                && one["local"] == local(port).to_string()
                && one["state"]["state"] == "open"
        })
    };
    stage.eventually("the service's port is followed", SOON, output).await;
    let tasks = async || {
        stage
            .docker(&["ps", "--filter", "name=web.1.", "--format", "{{.Names}}"])
            .await
            .stdout
            .trim()
            .to_owned()
    };
    let running = async || !tasks().await.is_empty();
    let state = async || {
        stage
            .docker(&[
                "service",
                "ps",
                "--no-trunc",
                "--format",
                "{{.CurrentState}} {{.Error}}",
                "web",
            ])
            .await
            .stdout
    };
    let begun = tokio::time::Instant::now();
    while !running().await && begun.elapsed() < SOON {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let task = tasks().await;
    if task.is_empty() {
        // An ingress network needs VXLAN and IPVS, which are in the host's kernel here.
        testkit::passed_over!(
            "no task of a service with an ingress port runs on this kernel: {}",
            state().await
        );
    } else {
        let by_hand = free_port();
        stage.dockbridge(&["ports", "add", &format!("{by_hand}:{task}:80")]).await.succeeded();
        assert_eq!(who_answers(local(by_hand)).await.as_deref(), Some("task"));
        stage.dockbridge(&["ports", "remove", &by_hand.to_string()]).await.succeeded();
        match Path::new("/proc/net/ip_vs").exists() {
            true => assert_eq!(who_answers(local(port)).await.as_deref(), Some("task")),
            false => testkit::passed_over_in_part!(
                "this kernel has no IPVS, so an ingress port reaches nothing on the machine itself"
            ),
        }
    }
    stage.docker(&["service", "rm", "web"]).await.succeeded();
    stage
        .eventually("the port goes with the service", SOON, async || listed(stage).await.is_empty())
        .await;
    stage.docker(&["swarm", "leave", "--force"]).await.succeeded();
}

/// An address at which other computers reach this one. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip())
        .filter(|address| !address.is_loopback() && !address.is_unspecified())
}

async fn an_address_of_this_computer(stage: &Stage, address: IpAddr) {
    let port = free_port();
    run_named(stage, "lan", &[&format!("{address}:{port}:80"), &format!("{address}::80")])
        .await
        .succeeded();
    let shown = stage.docker(&["port", "lan", "80/tcp"]).await;
    let numbers: Vec<SocketAddr> =
        shown.succeeded().stdout.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.len() == 2 && numbers.contains(&SocketAddr::new(address, port)), "{shown}");
    for at in numbers {
        assert_eq!(who_answers(at).await.as_deref(), Some("lan"), "{at}");
        assert_eq!(who_answers(local(at.port())).await, None, "it was not asked for");
    }
    stage.docker(&["rm", "-f", "lan"]).await.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_of_two_profiles_never_choose_the_same_number() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let other = stage.directory.path().join("home/run/other/docker.sock");
    let daemon = stage.start(&[]).await;
    let second = stage.start_with(&other, &["--profile", "other"], &[]).await;
    stage.make_image("tiny").await;
    let image = stage.directory.path().join("tiny.tar").display().to_string();
    stage.docker(&["save", "-o", &image, "tiny"]).await.succeeded();
    stage.docker_at(&other, &["load", "-q", "-i", &image], "").await.succeeded();
    let run = |socket: &Path, name: &str| {
        let (socket, name) = (socket.to_owned(), name.to_owned());
        let stage = &stage;
        async move {
            let serve = format!("mkdir -p /w && echo {name} >/w/name && exec httpd -f -p 80 -h /w");
            let ran = stage
                .docker_at(
                    &socket,
                    &["run", "-d", "--name", &name, "-p", "80", "tiny", "sh", "-c", &serve],
                    "",
                )
                .await;
            ran.succeeded();
            let number: Ran = stage.docker_at(&socket, &["port", &name, "80/tcp"], "").await;
            number
                .succeeded()
                .stdout
                .lines()
                .next()
                .unwrap()
                .rsplit(':')
                .next()
                .unwrap()
                .parse::<u16>()
                .unwrap()
        }
    };
    let first_socket = stage.socket();
    for name in ["one", "two", "three"] {
        let second_name = format!("other-{name}");
        let (here, there) = tokio::join!(run(&first_socket, name), run(&other, &second_name));
        assert_ne!(here / 500, there / 500, "the engines' numbers are apart: {here}, {there}");
        assert_eq!(who_answers(local(here)).await.as_deref(), Some(name));
        assert_eq!(who_answers(local(there)).await.as_deref(), Some(second_name.as_str()));
        assert!(
            here >= 62_000 && there >= 62_000,
            "an engine here begins at 32768: {here}, {there}"
        );
    }
    // The window applies to dockerd only, also after its restart.
    stage.on_machine("systemctl restart docker").await.succeeded();
    let range = stage.on_machine("cat /proc/sys/net/ipv4/ip_local_port_range").await;
    assert_eq!(range.succeeded().stdout.split_whitespace().collect::<Vec<_>>(), ["32768", "60999"]);
    let again = run(&first_socket, "again").await;
    assert_eq!(again / 500, shown_window(&stage).await, "{again}");
    second.stop().await;
    daemon.stop().await;
    stage.close().await;
}

/// The number of this machine's window.
async fn shown_window(stage: &Stage) -> u16 {
    let window = stage.on_machine("cat /etc/dockbridge/port-window").await;
    window.succeeded().stdout.split_whitespace().next().unwrap().parse::<u16>().unwrap() / 500
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_chosen_by_the_engine_and_taken_here_is_reported_by_run() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    stage.make_image("tiny").await;
    run_named(&stage, "first", &["80"]).await.succeeded();
    // dockerd counts upwards.
    let next = shown(&stage, "first", "80/tcp").await + 1;
    let taken: Vec<_> =
        (next..next + 3).filter_map(|port| std::net::TcpListener::bind(local(port)).ok()).collect();
    assert!(!taken.is_empty());
    let refused = run_named(&stage, "second", &["80"]).await;
    assert_eq!(refused.status.code(), Some(125), "{refused}");
    refused.failed_with("failed: port is already allocated. The engine chose this number");
    let state = stage.docker(&["inspect", "-f", "{{.State.Running}}", "second"]).await;
    assert_eq!(state.succeeded().stdout, "false\n");
    drop(taken);
    stage.docker(&["start", "second"]).await.succeeded();
    assert_eq!(
        who_answers(local(shown(&stage, "second", "80/tcp").await)).await.as_deref(),
        Some("second")
    );
    daemon.stop().await;
    stage.close().await;
}
