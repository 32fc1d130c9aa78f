//! Docker commands of several versions with engines of two versions: what works on the engine
//! itself works through dockbridge. Every run includes the everyday commands;
//! `DOCKBRIDGE_TEST_ENGINES=all` adds the scripts of the other comparisons.

use std::net::TcpListener;
use std::path::PathBuf;

use local_cloud::ContainerEngine;

use crate::docker_cli::{Comparison, Script, plug_in, scripts};
use crate::rig::{Ran, Stage, pass_over};

/// Client 20.10 sends the size of its terminal once, possibly before the container runs, and the
/// container then never gets it: 3 times of 4 over plain `ssh -L` to the same engine. In the same
/// race it sometimes complains that it no longer waits for a container. `cp -q` came later.
const OLD_CLIENT: (&str, &[&str]) = (
    "20.10",
    &["a terminal", "a terminal that changes its size", "exit codes", "cp in both directions"],
);

/// The everyday commands in a short form.
const SHORT: &[Script<'_>] = &[
    (
        "import, run, exit codes, input and its end",
        "mkdir r; cp /bin/busybox r/; tar -c -C r . | docker import -c 'CMD [\"/busybox\", \
         \"echo\", \"imported\"]' - imported >/dev/null; docker run --rm imported; docker rmi \
         imported >/dev/null; docker images -q imported; docker run --rm tiny /nowhere \
         2>/dev/null; echo $?; printf 'one\\ntwo' | docker run --rm -i tiny sh -c 'cat; echo; echo \
         err >&2; seq 1 100000 | wc -c; exit 3' 2>err; echo $?; cat err",
        "imported\n127\none\ntwo\n588895\n3\nerr\n",
    ),
    (
        "exec, cp, logs that follow, stats, top and wait",
        "docker run -d --name box tiny sh -c 'echo out; until [ -e /end ]; do sleep 0.1; done; \
         echo end; exit 4' >/dev/null; docker wait box >code & w=$!; docker logs -f box >log & \
         l=$!; await out log; echo in | docker exec -i box sh -c 'cat >/f; cat /f; exit 5'; echo \
         $?; docker cp box:/f - | tar -xO; docker stats --no-stream --format '{{.Name}}' box; \
         docker top box -o pid,comm | grep -c ' sh$'; echo cp >end; docker cp end box:/end \
         2>/dev/null >&2; wait $l; wait $w; cat log code; docker rm box",
        "in\n5\nin\nbox\n1\nout\nend\n4\nbox\n",
    ),
    (
        "save, load, volumes and df",
        "docker tag tiny again; docker save -o t.tar again; docker rmi again; docker load <t.tar; \
         docker volume create vol; docker run --rm -v vol:/v again sh -c 'echo kept >/v/f'; docker \
         run --rm -v vol:/v again cat /v/f; docker rmi again; docker system df --format '{{.Type}} \
         {{.TotalCount}}'; docker volume rm vol; docker volume ls -q",
        "vol\nkept\n",
    ),
    (
        "a published port and its end",
        "docker run -d --init --name web -p $PORT:80 tiny sh -c 'echo served >/f; exec httpd -f -p \
         80 -h /' >/dev/null; for i in $(seq 50); do $ASK http://127.0.0.1:$PORT/f && break; sleep \
         0.1; done; docker port web; docker rm -f web; $ASK http://127.0.0.1:$PORT/f; echo $?",
        "served\n",
    ),
    (
        "a build by the engine's own builder, without a word",
        "printf 'FROM tiny\\nRUN [\"sh\", \"-c\", \"echo built >/f\"]\\nCMD [\"cat\", \"/f\"]\\n' \
         | DOCKER_BUILDKIT=0 docker build -q --no-cache -t built - >/dev/null 2>log || cat log; \
         docker run --rm built; docker rmi built >/dev/null",
        "built\n",
    ),
];

const BUILDKIT: Script<'_> = (
    "a build by BuildKit",
    "mkdir c; cp /bin/busybox c/; printf 'FROM tiny\\nCOPY busybox /copied\\nRUN [\"sh\", \"-c\", \
     \"cmp /copied /bin/busybox && echo same >/f\"]\\nCMD [\"cat\", \"/f\"]\\n' >c/Dockerfile; \
     docker buildx build -q --no-cache --load -t built c >/dev/null 2>log || cat log; docker run \
     --rm built; docker rmi built >/dev/null",
    "same\n",
);

const COMPOSE: Script<'_> = (
    "a compose project",
    "mkdir p; cd p; printf 'services:\\n  one:\\n    image: tiny\\n    init: true\\n    command: \
     [sh, -c, \"exec sleep 1000\"]\\n  two:\\n    image: tiny\\n    depends_on: [one]\\n    \
     command: [sh, -c, \"ping -c 1 -W 5 one >/dev/null && echo found\"]\\n' >compose.yaml; docker \
     compose --progress quiet up -d; docker wait p-two-1; docker compose logs --no-log-prefix two; \
     docker compose exec -T one echo inside; docker compose --progress quiet down -t 0; docker ps \
     -aq",
    "0\nfound\ninside\n",
);

/// The scripts of [`scripts::CORE`] in the short form.
const OF_CORE: &[&str] = &["a terminal", "events as they come and of the past"];

fn wants_all() -> bool {
    std::env::var("DOCKBRIDGE_TEST_ENGINES").is_ok_and(|value| value == "all")
}

/// The directory with this version of the docker command.
fn client(version: &str) -> Option<PathBuf> {
    let directory = PathBuf::from(std::env::var_os("DOCKBRIDGE_TEST_CLIENTS")?).join(version);
    directory.join("docker").exists().then_some(directory)
}

/// Runs the machine's commands with this client from now on.
fn use_client(stage: &mut Stage, directory: &std::path::Path) {
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    stage.environment.retain(|(name, _)| name != "PATH");
    stage.environment.push(("PATH".to_owned(), path));
}

/// Checks that a directory of this computer is refused with a message that the client prints.
async fn refuses_a_directory(comparison: &Comparison) -> Ran {
    let script = "docker run --rm -v \"$DOCKER_CONFIG:/v\" tiny true";
    comparison.run(&comparison.stage.socket(), script).await
}

async fn clients_work_as_on_the_engine_itself(
    engine: ContainerEngine,
    prints: &str,
    versions: &[&str],
) {
    let Some(mut stage) = Stage::with_engine(engine).await else { return pass_over() };
    // Other tests publish ports of this computer, too.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    stage.environment.push(("PORT".to_owned(), port.to_string()));
    let (buildx, compose) = (plug_in(&stage, "docker-buildx"), plug_in(&stage, "docker-compose"));
    let mut comparison = Comparison::on(stage).await;
    let mut failures = Vec::new();
    for version in versions {
        let Some(directory) = client(version) else {
            testkit::passed_over_in_part!(
                "DOCKBRIDGE_TEST_CLIENTS names no directory with docker {version}"
            );
            continue;
        };
        use_client(&mut comparison.stage, &directory);
        let both = comparison
            .stage
            .docker(&["version", "--format", "{{.Client.Version}} {{.Server.Version}}"])
            .await;
        let (client, server) = both.succeeded().stdout.split_once(' ').unwrap();
        assert!(client.starts_with(version) && server.starts_with(prints), "{both}");
        let is_wanted = |(name, ..): &&Script<'_>| {
            let is_chance = *version == OLD_CLIENT.0 && OLD_CLIENT.1.contains(name);
            if is_chance && (wants_all() || OF_CORE.contains(name)) {
                testkit::passed_over_in_part!(
                    "with client {version} it ends by chance, or cannot be said: {name}"
                );
            }
            !is_chance && (wants_all() || OF_CORE.contains(name))
        };
        let mut all: Vec<Script<'_>> =
            SHORT.iter().chain(scripts::CORE.iter().filter(is_wanted)).copied().collect();
        // The plugins are the same programs with each client.
        if wants_all() || Some(version) == versions.last() {
            all.extend(buildx.then_some(BUILDKIT));
            all.extend(compose.then_some(COMPOSE));
        }
        if wants_all() {
            all.extend(scripts::MORE);
        }
        let differ = comparison.differences(&all).await;
        failures
            .extend(differ.into_iter().map(|difference| format!("client {version}: {difference}")));
        let refused = refuses_a_directory(&comparison).await;
        if refused.status.code() != Some(125)
            || !refused.stderr.contains(" is on this computer, and the engine is not")
        {
            failures.push(format!("client {version}: a directory of this computer: {refused}"));
        }
    }
    assert!(failures.is_empty(), "{} differ\n{}", failures.len(), failures.join("\n\n"));
    comparison.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_and_new_clients_work_on_engine_28_as_on_the_engine_itself() {
    clients_work_as_on_the_engine_itself(
        ContainerEngine::Docker28,
        "28.",
        &["20.10", "28.2", "28.5"],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_and_new_clients_work_on_engine_26_as_on_the_engine_itself() {
    clients_work_as_on_the_engine_itself(ContainerEngine::Docker26, "26.", &["20.10", "28.5"])
        .await;
}
