//! Exposure: what answers on a machine, and to whom.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hetzner::{FirewallTarget, Query};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::rig::{Ran, Stage, pass_over};

/// A dropped packet is never answered; on this host an answer takes a millisecond.
const SILENCE: Duration = Duration::from_secs(1);

const USER_DATA_V6: &str = "fe80::a9fe:a9fe%host0";
const USER_DATA: &str = "http://169.254.169.254/hetzner/v1/userdata";

#[tokio::test]
async fn containers_cannot_read_the_machines_user_data() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    stage.make_image("tiny").await;
    // Like a new network or a lease does.
    stage.on_machine("networkctl reconfigure host0").await.succeeded();
    for network in ["bridge", "host"] {
        let read = ask(&stage, network, "169.254.169.254").await;
        assert!(
            read.stdout.is_empty() && read.status.code() == Some(1),
            "on the {network} network: {read}"
        );
        read.failed_with("nc: ");
    }
    assert!(
        !stage.on_machine(&format!("curl -sS -m 3 {USER_DATA}")).await.status.success(),
        "it is closed to the whole machine"
    );

    // The machine is what blocks it, not the service: the same requests succeed as soon as its
    // route is removed.
    stage.on_machine("ip route delete blackhole 169.254.169.254/32").await.succeeded();
    let read = stage.on_machine(&format!("curl -sS -m 3 {USER_DATA}")).await;
    assert!(read.succeeded().stdout.starts_with("#cloud-config\n"), "{read}");
    for network in ["bridge", "host"] {
        is_answered(&stage, network, "169.254.169.254").await;
    }
    containers_cannot_read_it_by_ipv6(&stage).await;
    daemon.stop().await;
    stage.close().await;
}

/// Reachable from the host's network; a container in a network of its own has no link to the
/// service.
async fn containers_cannot_read_it_by_ipv6(stage: &Stage) {
    let read = ask(stage, "host", USER_DATA_V6).await;
    read.failed_with("nc: ");
    assert!(read.stdout.is_empty(), "{read}");
    stage.on_machine("networkctl reconfigure host0 && networkctl reload").await.succeeded();
    let asked = stage
        .on_machine(&format!("curl -sS -m 3 -g 'http://[{USER_DATA_V6}]/hetzner/v1/userdata'"))
        .await;
    asked.failed_with("Could not connect");
    let sockets = stage.on_machine("systemctl is-enabled cloud-init-hotplugd.socket").await;
    assert_eq!(
        sockets.stdout.trim(),
        "masked",
        "it would ask the service for each container: {sockets}"
    );

    // As above: the same request succeeds as soon as the rule is removed.
    stage
        .on_machine(&format!("ip -6 rule delete to {}", USER_DATA_V6.trim_end_matches("%host0")))
        .await
        .succeeded();
    is_answered(stage, "host", USER_DATA_V6).await;
}

/// The service may close the connection of a client that has sent everything, before it answers:
/// then the client retries.
async fn is_answered(stage: &Stage, network: &str, address: &str) {
    let read =
        async || ask(stage, network, address).await.stdout.contains("\r\n\r\n#cloud-config\n");
    stage
        .eventually(
            &format!("{address} answers on the {network} network"),
            Duration::from_secs(20),
            read,
        )
        .await;
}

async fn ask(stage: &Stage, network: &str, address: &str) -> Ran {
    // The static busybox cannot resolve names, which its wget does first even without a name.
    let ask =
        format!("printf 'GET /hetzner/v1/userdata HTTP/1.0\\r\\n\\r\\n' | nc -w 3 {address} 80");
    stage.docker(&["run", "--rm", "--network", network, "tiny", "sh", "-c", &ask]).await
}

#[tokio::test]
async fn a_machine_answers_on_the_ssh_port_only_and_here_only_localhost_does() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    stage.make_image("tiny").await;
    let port = free_port().await;
    let published = format!("0.0.0.0:{port}:80");
    let serve = [
        "run",
        "-d",
        "--name",
        "web",
        "-p",
        &published,
        "tiny",
        "sh",
        "-c",
        "echo hello >/index.html; httpd -f -h /",
    ];
    stage.docker(&serve).await.succeeded();
    let server = stage.api.servers().list(&Query::default()).await.unwrap().remove(0);
    let machine = IpAddr::V4(server.public_net.ipv4.as_ref().unwrap().ip);

    stage
        .eventually("localhost answers", Duration::from_secs(10), async || {
            fetch(Ipv4Addr::LOCALHOST.into(), port).await
        })
        .await;
    assert!(answers(machine, 22).await, "sshd is admitted");
    for closed in [2375, 2376, port] {
        assert!(!answers(machine, closed).await, "port {closed} of the machine answers");
    }
    let here: IpAddr = stage
        .cloud
        .machine_endpoint()
        .unwrap()
        .parse::<url::Url>()
        .unwrap()
        .host_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        !answers(here, port).await,
        "the published port answers on {here}, not only on localhost"
    );

    a_taken_port_keeps_a_container_from_running(&stage).await;
    only_ssh_and_the_port_are_open_on_the_machine(&stage, port).await;

    // The firewall is what closes it.
    let firewall = server.public_net.firewalls[0].id;
    let taken =
        stage.api.firewalls().remove(firewall, &[FirewallTarget::server(server.id)]).await.unwrap();
    stage.api.wait(taken).await.unwrap();
    assert!(fetch(machine, port).await, "the container is reached without it");
    assert!(
        !answers(machine, 2375).await && !answers(machine, 2376).await,
        "dockerd is not, even so"
    );
    daemon.stop().await;
    stage.close().await;
}

async fn a_taken_port_keeps_a_container_from_running(stage: &Stage) {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let local = taken.local_addr().unwrap();
    let refused = stage
        .docker(&[
            "run",
            "-d",
            "--name",
            "other",
            "-p",
            &format!("{}:80", local.port()),
            "tiny",
            "httpd",
            "-f",
        ])
        .await;
    assert_eq!(refused.status.code(), Some(125), "{refused}");
    refused.failed_with(&format!("Bind for {local} failed: port is already allocated"));
    assert_eq!(stage.docker(&["ps", "--format", "{{.Names}}"]).await.succeeded().stdout, "web\n");
}

async fn only_ssh_and_the_port_are_open_on_the_machine(stage: &Stage, port: u16) {
    // On the machine, the container's port is open to all, as requested, and dockerd has no
    // listener.
    let sockets = stage.on_machine("ss --no-header --listening --tcp --numeric --processes").await;
    let open: Vec<&str> = sockets.succeeded().stdout.lines().collect();
    assert!(open.iter().any(|line| line.contains(&format!("0.0.0.0:{port} "))), "{sockets}");
    assert!(!open.iter().any(|line| line.contains("\"dockerd\"")), "{sockets}");
    let for_all =
        |line: &&&str| line.contains("0.0.0.0:") || line.contains("[::]:") || line.contains(" *:");
    for line in open.iter().filter(|line| !line.contains("127.0.0.")).filter(for_all) {
        assert!(
            line.contains(":22 ") || line.contains(&format!(":{port} ")),
            "{line} is open to all: {sockets}"
        );
    }
}

async fn free_port() -> u16 {
    TcpListener::bind("0.0.0.0:0").await.unwrap().local_addr().unwrap().port()
}

async fn answers(host: IpAddr, port: u16) -> bool {
    matches!(timeout(SILENCE, TcpStream::connect(SocketAddr::new(host, port))).await, Ok(Ok(_)))
}

async fn fetch(host: IpAddr, port: u16) -> bool {
    let exchange = async {
        let mut stream = TcpStream::connect(SocketAddr::new(host, port)).await?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        std::io::Result::Ok(text)
    };
    matches!(timeout(SILENCE, exchange).await, Ok(Ok(text)) if text.ends_with("hello\n"))
}
