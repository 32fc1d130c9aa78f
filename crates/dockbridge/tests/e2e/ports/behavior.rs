//! All behavior of a published port between its container's start and end, on one machine.

use std::io::Read as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use super::{
    echo, echoed, free_port, has_ipv6, is_free, listed, local, local_v6, make_peer, run_any,
    sent_and_answered, shown, try_connect,
};
use crate::rig::{Stage, pass_over};

const SOON: Duration = Duration::from_secs(20);

async fn run_peer(stage: &Stage, name: &str, more: &[&str]) {
    stage.docker(&[&["run", "-d", "--name", name], more, &["peer"]].concat()).await.succeeded();
}

async fn remove(stage: &Stage, names: &[&str]) {
    stage.docker(&[&["rm", "-f"], names].concat()).await.succeeded();
}

/// Whether something listens, without sending anything.
fn listens(at: SocketAddr) -> bool {
    try_connect(at).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_behave_as_if_the_container_were_here() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    make_peer(&stage).await;
    both_protocols_and_both_families(&stage).await;
    numbers_that_the_engine_chooses(&stage).await;
    an_address_of_its_own(&stage).await;
    ends_are_passed_on_unchanged(&stage).await;
    pauses_and_restart_policies(&stage).await;
    forwards_made_by_hand(&stage).await;

    // From before the daemon started.
    let port = free_port();
    run_peer(&stage, "early", &["-p", &format!("{port}:7")]).await;
    daemon.stop().await;
    assert!(is_free(local(port)));
    let taken = TcpListener::bind(local(0)).unwrap();
    let conflict = taken.local_addr().unwrap().port();
    let settings = [
        ("DOCKBRIDGE_PORTS_ON_CONFLICT", "increment"),
        ("DOCKBRIDGE_PORTS_EXCLUDE", "hidden-*:1-65535/udp"),
    ];
    let daemon = stage.start(&settings).await;
    stage
        .eventually("the port of a container that ran before", SOON, async || listens(local(port)))
        .await;
    echoed(local(port)).await;
    another_port_where_it_is_taken(&stage, conflict).await;
    excluded_ports_do_not_appear(&stage).await;
    daemon.stop().await;
    stage.close().await;
}

async fn both_protocols_and_both_families(stage: &Stage) {
    let port = free_port();
    run_peer(stage, "both", &["-p", &format!("{port}:7"), "-p", &format!("{port}:7/udp")]).await;
    echoed(local(port)).await;
    sent_and_answered(local(port)).await;
    if has_ipv6() {
        echoed(local_v6(port)).await;
        sent_and_answered(local_v6(port)).await;
    }
    let ports = listed(stage).await;
    let of = |protocol: &str| ports.iter().find(|port| port["protocol"] == protocol).unwrap();
    for protocol in ["tcp", "udp"] {
        let output = of(protocol);
        assert_eq!(
            (&output["container"], &output["container_port"], &output["state"]["state"]),
            (&"both".into(), &7.into(), &"open".into()),
            "{output}"
        );
        assert!(
            output["connections_total"].as_u64() >= Some(1)
                && output["bytes_in"].as_u64() >= Some(4),
            "{output}"
        );
        assert!(
            output["bytes_out"].as_u64() >= Some(4)
                && output["last_used_seconds"].as_f64().is_some(),
            "{output}"
        );
    }
    assert!(of("tcp")["recent"][0]["client"].as_str().is_some(), "{ports:?}");
    let printed = stage.dockbridge(&["ports"]).await;
    assert!(
        printed.succeeded().stdout.contains(&format!("127.0.0.1:{port}/udp"))
            && printed.stdout.contains("both:7"),
        "{printed}"
    );
    remove(stage, &["both"]).await;
    assert!(is_free(local(port)) && UdpSocket::bind(local(port)).is_ok());
    assert!(listed(stage).await.is_empty());
}

async fn numbers_that_the_engine_chooses(stage: &Stage) {
    // Below the numbers that computers choose for their own connections.
    let from = 20_000 + free_port() % 10_000;
    run_any(stage, &["peer"], "any").await;
    run_peer(stage, "range", &["-p", &format!("{from}-{}:7", from + 20)]).await;
    echoed(local(shown(stage, "any", "7/tcp").await)).await;
    sent_and_answered(local(shown(stage, "any", "7/udp").await)).await;
    let chosen = shown(stage, "range", "7/tcp").await;
    assert!((from..=from + 20).contains(&chosen));
    echoed(local(chosen)).await;
    // A new number after a restart is either listened on or reported as taken.
    stage.docker(&["restart", "-t", "0", "any"]).await.succeeded();
    let (number, ports) = (shown(stage, "any", "7/tcp").await, listed(stage).await);
    let output =
        ports.iter().find(|port| port["container"] == "any" && port["protocol"] == "tcp").unwrap();
    assert_eq!(output["local"], local(number).to_string());
    if output["state"]["state"] == "open" {
        echoed(local(number)).await;
    }
    remove(stage, &["any", "range"]).await;
}

async fn an_address_of_its_own(stage: &Stage) {
    let port = free_port();
    run_peer(stage, "second", &["-p", &format!("127.0.0.2:{port}:7")]).await;
    echoed(SocketAddr::from(([127, 0, 0, 2], port))).await;
    assert!(is_free(local(port)));
    // The other container may have the same number at another address, as with a local engine.
    run_peer(stage, "first", &["-p", &format!("127.0.0.1:{port}:7")]).await;
    echoed(local(port)).await;
    remove(stage, &["first", "second"]).await;
}

async fn ends_are_passed_on_unchanged(stage: &Stage) {
    let (port, nobody) = (free_port(), free_port());
    run_peer(stage, "ends", &["-p", &format!("{port}:13"), "-p", &format!("{nobody}:99")]).await;
    stage
        .eventually("the program listens", SOON, async || {
            greeting(port).is_ok_and(|text| text == "greeting")
        })
        .await;
    // No listener in the container: an error or a close, never a connection that stays.
    let answer = greeting(nobody);
    assert!(answer.as_ref().map_or(true, String::is_empty), "{answer:?}");
    remove(stage, &["ends"]).await;
}

/// The answer of a server to a client that sends nothing and has closed its half.
fn greeting(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&local(port), Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.shutdown(Shutdown::Write)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

async fn pauses_and_restart_policies(stage: &Stage) {
    let port = free_port();
    run_peer(stage, "web", &["--restart", "always", "-p", &format!("{port}:7")]).await;
    let kept = tokio::task::spawn_blocking(move || echo(local(port))).await.unwrap();
    stage.docker(&["pause", "web"]).await.succeeded();
    assert!(listens(local(port)), "a paused container keeps its ports");
    kept.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(super::round_trip(&kept).is_err(), "and says nothing");
    stage.docker(&["unpause", "web"]).await.succeeded();
    kept.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut late = [0; 4];
    (&kept).read_exact(&mut late).unwrap();
    assert_eq!(&late, b"echo", "what was written meanwhile comes back");

    stage.on_machine("kill -9 $(docker inspect -f '{{.State.Pid}}' web)").await.succeeded();
    let restarted = async || {
        stage.docker(&["inspect", "-f", "{{.RestartCount}} {{.State.Running}}", "web"]).await.stdout
            == "1 true\n"
    };
    stage.eventually("the engine starts it again", SOON, restarted).await;
    stage.eventually("its port is open again", SOON, async || listens(local(port))).await;
    echoed(local(port)).await;
    stage.docker(&["stop", "-t", "0", "web"]).await.succeeded();
    assert!(is_free(local(port)));
    stage.docker(&["start", "web"]).await.succeeded();
    echoed(local(port)).await;
    remove(stage, &["web"]).await;
}

async fn forwards_made_by_hand(stage: &Stage) {
    let (port, other) = (free_port(), free_port());
    run_peer(stage, "hidden", &[]).await;
    run_peer(stage, "public", &["-p", &format!("{port}:7")]).await;
    let add = |forward: String| async move { stage.dockbridge(&["ports", "add", &forward]).await };
    let added = add(format!("{other}:hidden:7")).await;
    assert_eq!(added.succeeded().stdout, format!("127.0.0.1:{other} forwards to hidden:7.\n"));
    echoed(local(other)).await;
    add(format!("{other}:hidden:7/udp")).await.succeeded();
    sent_and_answered(local(other)).await;
    add(format!("{other}:hidden:9"))
        .await
        .failed_with("a forward made by hand listens on")
        .failed_with("ports remove");
    // It wins over a published port, which later gets the address back.
    add(format!("{port}:hidden:7")).await.succeeded();
    let winner = |ports: &[serde_json::Value]| -> Vec<String> {
        let here = ports.iter().filter(|one| {
            one["local"] == local(port).to_string() && one["state"]["state"] == "open"
        });
        here.map(|one| one["container"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(winner(&listed(stage).await), ["hidden"]);
    // It follows its container.
    stage.docker(&["stop", "-t", "0", "hidden"]).await.succeeded();
    assert!(is_free(local(port)));
    stage.docker(&["start", "hidden"]).await.succeeded();
    echoed(local(port)).await;
    stage.dockbridge(&["ports", "remove", &port.to_string()]).await.succeeded();
    assert_eq!(winner(&listed(stage).await), ["public"]);
    echoed(local(port)).await;
    stage
        .dockbridge(&["ports", "remove", &port.to_string()])
        .await
        .failed_with("no forward made by hand listens on");
    for local in [other.to_string(), format!("{other}/udp")] {
        stage.dockbridge(&["ports", "remove", &local]).await.succeeded();
    }
    let waiting = add(format!("{other}:nobody:7")).await;
    assert!(waiting.succeeded().stdout.contains("when that container runs"), "{waiting}");
    stage.dockbridge(&["ports", "remove", &other.to_string()]).await.succeeded();
    add(format!("0.0.0.0:{other}:hidden:7")).await.failed_with("set `ports.bind`");
    remove(stage, &["hidden", "public"]).await;
}

async fn another_port_where_it_is_taken(stage: &Stage, conflict: u16) {
    run_peer(stage, "moved", &["-p", &format!("{conflict}:7")]).await;
    let ports = listed(stage).await;
    let moved = ports.iter().find(|port| port["container"] == "moved").unwrap();
    let chosen: SocketAddr = moved["local"].as_str().unwrap().parse().unwrap();
    assert_eq!(moved["asked_for"], local(conflict).to_string());
    assert!(chosen.port() >= conflict + 1000, "{moved}");
    echoed(chosen).await;
    let output = format!("because {} is in use here", local(conflict));
    assert!(stage.dockbridge(&["status"]).await.succeeded().stdout.contains(&output));
    assert!(stage.daemon_log().contains("a port is in use here, another was chosen"));
    remove(stage, &["moved"]).await;
}

async fn excluded_ports_do_not_appear(stage: &Stage) {
    let port = free_port();
    run_peer(stage, "hidden-1", &["-p", &format!("{port}:7"), "-p", &format!("{port}:7/udp")])
        .await;
    echoed(local(port)).await;
    assert!(UdpSocket::bind(local(port)).is_ok());
    remove(stage, &["hidden-1"]).await;
}
