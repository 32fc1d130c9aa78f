//! The story, step by step: what a user types and sees, and whether it is true.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use api::Code;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::stage::{BUSYBOX, Counts, Stage};
use crate::failure::{Failure, Outcome};
use crate::output::{follow_wake, say, seconds};

const READY_WITHIN: Duration = Duration::from_secs(2);
const LONGEST_WAKE: Duration = Duration::from_secs(180);
const LONGEST_IDLE: Duration = Duration::from_secs(120);
const LONGEST_FETCH: Duration = Duration::from_secs(10);
const NOTHING: Counts = Counts { servers: 0, volumes: 0, keys: 0, firewalls: 0 };
const PAGE: &str = "hello from the machine\n";

pub async fn run(stage: &Stage) -> Outcome {
    start(stage).await?;
    first_command(stage).await?;
    build(stage).await?;
    let port = publish(stage).await?;
    streams(stage).await?;
    show_status(stage).await?;
    idle(stage, port).await?;
    again(stage).await?;
    remove(stage).await
}

fn scene(title: &str) {
    say("");
    say(&format!("== {title}"));
}

fn typed(command: &str) {
    say(&format!("$ {command}"));
}

fn shown(output: &str) {
    output.trim_end().lines().for_each(|line| say(&format!("  {line}")));
}

fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Failure::of_code(Code::TrialFailed, otherwise())) }
}

async fn start(stage: &Stage) -> Outcome {
    scene("Start: ready at once, nothing is created");
    typed("dockbridge start --detach");
    let begun = Instant::now();
    shown(&stage.dockbridge(&["start", "--detach"]).await?);
    let took = begun.elapsed();
    check(took < READY_WITHIN, || {
        format!("it took {} until it was ready", seconds(took.as_secs_f64()))
    })?;
    let counts = stage.counts().await?;
    check(counts == NOTHING, || format!("start created something: {counts:?}"))
}

async fn first_command(stage: &Stage) -> Outcome {
    scene("The first docker command wakes a machine");
    typed("docker version");
    let begun = Instant::now();
    let (version, woken) = tokio::join!(
        stage.docker(
            &[
                "version",
                "--format",
                "client {{.Client.Version}}, engine {{.Server.Version}} on the machine"
            ],
            ""
        ),
        wait_for_wake(stage),
    );
    woken?;
    shown(&version?);
    say(&format!(
        "  {:<40} {:>7}",
        "from nothing to the answer",
        seconds(begun.elapsed().as_secs_f64())
    ));
    let counts = stage.counts().await?;
    check(counts.servers == 1 && counts.volumes == 1, || {
        format!("there should be one server and one volume: {counts:?}")
    })
}

async fn wait_for_wake(stage: &Stage) -> Outcome {
    let status = follow_wake(&stage.daemon(), LONGEST_WAKE, &machine::History::default()).await?;
    check(status.state == api::MachineState::Up, || {
        format!("the machine is {}: {}", status.state, status.reason.unwrap_or_default())
    })
}

async fn build(stage: &Stage) -> Outcome {
    scene("An image is built there, from a directory here");
    let context = stage.directory("context")?;
    std::fs::copy(BUSYBOX, context.join("busybox"))?;
    std::fs::write(context.join("index.html"), PAGE)?;
    std::fs::write(
        context.join("Dockerfile"),
        "FROM scratch\nCOPY busybox /bin/busybox\nCOPY index.html /www/index.html\nRUN \
         [\"/bin/busybox\", \"--install\", \"/bin\"]\nSTOPSIGNAL SIGKILL\nCMD [\"httpd\", \"-f\", \
         \"-h\", \"/www\"]\n",
    )?;
    typed("docker build -t hello .");
    let begun = Instant::now();
    stage.docker(&["build", "--quiet", "-t", "hello", &context.display().to_string()], "").await?;
    let images =
        stage.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}  {{.Size}}"], "").await?;
    shown(&format!("{}  built in {}", images.trim(), seconds(begun.elapsed().as_secs_f64())));
    check(images.contains("hello:latest"), || format!("the image is not listed: {images}"))
}

async fn publish(stage: &Stage) -> Outcome<u16> {
    scene("A published port answers on localhost");
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let published = format!("{port}:80");
    typed(&format!("docker run -d --name web -p {published} hello"));
    stage.docker(&["run", "-d", "--name", "web", "-p", &published, "hello"], "").await?;
    typed(&format!("curl localhost:{port}"));
    let page = fetch(port).await?;
    shown(&page);
    check(page == PAGE, || format!("localhost:{port} answers {page:?}"))?;
    Ok(port)
}

/// The container's server may take a moment to listen; the port itself is open before `docker run`
/// returns.
async fn fetch(port: u16) -> Outcome<String> {
    let begun = Instant::now();
    loop {
        match fetch_once(port).await {
            Ok(text) => match text.split_once("\r\n\r\n") {
                Some((head, body))
                    if head.starts_with("HTTP/1.1 200") || head.starts_with("HTTP/1.0 200") =>
                {
                    return Ok(body.to_owned());
                }
                _ if begun.elapsed() > LONGEST_FETCH => {
                    return Err(Failure::of_code(
                        Code::TrialFailed,
                        format!("localhost:{port} answers {text:?}"),
                    ));
                }
                _ => {}
            },
            Err(error) if begun.elapsed() > LONGEST_FETCH => {
                return Err(Failure::of_code(
                    Code::TrialFailed,
                    format!("localhost:{port} does not answer: {error}"),
                ));
            }
            Err(_) => {}
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn fetch_once(port: u16) -> std::io::Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    };
    timeout(LONGEST_FETCH, exchange)
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

async fn streams(stage: &Stage) -> Outcome {
    scene("exec and piped input");
    typed("docker exec web hostname");
    let name = stage.docker(&["exec", "web", "hostname"], "").await?;
    shown(&name);
    let id = stage.docker(&["inspect", "--format", "{{.Config.Hostname}}", "web"], "").await?;
    check(name == id, || {
        format!("the container calls itself {name:?}, the engine calls it {id:?}")
    })?;
    typed("echo from here | docker run --rm -i hello tr a-z A-Z");
    let loud =
        stage.docker(&["run", "--rm", "-i", "hello", "tr", "a-z", "A-Z"], "from here\n").await?;
    shown(&loud);
    check(loud == "FROM HERE\n", || format!("the piped input came back as {loud:?}"))
}

async fn show_status(stage: &Stage) -> Outcome {
    scene("What there is, what it costs, what comes next");
    typed("dockbridge status");
    shown(&stage.dockbridge(&["status"]).await?);
    let status = stage.daemon().status().await?;
    let cost = status
        .cost
        .ok_or_else(|| Failure::of_code(Code::TrialFailed, "the status contains no cost"))?;
    check(
        cost.hours == 1
            && cost.hourly > 0.0
            && cost.volume_monthly.is_some_and(|price| price > 0.0),
        || format!("the cost is wrong: {cost:?}"),
    )
}

async fn idle(stage: &Stage, port: u16) -> Outcome {
    scene("Idle: the machine is deleted, the volume stays");
    let begun = Instant::now();
    let mut grace = false;
    let status = loop {
        let status = stage.daemon().status().await?;
        if !grace && status.why.next.contains("any activity cancels it") {
            grace = true;
            shown(&status.why.next);
        }
        if status.state == api::MachineState::Absent {
            break status;
        }
        if begun.elapsed() > LONGEST_IDLE {
            return Err(Failure::of_code(
                Code::TrialFailed,
                format!("the machine is still {}: {}", status.state, status.why.next),
            ));
        }
        sleep(Duration::from_millis(200)).await;
    };
    shown(&format!(
        "gone after {}: {}",
        seconds(begun.elapsed().as_secs_f64()),
        status.reason.unwrap_or_default()
    ));
    let counts = stage.counts().await?;
    check(counts.servers == 0 && counts.volumes == 1, || {
        format!("there should be no server and one volume: {counts:?}")
    })?;
    typed(&format!("curl localhost:{port}"));
    let answer = fetch_once(port).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    shown(body);
    check(head.starts_with("HTTP/1.1 503") && body.contains("asleep"), || {
        format!("localhost:{port} answers {answer:?}")
    })
}

async fn again(stage: &Stage) -> Outcome {
    scene("The next command brings it back, with all its images");
    typed("docker images");
    let begun = Instant::now();
    let (images, woken) = tokio::join!(
        stage.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}  {{.Size}}"], ""),
        wait_for_wake(stage)
    );
    woken?;
    let images = images?;
    shown(&images);
    say(&format!(
        "  {:<40} {:>7}",
        "from nothing to the answer",
        seconds(begun.elapsed().as_secs_f64())
    ));
    check(images.contains("hello:latest"), || format!("the image is gone: {images:?}"))?;
    let loud = stage.docker(&["run", "--rm", "hello", "cat", "/www/index.html"], "").await?;
    check(loud == PAGE, || format!("the image has changed: {loud:?}"))
}

async fn remove(stage: &Stage) -> Outcome {
    scene("Everything is removed");
    typed("dockbridge stop --destroy");
    shown(&stage.dockbridge(&["stop", "--destroy"]).await?);
    let volumes: serde_json::Value =
        serde_json::from_str(&stage.dockbridge(&["volume", "list", "--json"]).await?)
            .map_err(|error| Failure::of_code(Code::TrialFailed, error.to_string()))?;
    let name = volumes[0]["name"]
        .as_str()
        .ok_or_else(|| Failure::of_code(Code::TrialFailed, "there is no volume to delete"))?;
    typed(&format!("dockbridge volume delete {name} --yes"));
    shown(&stage.dockbridge(&["volume", "delete", name, "--yes"]).await?);
    typed("dockbridge sweep --yes");
    shown(&stage.dockbridge(&["sweep", "--yes"]).await?);
    let counts = stage.counts().await?;
    check(counts == NOTHING, || format!("something is left in the cloud project: {counts:?}"))
}
