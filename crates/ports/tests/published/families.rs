//! Which container answers: numbers of one family only, numbers in use by another program,
//! addresses of this computer, services of a swarm.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use dockbridge_ports::{Options, PortState, Ports};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, eventually, free_port, is_free, local, rig, rig_with, within};

fn v6(port: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))
}

fn has_ipv6() -> bool {
    TcpListener::bind(v6(0)).is_ok()
}

async fn start(engine: &Engine, ports: &Ports, id: &str) {
    let reservation = ports.reserve(id).await.unwrap();
    engine.start_silently(id, 0);
    reservation.open().await.unwrap();
}

/// The container that answers on an address.
fn at(ports: &Ports, address: SocketAddr) -> Option<String> {
    let here = ports.list().into_iter().filter(|status| status.addresses.contains(&address));
    let mut containers = here.map(|status| status.container);
    let first = containers.next();
    assert_eq!(containers.next(), None, "two containers at {address}");
    first
}

#[tokio::test]
async fn one_number_of_both_families_belongs_to_two_containers_and_is_lent_again() {
    if !has_ipv6() {
        return testkit::passed_over!("there is no IPv6 here");
    }
    for (first, second) in [("0.0.0.0", "::"), ("::", "0.0.0.0")] {
        let (engine, ports, _, mut far_ends) = rig();
        let port = free_port();
        engine.create_with("one", &[("80/tcp", first, port)]);
        engine.create_with("two", &[("80/tcp", second, port)]);
        let owner = |family: &str| Some(if family == first { "one" } else { "two" }.to_owned());
        start(&engine, &ports, "one").await;
        assert_eq!(
            (at(&ports, local(port)), at(&ports, v6(port))),
            (Some("one".into()), Some("one".into())),
            "{first} alone"
        );
        // A connection to a lent address continues when the address goes to its owner.
        let lent = if first == "::" { local(port) } else { v6(port) };
        let mut kept = TcpStream::connect(lent).await.unwrap();
        let mut far_end = within("the far end", far_ends.recv()).await.unwrap();
        start(&engine, &ports, "two").await;
        assert_eq!(
            (at(&ports, local(port)), at(&ports, v6(port))),
            (owner("0.0.0.0"), owner("::"))
        );
        tokio::io::AsyncWriteExt::write_all(&mut far_end, b"x").await.unwrap();
        let mut byte = [0];
        within("a byte", tokio::io::AsyncReadExt::read_exact(&mut kept, &mut byte)).await.unwrap();
        engine.die_silently("two");
        ports.settle("two").await;
        assert_eq!(
            (at(&ports, local(port)), at(&ports, v6(port))),
            (Some("one".into()), Some("one".into())),
            "lent again"
        );
    }
}

#[tokio::test]
async fn a_lent_address_is_yielded_to_a_start_and_lent_again_when_it_fails() {
    if !has_ipv6() {
        return testkit::passed_over!("there is no IPv6 here");
    }
    let (engine, ports, ..) = rig();
    let port = free_port();
    engine.create_with("one", &[("80/tcp", "::", port)]);
    engine.create_with("two", &[("80/tcp", "0.0.0.0", port)]);
    start(&engine, &ports, "one").await;
    let reservation = ports.reserve("two").await.unwrap();
    assert_eq!((at(&ports, local(port)), at(&ports, v6(port))), (None, Some("one".into())));
    drop(reservation);
    assert_eq!(at(&ports, local(port)), Some("one".into()));
}

#[tokio::test]
async fn a_chosen_number_in_use_here_fails_the_start_and_nothing_runs() {
    let (engine, ports, ..) = rig();
    let taken = TcpListener::bind(local(0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    engine.create("web", &[0]);
    let reservation = ports.reserve("web").await.unwrap();
    engine.start_silently("web", port);
    let conflict = reservation.open().await.unwrap_err();
    assert_eq!((conflict.name.as_str(), conflict.local), ("web", local(port)));
    assert!(conflict.to_string().contains(&format!(
        "Bind for 127.0.0.1:{port} failed: port is already allocated. The engine chose"
    )));
    assert!(!engine.runs("web"));
    assert!(ports.list().is_empty());
}

#[tokio::test]
async fn a_number_released_a_moment_ago_goes_to_its_next_container() {
    let (engine, ports, ..) = rig();
    let port = free_port();
    for id in ["old", "new"] {
        engine.create(id, &[0]);
    }
    let reservation = ports.reserve("old").await.unwrap();
    engine.start_silently("old", port);
    reservation.open().await.unwrap();
    let reservation = ports.reserve("new").await.unwrap();
    // No event of its end arrives before the other has its number.
    engine.die_silently("old");
    engine.start_silently("new", port);
    reservation.open().await.unwrap();
    assert_eq!(at(&ports, local(port)).as_deref(), Some("new"));
    assert!(engine.runs("new"));
}

#[tokio::test]
async fn an_address_of_this_computer_answers_only_if_ports_may_be_exposed() {
    // Any non-loopback address of this computer.
    let route = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    if route.connect("192.0.2.1:9").is_err() || route.local_addr().unwrap().ip().is_loopback() {
        return testkit::passed_over!("this computer has only loopback addresses");
    }
    let address = route.local_addr().unwrap().ip();
    let port = free_port();
    for bind in [Ipv4Addr::UNSPECIFIED.into(), address] {
        let (engine, ports, _, mut far_ends) = rig_with(Options { bind, ..Options::default() });
        engine.create_with("web", &[("80/tcp", &address.to_string(), port)]);
        start(&engine, &ports, "web").await;
        assert!(is_free(port), "no other address answers");
        let _connection = TcpStream::connect((address, port)).await.unwrap();
        within("the far end", far_ends.recv()).await.unwrap();
        assert_eq!(ports.list()[0].remote.as_ref().unwrap().to_string(), "172.17.0.9:80");
    }
    let (engine, ports, ..) = rig();
    engine.create_with("web", &[("80/tcp", &address.to_string(), port)]);
    let conflict = ports.reserve("web").await.err().unwrap();
    assert_eq!(conflict.local, SocketAddr::new(address, port));
    assert!(conflict.to_string().contains("set `ports.bind` to"), "{conflict}");
}

#[tokio::test]
async fn ports_of_a_service_appear_and_disappear_with_it() {
    let (engine, ports, _, mut far_ends) = rig();
    let following = tokio::spawn({
        let ports = ports.clone();
        async move { ports.run(CancellationToken::new()).await }
    });
    eventually("following", &ports, || engine.is_followed()).await;
    let port = free_port();
    let published = json!([{
        "Protocol": "tcp",
        "TargetPort": 80,
        "PublishedPort": port,
        "PublishMode": "ingress",
    }]);
    engine.serve(json!([{"ID": "q1", "Spec": {"Name": "web"}, "Endpoint": {"Ports": published}}]));
    eventually("the service's port", &ports, || at(&ports, local(port)).is_some()).await;
    let _connection = TcpStream::connect(local(port)).await.unwrap();
    within("the far end", far_ends.recv()).await.unwrap();
    assert_eq!(
        (ports.list()[0].container.as_str(), &ports.list()[0].state),
        ("web", &PortState::Open)
    );
    engine.serve(json!([]));
    eventually("its end", &ports, || is_free(port)).await;
    following.abort();
}

#[tokio::test]
async fn an_ingress_port_leads_to_the_machine_and_a_host_mode_port_belongs_to_its_task() {
    let (engine, ports, _, mut far_ends) = rig();
    let following = tokio::spawn({
        let ports = ports.clone();
        async move { ports.run(CancellationToken::new()).await }
    });
    eventually("following", &ports, || engine.is_followed()).await;
    let (ingress, other, host_mode) = (free_port(), free_port(), free_port());
    let services = |published: u16| {
        let port = |target: u16, published: u16, mode: &str| {
            json!({
                "Protocol": "tcp",
                "TargetPort": target,
                "PublishedPort": published,
                "PublishMode": mode,
            })
        };
        let published = [port(80, published, "ingress"), port(81, host_mode, "host")];
        json!([{"ID": "q1", "Spec": {"Name": "web"}, "Endpoint": {"Ports": published}}])
    };
    let container = |port: u16| at(&ports, local(port));
    engine.create("task", &[host_mode]);
    engine.start("task");
    engine.serve(services(ingress));
    eventually("both ports", &ports, || {
        container(ingress).is_some() && container(host_mode).is_some()
    })
    .await;
    assert_eq!(
        (container(ingress), container(host_mode)),
        (Some("web".into()), Some("task".into()))
    );
    let listed = ports.list();
    let foreign =
        listed.iter().find(|status| status.local.port() == host_mode && status.container != "task");
    assert!(foreign.is_none(), "the service claims its task's port: {listed:?}");
    // The machine's ingress network chooses the task, and listens in both families.
    let families = [local(ingress), v6(ingress)];
    for address in families.into_iter().filter(|at| at.is_ipv4() || has_ipv6()) {
        let before = engine.destinations().len();
        let _connection = TcpStream::connect(address).await.unwrap();
        within("the far end", far_ends.recv()).await.unwrap();
        assert_eq!(engine.destinations()[before..], [format!("127.0.0.1:{ingress}")], "{address}");
    }
    // The service gets another number.
    engine.serve(services(other));
    eventually("the other number", &ports, || container(other).is_some()).await;
    assert!(is_free(ingress), "the number before is free");
    assert_eq!(container(host_mode).as_deref(), Some("task"));
    following.abort();
}

#[tokio::test]
async fn a_task_in_overlay_networks_is_reached_by_its_bridge() {
    let (engine, ports, ..) = rig();
    engine.create("task", &[]);
    engine.put_in_an_overlay("task");
    start(&engine, &ports, "task").await;
    let made = ports.add(format!("{}:task:80", free_port()).parse().unwrap()).unwrap();
    assert_eq!(made[0].remote.as_ref().unwrap().to_string(), "172.18.0.3:80");
}
