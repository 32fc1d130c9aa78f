//! A newcomer's first run, from nothing to the first container and back. What they see is a part of
//! docs/first-use.md.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use local_cloud::Stock;
use serde_json::Value;

use crate::newcomer::{Newcomer, compare_with_document};
use crate::rig::{Stage, agent_directory, pass_over};

const LONGEST_IDLE: Duration = Duration::from_secs(120);
const DOCKERFILE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY index.html \
     /www/index.html\nRUN [\"/bin/busybox\", \"--install\", \"/bin\"]\nSTOPSIGNAL SIGKILL\nCMD \
     [\"httpd\", \"-f\", \"-h\", \"/www\"]\n";

#[tokio::test]
async fn first_run_prints_what_the_page_shows() {
    let Some(stage) = Stage::with(|options| options.stock = Stock::Full).await else {
        return pass_over();
    };
    let (place, agents) = (stage.directory.path(), agent_directory());
    let endpoint = stage.cloud.machine_endpoint().unwrap();
    let Some(newcomer) = Newcomer::new(place, &endpoint, &agents) else { return };
    let [web, taken] = [(), ()].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port().to_string();
    let (web_port, taken_port) = (port(&web), port(&taken));
    drop(web);
    let mut newcomer = newcomer.with(&web_port, "8080").with(&taken_port, "3000");
    newcomer.file("token.txt", stage.cloud.token());
    newcomer.file("hello/Dockerfile", DOCKERFILE);
    newcomer.file("hello/index.html", "hello from the machine\n");
    std::fs::copy("/bin/busybox", newcomer.home().join("hello/busybox")).unwrap();

    set_up(&mut newcomer).await;
    first_container(&mut newcomer, &web_port, &taken_port).await;
    look(&stage, &mut newcomer).await;
    idle_and_back(&stage, &mut newcomer, &web_port).await;
    end(&stage, &mut newcomer).await;
    assert_eq!(stage.counts().await, (0, 0), "something is left in the cloud");
    compare_with_document("first-run", &newcomer);
    stage.close().await;
}

async fn set_up(newcomer: &mut Newcomer) {
    newcomer.heading(
        "Set up",
        "The token comes from the cloud console, with Read & Write. Without `--token-stdin`, \
         `init` asks for it and does not show it.",
    );
    newcomer.types(&["dockbridge init --token-stdin <token.txt"], true).await;
    newcomer.heading(
        "Make this run short",
        "By default an idle machine stays 5 min, or 30 min while containers run, and then for the \
         rest of the hour that is paid.",
    );
    let settings = [
        "dockbridge config set activity.idle_timeout 30s",
        "dockbridge config set activity.connection_timeout 30s",
        "dockbridge config set activity.grace_period 2s",
        "dockbridge config set activity.keep_paid_hour false",
    ];
    newcomer.types(&settings, true).await;
    newcomer.heading("Start", "Nothing is created yet.");
    newcomer.types(&["dockbridge start --detach", "docker context use dockbridge"], true).await;
}

async fn first_container(newcomer: &mut Newcomer, port: &str, taken: &str) {
    newcomer.heading(
        "The first docker command",
        "It waits until a machine is there: some seconds on the local cloud, 30 to 60 s on a real \
         one. `dockbridge wake` or `status` in a second terminal shows how far it is.",
    );
    newcomer.types(&["docker ps"], true).await;
    newcomer.heading(
        "The first container",
        "The image is built here from a directory of this computer.",
    );
    let run = format!("docker run -d --name web -p {port}:80 hello");
    let fetch = format!("curl -s localhost:{port}");
    let lines = [
        "docker build --quiet -t hello hello",
        "docker run --rm hello echo it works",
        &run,
        &fetch,
    ];
    newcomer.types(&lines, true).await;
    newcomer.heading(
        "Mistake 9: a directory of this computer in a container",
        "The machine does not have it, so that nothing is started.",
    );
    newcomer.types(&["docker run --rm -v ~/hello:/www hello"], false).await;
    newcomer.heading(
        "Mistake 10: a port that another program has",
        "Something on this computer listens there already, as with a local engine.",
    );
    let conflict = format!("docker run -d --name api -p {taken}:80 hello");
    newcomer.types(&[&conflict], false).await;
    newcomer.types(&["docker rm api"], true).await;
}

/// The daemon's status once what the page shows is in it.
async fn settled(stage: &Stage, newcomer: &Newcomer, what: &str, holds: impl Fn(&Value) -> bool) {
    let settled = async || holds(&newcomer.run("dockbridge status --json").await.json());
    stage.eventually(what, LONGEST_IDLE, settled).await;
}

async fn look(stage: &Stage, newcomer: &mut Newcomer) {
    newcomer.heading(
        "Is it on, what does it cost, when does it go",
        "The beginning of `status`, the ports, and the bill.",
    );
    settled(stage, newcomer, "all is known and nothing goes on", |status| {
        let mut reasons = status["why"]["reasons"].as_array().into_iter().flatten();
        status["cost"].is_object()
            && status["report"]["disk"].is_object()
            && reasons.all(|reason| reason["seconds"].is_number())
            && status["ports"][0]["connections_now"] == 0
    })
    .await;
    newcomer.types_and_reads_the_beginning("dockbridge status").await;
    newcomer.types(&["dockbridge ports", "dockbridge cost"], true).await;
    newcomer.heading("What keeps it", "And how it would end.");
    newcomer.types(&["dockbridge why"], true).await;
}

async fn idle_and_back(stage: &Stage, newcomer: &mut Newcomer, port: &str) {
    settled(stage, newcomer, "the idle machine is gone", |status| status["state"] == "absent")
        .await;
    newcomer.heading(
        "Nobody uses it",
        "The machine is deleted, and the volume stays with images and containers.",
    );
    newcomer.types_and_reads_the_beginning("dockbridge status").await;
    newcomer.types(&[&format!("curl -s localhost:{port}")], true).await;
    newcomer.heading("The next command brings it back", "What ran runs again.");
    newcomer.types(&["docker ps", &format!("curl -s localhost:{port}")], true).await;
}

async fn end(stage: &Stage, newcomer: &mut Newcomer) {
    newcomer.heading(
        "Remove everything",
        "First what bills, then the program's own files. `volume delete` deletes the data.",
    );
    let name = newcomer.run("dockbridge volume list --json").await.json()[0]["name"].clone();
    let delete = format!("dockbridge volume delete {} --yes", name.as_str().unwrap());
    let lines = ["dockbridge server destroy", &delete, "dockbridge sweep --yes"];
    newcomer.types(&lines, true).await;
    stage
        .eventually("the cloud project is empty", LONGEST_IDLE, async || {
            stage.counts().await == (0, 0)
        })
        .await;
    let lines = ["dockbridge uninstall --purge --yes", "find ~ -name '*dockbridge*'"];
    newcomer.types(&lines, true).await;
}
