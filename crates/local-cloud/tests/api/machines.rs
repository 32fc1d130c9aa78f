//! The API with real machines behind it, once from order to deletion. Needs root.

use std::time::Duration;

use dockbridge_local_cloud::{Cloud, Machines};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::rig::{Rig, TOKEN, options};

/// Ceiling; a boot takes much less.
const CEILING: Duration = Duration::from_secs(60);

async fn ended_well(rig: &Rig, answer: crate::rig::Answer) -> crate::rig::Answer {
    let waiting = async {
        for id in answer.actions() {
            loop {
                let action = rig.get(&format!("/actions/{id}")).await.body["action"].clone();
                match action["status"].as_str().unwrap() {
                    "success" => break,
                    "running" => tokio::time::sleep(Duration::from_millis(50)).await,
                    _ => panic!("{action:#}"),
                }
            }
        }
    };
    tokio::time::timeout(CEILING, waiting).await.expect("an action did not end");
    answer
}

async fn answers(ip: &str, port: u16) -> bool {
    let tried =
        tokio::time::timeout(Duration::from_millis(500), TcpStream::connect((ip, port))).await;
    matches!(tried, Ok(Ok(_)))
}

async fn reached(ip: &str) {
    let reached = async {
        while !answers(ip, 22).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(CEILING, reached).await.expect("sshd never answered");
}

#[tokio::test]
async fn a_server_of_the_api_is_a_reachable_machine() {
    if !rustix::process::geteuid().is_root() {
        testkit::passed_over!("real machines need root");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut real = options(&directory);
    real.machines = Machines::Nspawn;
    let rig = Rig::around(Cloud::start(real).await.unwrap(), directory);
    let beside = rig.cloud.machine_endpoint().unwrap();
    let seen = rig.http.get(format!("{beside}/servers")).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(seen.status(), 200, "the API answers on the machines' bridge");

    let volume = ended_well(
        &rig,
        rig.post("/volumes", json!({"name": "v", "size": 10, "location": "fsn1"})).await,
    )
    .await
    .id("volume");
    let rules =
        json!([{"direction": "in", "protocol": "tcp", "port": "22", "source_ips": ["0.0.0.0/0"]}]);
    let firewall =
        ended_well(&rig, rig.post("/firewalls", json!({"name": "f", "rules": rules})).await)
            .await
            .id("firewall");
    let order = json!({
        "name": "s",
        "server_type": "cx23",
        "image": "docker-ce",
        "location": "fsn1",
        "volumes": [volume],
        "firewalls": [{"firewall": firewall}],
    });
    let made = ended_well(&rig, rig.post("/servers", order).await).await;
    let server = made.id("server");
    let ip = made.body["server"]["public_net"]["ipv4"]["ip"].as_str().unwrap().to_owned();
    reached(&ip).await;

    rig.control(Method::POST, &format!("/servers/{server}/power_cut"), json!({})).await.expect(200);
    assert!(!answers(&ip, 22).await, "the power is cut");
    let status =
        async || rig.get(&format!("/servers/{server}")).await.body["server"]["status"].clone();
    assert_eq!(status().await, "off");
    let rebuilt = ended_well(
        &rig,
        rig.post(&format!("/servers/{server}/actions/rebuild"), json!({"image": "debian-12"}))
            .await,
    )
    .await;
    rebuilt.expect(201);
    let after = rig.get(&format!("/servers/{server}")).await.body["server"].clone();
    assert_eq!(
        (&after["public_net"]["ipv4"]["ip"], &after["volumes"]),
        (&json!(ip), &json!([volume]))
    );
    let shutdown = rig.post(&format!("/servers/{server}/actions/shutdown"), json!({})).await;
    ended_well(&rig, shutdown).await;
    let obeys = async {
        while status().await != "off" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(CEILING, obeys).await.expect("the system does not obey the power button");

    let rig = restarted(rig).await;
    ended_well(&rig, rig.post(&format!("/servers/{server}/actions/poweron"), json!({})).await)
        .await;
    ended_well(&rig, rig.delete(&format!("/servers/{server}")).await).await;
    assert_eq!(rig.get(&format!("/volumes/{volume}")).await.body["volume"]["server"], Value::Null);
    rig.delete(&format!("/volumes/{volume}")).await.expect(204);
    let gateway = rig.cloud.machine_endpoint().unwrap();
    let gateway = reqwest::Url::parse(&gateway).unwrap().host_str().unwrap().to_owned();
    std::net::TcpListener::bind((gateway.as_str(), 0))
        .expect("the bridge's address is this host's");
    rig.cloud.close().await;
    assert!(std::net::TcpListener::bind((gateway.as_str(), 0)).is_err(), "the bridge still exists");
}

async fn restarted(rig: Rig) -> Rig {
    let Rig { cloud, directory, .. } = rig;
    cloud.close().await;
    let mut real = options(&directory);
    real.machines = Machines::Nspawn;
    Rig::around(Cloud::start(real).await.unwrap(), directory)
}
