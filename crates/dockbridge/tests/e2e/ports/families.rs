//! Publications of both address families, compared with the engine itself: each number of each
//! family forwards to the container that the engine reports.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::time::Instant;

use super::{AWAKE, ask_for, free_port, has_ipv6, local, local_v6, shown, try_connect};
use crate::rig::{Stage, pass_over};

/// How often containers are started side by side. The full measure is 20.
fn rounds() -> u32 {
    std::env::var("DOCKBRIDGE_FAMILY_ROUNDS")
        .map_or(2, |rounds| rounds.parse().expect("a number of rounds"))
}

/// A container that answers with its own name.
pub async fn run_named(stage: &Stage, name: &str, publish: &[&str]) -> crate::rig::Ran {
    let serve = format!("mkdir -p /w && echo {name} >/w/name && exec httpd -f -p 80 -h /w");
    let mut arguments = vec!["run", "-d", "--name", name];
    arguments.extend(publish.iter().flat_map(|publish| ["-p", publish]));
    arguments.extend(["tiny", "sh", "-c", &serve]);
    stage.docker(&arguments).await
}

/// Name of the container that answers there; `None` without a listener. The port must accept at
/// the first try, and another container's name is an answer.
pub async fn who_answers(at: SocketAddr) -> Option<String> {
    tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        loop {
            match try_connect(at).ok()?.map(|stream| ask_for(stream, "/name")) {
                Some(Ok(answer)) if answer.starts_with("HTTP/1.") => {
                    return Some(answer.lines().last().unwrap_or_default().to_owned());
                }
                other => {
                    assert!(begun.elapsed() < AWAKE, "{at} accepts and does not answer: {other:?}")
                }
            }
        }
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_number_of_each_family_leads_to_the_container_that_has_it_on_the_engine() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    if !has_ipv6() {
        testkit::passed_over!("there is no IPv6 here");
        return stage.close().await;
    }
    let daemon = stage.start(&[]).await;
    stage.make_image("tiny").await;
    numbers_that_the_engine_counts_apart(&stage).await;
    one_number_of_two_containers(&stage).await;
    let seed = std::env::var("DOCKBRIDGE_TEST_SEED")
        .map_or_else(|_| rand::random(), |seed| seed.parse().expect("a number"));
    eprintln!("DOCKBRIDGE_TEST_SEED={seed}");
    let mut draw = StdRng::seed_from_u64(seed);
    for _ in 0..rounds() {
        side_by_side(&stage, &mut draw).await;
    }
    daemon.stop().await;
    stage.close().await;
}

/// The IPv6 number of one is the IPv4 number of the next.
async fn numbers_that_the_engine_counts_apart(stage: &Stage) {
    run_named(stage, "bb", &["[::]::80"]).await.succeeded();
    run_named(stage, "cc", &["80"]).await.succeeded();
    let number = shown(stage, "cc", "80/tcp").await;
    assert_eq!(who_answers(local(number)).await.as_deref(), Some("cc"));
    as_on_the_engine(stage, &["bb", "cc"]).await;
    stage.docker(&["rm", "-f", "bb", "cc"]).await.succeeded();
}

async fn one_number_of_two_containers(stage: &Stage) {
    let port = free_port();
    let (four, six) = (format!("0.0.0.0:{port}:80"), format!("[::]:{port}:80"));
    for (first, second) in [(("four", &four), ("six", &six)), (("six", &six), ("four", &four))] {
        run_named(stage, first.0, &[first.1]).await.succeeded();
        for at in [local(port), local_v6(port)] {
            assert_eq!(who_answers(at).await.as_deref(), Some(first.0), "nobody else has {at}");
        }
        run_named(stage, second.0, &[second.1]).await.succeeded();
        assert_eq!(who_answers(local(port)).await.as_deref(), Some("four"));
        assert_eq!(who_answers(local_v6(port)).await.as_deref(), Some("six"));
        stage.docker(&["rm", "-f", second.0]).await.succeeded();
        for at in [local(port), local_v6(port)] {
            assert_eq!(who_answers(at).await.as_deref(), Some(first.0), "{at} is lent again");
        }
        stage.docker(&["rm", "-f", first.0]).await.succeeded();
        assert_eq!(who_answers(local_v6(port)).await, None);
    }
}

/// Six containers at once with all kinds of numbers; then half of them are restarted at once, and
/// the numbers that the engine chooses change.
async fn side_by_side(stage: &Stage, draw: &mut StdRng) {
    let fixed: [u16; 3] = std::array::from_fn(|_| free_port());
    let names: [String; 6] = std::array::from_fn(|number| format!("n{number}"));
    let started = names.iter().map(|name| {
        let host = ["", "0.0.0.0:", "[::]:", "127.0.0.1:", "[::1]:"][draw.random_range(0..5)];
        let port = if draw.random_bool(0.5) {
            fixed[draw.random_range(0..3)].to_string()
        } else {
            String::new()
        };
        let publish = match (host, port.as_str()) {
            ("", "") => "80".to_owned(),
            (host, port) => format!("{host}{port}:80"),
        };
        async move {
            let ran = run_named(stage, name, &[&publish]).await;
            // Two that ask for one number: the engine refuses one, or this computer does.
            if !ran.status.success() {
                ran.failed_with("already ");
                stage.docker(&["rm", "-f", name]).await.succeeded();
            }
            (name.as_str(), publish, ran.status.success())
        }
    });
    let started = futures::future::join_all(started).await;
    eprintln!("{started:?}");
    let running: Vec<&str> =
        started.iter().filter(|(.., runs)| *runs).map(|(name, ..)| *name).collect();
    assert!(!running.is_empty());
    as_on_the_engine(stage, &running).await;
    let again = running
        .iter()
        .step_by(2)
        .map(|name| async move { stage.docker(&["restart", "-t", "0", name]).await });
    let restarted = futures::future::join_all(again.collect::<Vec<_>>()).await;
    for ran in restarted {
        ran.succeeded();
    }
    as_on_the_engine(stage, &running).await;
    stage.docker(&[&["rm", "-f"], &running[..]].concat()).await.succeeded();
}

/// Compares the engine's report of each container with the answers here.
async fn as_on_the_engine(stage: &Stage, containers: &[&str]) {
    let mut owners: BTreeMap<SocketAddr, &str> = BTreeMap::new();
    for name in containers {
        let ports = stage.docker(&["inspect", "-f", "{{json .NetworkSettings.Ports}}", name]).await;
        let ports: serde_json::Value = serde_json::from_str(&ports.succeeded().stdout).unwrap();
        for binding in ports["80/tcp"]
            .as_array()
            .unwrap_or_else(|| panic!("{name} publishes nothing: {ports}"))
        {
            let host: IpAddr = binding["HostIp"].as_str().unwrap().parse().unwrap();
            let at = SocketAddr::new(host, binding["HostPort"].as_str().unwrap().parse().unwrap());
            assert_eq!(owners.insert(at, name), None, "{at} has two owners on the engine");
        }
    }
    let who = |ip: IpAddr, port: u16| {
        let any =
            |is_v4: bool| if is_v4 { IpAddr::from([0, 0, 0, 0]) } else { IpAddr::from([0; 16]) };
        let candidates = [ip, any(ip.is_ipv4()), any(!ip.is_ipv4())];
        candidates.iter().find_map(|host| owners.get(&SocketAddr::new(*host, port))).copied()
    };
    for at in owners.keys().flat_map(|at| [local(at.port()), local_v6(at.port())]) {
        let expected = who(at.ip(), at.port());
        assert_eq!(
            who_answers(at).await.as_deref(),
            expected,
            "{at} with {owners:#?}\n{:#?}",
            super::listed(stage).await
        );
    }
}
