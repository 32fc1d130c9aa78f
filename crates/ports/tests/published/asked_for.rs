//! Settings and manual forwards: another port on conflict, rules, addresses, manual forwards.

use std::net::{SocketAddr, TcpListener};

use dockbridge_ports::{AddError, Local, OnConflict, Options, PortState, Ports, Rules};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use tokio::net::TcpStream;

use crate::engine::{Engine, eventually, free_port, is_free, local, rig, rig_with, within};

async fn start(engine: &Engine, ports: &Ports, id: &str) {
    let reservation = ports.reserve(id).await.unwrap();
    engine.start_silently(id, 0);
    reservation.open().await.unwrap();
}

fn v6(port: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port))
}

#[tokio::test]
async fn another_port_is_chosen_for_one_in_use_and_is_listed() {
    let (engine, ports, _, mut far_ends) =
        rig_with(Options { on_conflict: OnConflict::Increment, ..Options::default() });
    let taken = TcpListener::bind(local(0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    engine.create("web", &[port]);
    start(&engine, &ports, "web").await;
    let status = &ports.list()[0];
    assert_eq!((status.asked_for, &status.state), (Some(local(port)), &PortState::Open));
    assert!(status.local.port() >= port.saturating_add(1000), "{status:?}");
    let _connection = TcpStream::connect(status.local).await.unwrap();
    within("the far end", far_ends.recv()).await.unwrap();
    // A second container with the same port gets a third one.
    engine.create("other", &[port]);
    start(&engine, &ports, "other").await;
    let chosen: Vec<_> = ports.list().iter().map(|status| status.local).collect();
    assert!(chosen.len() == 2 && chosen[0] != chosen[1], "{chosen:?}");
}

#[tokio::test]
async fn a_port_in_use_on_the_other_loopback_only_is_a_conflict_too() {
    let Ok(taken) = TcpListener::bind(v6(0)) else {
        return testkit::passed_over!("there is no IPv6 here");
    };
    let (engine, ports, ..) = rig();
    let port = taken.local_addr().unwrap().port();
    engine.create("web", &[port]);
    let conflict = ports.reserve("web").await.err().unwrap();
    assert_eq!((conflict.local, conflict.why.as_str()), (v6(port), "port is already allocated"));
    assert!(is_free(port));
    // A container that publishes on one address only has no such conflict.
    engine.create_with("four", &[("80/tcp", "0.0.0.0", port)]);
    start(&engine, &ports, "four").await;
    assert_eq!(ports.list()[0].addresses, [local(port)]);
}

#[tokio::test]
async fn both_loopbacks_answer_and_a_named_address_is_honored() {
    let (engine, ports, _, mut far_ends) = rig();
    let (all, own) = (free_port(), free_port());
    engine.create_with("web", &[("80/tcp", "", all), ("81/tcp", "127.0.0.2", own)]);
    start(&engine, &ports, "web").await;
    let second = SocketAddr::from(([127, 0, 0, 2], own));
    assert!(is_free(own));
    let mut addresses = vec![local(all), second];
    addresses.extend(TcpListener::bind(v6(0)).is_ok().then_some(v6(all)));
    for at in addresses {
        let _connection = TcpStream::connect(at).await.unwrap();
        within("the far end", far_ends.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn excluded_ports_are_neither_reserved_nor_opened() {
    let rules = Rules {
        include: vec!["1024-65535".parse().unwrap()],
        exclude: vec!["we*:1-65535/tcp".parse().unwrap()],
    };
    let (engine, ports, ..) = rig_with(Options { rules, ..Options::default() });
    let taken = TcpListener::bind(local(0)).unwrap();
    engine.create("web", &[taken.local_addr().unwrap().port()]);
    start(&engine, &ports, "web").await;
    assert!(ports.list().is_empty());
    let port = free_port();
    engine.create("other", &[port]);
    start(&engine, &ports, "other").await;
    assert!(!is_free(port));
}

#[tokio::test]
async fn a_manual_forward_wins_and_follows_its_container_and_keeps_its_address() {
    let (engine, ports, _, mut far_ends) = rig();
    let port = free_port();
    engine.create("web", &[port]);
    engine.create("tool", &[]);
    start(&engine, &ports, "web").await;
    start(&engine, &ports, "tool").await;
    let forward = |text: String| text.parse().unwrap();
    let made = ports.add(forward(format!("{port}:tool:3000"))).unwrap();
    assert_eq!(
        (made[0].container.as_str(), made[0].container_port, &made[0].state),
        ("tool", 3000, &PortState::Open)
    );
    assert_eq!(made[0].remote.as_ref().unwrap().to_string(), "172.17.0.9:3000");
    let _connection = TcpStream::connect(local(port)).await.unwrap();
    within("the far end", far_ends.recv()).await.unwrap();
    let web = |ports: &Ports| {
        ports.list().into_iter().find(|status| status.container == "web").unwrap().state
    };
    assert_eq!(web(&ports), PortState::Unavailable { why: "port is already allocated".into() });

    engine.die_silently("tool");
    ports.settle("tool").await;
    assert!(is_free(port), "its container does not run");
    assert!(matches!(
        ports.list().iter().find(|status| status.by_hand).unwrap().state,
        PortState::Waiting { .. }
    ));
    // Its address stays reserved for it.
    engine.create("late", &[port]);
    assert_eq!(ports.reserve("late").await.err().unwrap().why, "port is already allocated");
    start(&engine, &ports, "tool").await;
    assert!(!is_free(port));

    assert!(matches!(ports.add(forward(format!("{port}:web:1"))), Err(AddError::Exists { .. })));
    let here: Local = port.to_string().parse().unwrap();
    assert!(ports.remove(here) && !ports.remove(here));
    assert_eq!(web(&ports), PortState::Open, "it gets the port back");
}

#[tokio::test]
async fn an_unreachable_container_of_a_rootless_engine_is_listed_with_the_reason() {
    for rootless in [false, true] {
        let (engine, ports, ..) = rig();
        engine.create("web", &[free_port()]);
        start(&engine, &ports, "web").await;
        if rootless {
            engine.run_rootless();
        }
        engine.refuse_connections();
        let port = free_port();
        ports.add(format!("{port}:web:80").parse().unwrap()).unwrap();
        drop(TcpStream::connect(local(port)).await.unwrap());
        let error = || {
            ports.list().iter().find(|status| status.by_hand)?.traffic.recent.first()?.error.clone()
        };
        let is_known = || {
            error().is_some_and(|error| {
                error.starts_with("connection refused") && error.contains("rootless") == rootless
            })
        };
        eventually("the reason", &ports, is_known).await;
    }
}

#[tokio::test]
async fn an_unavailable_manual_forward_is_refused_and_forgotten() {
    let (engine, ports, ..) = rig();
    engine.create("tool", &[]);
    start(&engine, &ports, "tool").await;
    let taken = TcpListener::bind(local(0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    for container in ["tool", "nobody"] {
        let refused = ports.add(format!("{port}:{container}:80").parse().unwrap()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("127.0.0.1:{port} cannot be listened on: port is already allocated")
        );
    }
    let exposed = ports.add("0.0.0.0:8080:tool:80".parse().unwrap()).unwrap_err();
    assert!(matches!(exposed, AddError::Exposed { .. }), "{exposed}");
    assert!(ports.list().is_empty());
}

#[tokio::test]
async fn a_privileged_port_is_refused_with_a_hint() {
    // Capabilities of this thread only, on which everything here runs.
    let Ok(mut own) = capabilities(None) else {
        return testkit::passed_over!("this kernel reports no capabilities");
    };
    own.effective.remove(CapabilitySet::NET_BIND_SERVICE);
    set_capabilities(None, own).unwrap();
    if TcpListener::bind(local(81)).is_ok() {
        return testkit::passed_over!("this computer lets every user listen on low ports");
    }
    let (engine, ports, ..) =
        rig_with(Options { on_conflict: OnConflict::Increment, ..Options::default() });
    engine.create("web", &[81]);
    let conflict = ports.reserve("web").await.err().unwrap().to_string();
    assert!(
        conflict.contains(
            "Bind for 127.0.0.1:81 failed: permission denied: this computer lets only root \
             listen on port 81"
        ),
        "{conflict}"
    );
    assert!(conflict.contains("sysctl net.ipv4.ip_unprivileged_port_start=81"), "{conflict}");
}
