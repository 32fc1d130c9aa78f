//! A machine without an agent for its architecture: connections use plain SSH channels, datagrams
//! are refused with a message.

use std::net::UdpSocket;

use super::{echoed, free_port, listed, local, make_peer};
use crate::rig::{Stage, foreign_agent, pass_over};

#[tokio::test(flavor = "multi_thread")]
async fn without_an_agent_connections_work_and_datagrams_are_refused() {
    let Some(mut stage) = Stage::new().await else { return pass_over() };
    foreign_agent(&mut stage);
    let daemon = stage.start(&[]).await;
    make_peer(&stage).await;
    let port = free_port();
    let (tcp, udp) = (format!("{port}:7"), format!("{port}:7/udp"));
    stage.docker(&["run", "-d", "--name", "web", "-p", &tcp, "-p", &udp, "peer"]).await.succeeded();
    echoed(local(port)).await;
    assert!(UdpSocket::bind(local(port)).is_ok(), "nothing pretends to carry them");
    let output = "UDP needs the agent, and none runs on the machine";
    let ports = listed(&stage).await;
    let datagrams = ports.iter().find(|port| port["protocol"] == "udp").unwrap();
    assert_eq!(datagrams["state"]["state"], "unavailable", "{datagrams}");
    assert!(datagrams["state"]["why"].as_str().unwrap().starts_with(output), "{datagrams}");
    assert!(stage.dockbridge(&["status"]).await.succeeded().stdout.contains(output));
    assert!(stage.daemon_log().lines().any(|line| line.contains("WARN") && line.contains(output)));
    daemon.stop().await;
    stage.close().await;
}
