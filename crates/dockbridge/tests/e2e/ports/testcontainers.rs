//! Testcontainers of npm and PyPI, six of each in parallel, next to publications of one family
//! only: each answers as itself. Their numbers are IPv4 ones, so `[::1]` is not used: with a local
//! engine, too, the same IPv6 number may belong to another container.

use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

use super::families::run_named;
use crate::rig::{Ran, Stage, pass_over, run};

/// The full measure is 100.
fn rounds() -> u32 {
    std::env::var("DOCKBRIDGE_TESTCONTAINERS_ROUNDS")
        .map_or(2, |rounds| rounds.parse().expect("a number of rounds"))
}

/// Prints one line for each container: its name, an address, and the name that answers there.
const NPM: &str = r#"
const { GenericContainer, Wait } = require("testcontainers");
const one = async (name) => {
  const command = ["sh", "-c", `mkdir -p /w && echo ${name} >/w/name && exec httpd -f -p 80 -h /w`];
  const strategy = Wait.forHttp("/name", 80);
  const container = await new GenericContainer("tiny")
    .withExposedPorts(80).withCommand(command).withWaitStrategy(strategy).start();
  for (const host of [container.getHost()]) {
    const answer = await fetch(`http://${host}:${container.getMappedPort(80)}/name`);
    console.log(name, `${host}:${container.getMappedPort(80)}`, (await answer.text()).trim());
  }
  return container;
};
(async () => {
  const started = await Promise.all(Array.from({ length: 6 }, (_, number) => one(`npm-${number}`)));
  await Promise.all(started.map((container) => container.stop({ timeout: 0 })));
})();
"#;

const PYPI: &str = r#"
import sys, time, urllib.request
from concurrent.futures import ThreadPoolExecutor
from testcontainers.core.container import DockerContainer

def one(name):
    command = ["sh", "-c", f"mkdir -p /w && echo {name} >/w/name && exec httpd -f -p 80 -h /w"]
    container = DockerContainer("tiny").with_exposed_ports(80).with_command(command).start()
    port = container.get_exposed_port(80)
    for host in [container.get_container_host_ip()]:
        ceiling = time.monotonic() + 20
        while True:
            try:
                reply = urllib.request.urlopen(f"http://{host}:{port}/name", timeout=10)
                answer = reply.read().decode().strip()
                break
            except OSError:
                # The program in the container may not listen yet.
                if time.monotonic() > ceiling:
                    raise OSError(f"{name} does not answer at {host}:{port}")
                time.sleep(0.05)
        # One write: the threads share the output.
        sys.stdout.write(f"{name} {host}:{port} {answer}\n")
        sys.stdout.flush()
    return container

with ThreadPoolExecutor(6) as pool:
    started = list(pool.map(one, [f"pypi-{number}" for number in range(6)]))
    list(pool.map(lambda container: container.stop(), started))
"#;

/// The directory with both clients, or `None` with the reason printed.
fn clients() -> Option<PathBuf> {
    let directory = std::env::var_os("DOCKBRIDGE_TEST_SUITES")
        .map(|suites| Path::new(&suites).join("testcontainers"));
    let found = directory.filter(|directory| {
        directory.join("node_modules").is_dir() && directory.join("python/bin/python").exists()
    });
    if found.is_none() {
        testkit::passed_over!("DOCKBRIDGE_TEST_SUITES names no directory with testcontainers");
    }
    found
}

async fn through(stage: &Stage, directory: &Path, program: &Path, arguments: &[&str]) -> Ran {
    let mut command = stage.command(program);
    command.args(arguments).current_dir(directory);
    command.env("DOCKER_HOST", format!("unix://{}", stage.socket().display()));
    // Its image is not available here; the test removes what it would remove.
    command.env("TESTCONTAINERS_RYUK_DISABLED", "true");
    // If the tests run in a container, both clients would take its gateway for the engine's
    // computer. `localhost` may be `::1`, but the number is an IPv4 one.
    command
        .env("TESTCONTAINERS_CONNECTION_MODE", "docker_host")
        .env("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1");
    run(command, "").await
}

/// Checks that each line's container is the one that answered.
fn answered_as_themselves(ran: &Ran) {
    let lines: Vec<Vec<&str>> =
        ran.succeeded().stdout.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!(lines.len(), 6, "{ran}");
    assert!(lines.iter().all(|line| line.len() == 3 && line[0] == line[2]), "{ran}");
}

#[tokio::test(flavor = "multi_thread")]
async fn six_testcontainers_in_parallel_answer_as_themselves_after_publications_of_one_family() {
    let Some(directory) = clients() else { return };
    let Some(stage) = Stage::new().await else { return pass_over() };
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        testkit::passed_over!("there is no IPv6 here");
        return stage.close().await;
    }
    let daemon = stage.start(&[]).await;
    stage.make_image("tiny").await;
    let python = directory.join("python/bin/python");
    for round in 0..rounds() {
        // The engine's numbers of both families drift apart by another count each time.
        let before: Vec<String> =
            (0..=round % 4).map(|number| format!("one-family-{number}")).collect();
        for (number, name) in before.iter().enumerate() {
            let publish = if number % 3 == 2 { "0.0.0.0::80" } else { "[::]::80" };
            run_named(&stage, name, &[publish]).await.succeeded();
        }
        let npm = through(&stage, &directory, Path::new("node"), &["-e", NPM]);
        let pypi = through(&stage, &directory, &python, &["-c", PYPI]);
        let (npm, pypi) = tokio::join!(npm, pypi);
        eprintln!(
            "round {round}: npm {:.1} s, PyPI {:.1} s",
            npm.took.as_secs_f64(),
            pypi.took.as_secs_f64()
        );
        if !npm.status.success() || !pypi.status.success() {
            let ps =
                stage.docker(&["ps", "-a", "--format", "{{.Names}} {{.Status}} {{.Ports}}"]).await;
            eprintln!("{ps}\n{}", stage.dockbridge(&["ports"]).await);
        }
        answered_as_themselves(&npm);
        answered_as_themselves(&pypi);
        let names: Vec<&str> = before.iter().map(String::as_str).collect();
        stage.docker(&[&["rm", "-f"], &names[..]].concat()).await.succeeded();
    }
    daemon.stop().await;
    stage.close().await;
}
