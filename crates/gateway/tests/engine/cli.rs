//! Each script runs twice, on the engine itself and through the gateway, and must do the same:
//! output, errors and exit code.

use std::sync::LazyLock;

use crate::dockerd::Outcome;
use crate::engine;

/// A name, and a script that leaves nothing behind. `tiny` is the image.
const SCRIPTS: &[(&str, &str)] = &[
    ("version", "docker version; docker -v"),
    ("info", "docker info --format '{{.Driver}} {{.ServerVersion}}'"),
    ("run", "docker run --rm tiny echo hello"),
    ("run separates output from errors", "docker run --rm tiny sh -c 'echo out; echo err >&2'"),
    ("run passes the exit code on", "docker run --rm tiny sh -c 'exit 3'"),
    ("run of a command that is not there is 127", "docker run --rm tiny /nowhere"),
    ("run of a command that cannot be run is 126", "docker run --rm tiny /bin"),
    (
        "run that the engine refuses is 125",
        "docker run --rm --network nowhere tiny true; echo $?; docker rm -f box 2>&1",
    ),
    ("run of a killed container is 137", "docker run --rm tiny sh -c 'kill -9 $$'"),
    (
        "run with a taken name",
        "docker create --name box tiny; docker run --name box tiny; echo $?; docker rm box",
    ),
    ("piped input", "echo hello | docker run --rm -i tiny cat"),
    ("input that ends without a byte", "docker run --rm -i tiny wc -c </dev/null"),
    ("large piped input", "seq 1 300000 | docker run --rm -i tiny cat | cksum"),
    (
        "output after the end of the input",
        "seq 1 10 | docker run --rm -i tiny sh -c 'cat >/dev/null; echo done; seq 1 100000' | \
            cksum",
    ),
    ("large output", "docker run --rm tiny seq 1 300000 | cksum"),
    ("a reader that stops early", "docker run --rm tiny seq 1 300000 | head -n 2"),
    (
        "a terminal",
        "sleep 2 | script -qec 'docker run --rm -it tiny sh -c \"tty; stty size; echo done\"' \
            /dev/null",
    ),
    (
        "a terminal with input",
        "(sleep 1; echo 'echo $((6*7)); exit 5') | script -qec 'docker run --rm -it tiny sh' \
            /dev/null",
    ),
    (
        "the detach keys",
        "(sleep 1.5; printf '\\020\\021'; sleep 1) | script -qec 'docker run -it --name box tiny \
            cat' /dev/null | tr -d '\\r'; docker inspect -f '{{.State.Running}}' box; docker \
            rm -f box",
    ),
    (
        "an interrupt",
        "timeout -s INT 2 docker run --rm tiny sh -c 'trap \"echo bye; exit 7\" INT; while :; do \
            sleep 0.1; done'; echo $?",
    ),
    (
        "detached",
        "docker run -d --name box tiny sleep 100; docker ps --format '{{.Names}} {{.Image}}'; \
            docker kill box; docker wait box; docker rm box",
    ),
    (
        "logs",
        "docker run --name box tiny sh -c 'echo err >&2; sleep 0.3; echo out'; docker logs box; \
            docker logs -n 1 box; docker rm box",
    ),
    (
        "logs that follow",
        "docker run -d --name box tiny sh -c 'for i in $(seq 1 5); do echo $i; sleep 0.2; done'; \
            docker logs -f box; docker rm box",
    ),
    (
        "logs that are left",
        "docker run -d --name box tiny sh -c 'echo 1; sleep 100'; timeout 1 docker logs -f box; \
            echo $?; docker rm -f box",
    ),
    (
        "exec",
        "docker run -d --name box tiny sleep 100; docker exec box echo hello; docker exec box sh \
            -c 'echo err >&2; exit 4'; echo $?; seq 1 100000 | docker exec -i box cat | cksum; \
            docker exec -d box touch /made; docker exec -w /bin -e A=b box sh -c 'echo $A \
            $PWD'; docker exec box /nowhere; echo $?; sleep 1 | script -qec 'docker exec -it \
            box tty' /dev/null; docker rm -f box; docker exec box true; echo $?",
    ),
    (
        "attach",
        "docker run -di --name box tiny sh -c 'read line; echo got $line; exit 8'; (echo hello; \
            sleep 2) | docker attach box; echo $?; docker wait box; docker logs box; docker rm \
            box; docker attach nobody",
    ),
    (
        "start with input",
        "docker create -i --name box tiny cat; echo hello | docker start -ai box; echo $?; \
            docker rm box",
    ),
    (
        "attach without input",
        "docker run -d --name box tiny sh -c 'sleep 1; echo out; echo err >&2; exit 6'; docker \
            attach --no-stdin box; echo $?; docker rm box",
    ),
    (
        "cp in both directions",
        "docker create --name box tiny true; mkdir -p d/e; seq 1 200000 >d/e/f; docker cp d \
            box:/; docker cp box:/d out; diff -r d out && echo same; docker cp box:/d/e/f - | \
            tar -tv | cut -c 1-10; tar -c d | docker cp - box:/bin; docker cp box:/bin/d - | \
            cksum | wc -l; docker cp box:/nowhere . ; echo $?; docker cp d nobody:/; echo $?; \
            docker rm box",
    ),
    (
        "save and load",
        "docker save tiny -o t.tar; tar -tf t.tar | grep -c layer.tar; docker tag tiny again; \
            docker save again | docker load; docker rmi again; docker load -i t.tar; echo \
            broken | docker load; echo $?; docker save nowhere; echo $?",
    ),
    (
        "export and import",
        "docker create --name box tiny true; docker export box | tar -t | sort | cksum; docker \
            export box | docker import - imported >/dev/null; docker rm box; docker rmi \
            imported >/dev/null",
    ),
    (
        "build",
        "mkdir c; seq 1 300000 >c/big; printf 'FROM scratch\\nCOPY big /\\nLABEL a=b\\nCMD \
            [\"/big\"]\\n' >c/Dockerfile; DOCKER_BUILDKIT=0 docker build -t built c 2>&1; \
            docker inspect -f '{{.Config.Cmd}} {{.Config.Labels}}' built; docker rmi built \
            >/dev/null",
    ),
    (
        "build with a step that runs",
        "printf 'FROM tiny\\nRUN [\"sh\", \"-c\", \"seq 1 3 >/made; cat /made\"]\\n' | \
            DOCKER_BUILDKIT=0 docker build --no-cache -t built - 2>&1; docker run --rm built \
            cat /made; docker rmi built >/dev/null",
    ),
    (
        "build that fails",
        "printf 'FROM tiny\\nRUN [\"sh\", \"-c\", \"exit 9\"]\\n' | DOCKER_BUILDKIT=0 docker \
            build --no-cache - 2>&1; echo $?; docker container prune -f >/dev/null",
    ),
    ("build of nonsense", "printf 'NONSENSE\\n' | DOCKER_BUILDKIT=0 docker build - 2>&1; echo $?"),
    (
        "events",
        "docker events --filter container=ev --format '{{.Action}}' >events & sleep 1; docker \
            run --rm --name ev tiny true; for i in $(seq 100); do grep -q destroy events && \
            break; sleep 0.1; done; kill $!; cat events",
    ),
    (
        "events of the past",
        "docker run --rm --name ev tiny true; sleep 1; docker events --since 5s --until 0s \
            --filter container=ev --filter event=start --format '{{.Action}}' | tail -n 1",
    ),
    (
        "wait",
        "docker run -d --name box tiny sh -c 'sleep 1; exit 12'; docker wait box; docker rm box; \
            docker wait nobody; echo $?",
    ),
    (
        "stop and restart",
        "docker run -d --name box tiny sh -c 'trap \"exit 0\" TERM; while :; do sleep 0.1; \
            done'; docker stop box; docker start box; docker restart -t 1 box; docker rm -f box",
    ),
    (
        "top, diff, commit",
        "docker run -d --name box tiny sh -c 'touch /new; sleep 100'; sleep 1; docker top box -o \
            comm; docker diff box; docker commit box made >/dev/null; docker rmi made | head \
            -n 1; docker rm -f box",
    ),
    (
        "stats",
        "docker run -d --name box tiny sleep 100; docker stats --no-stream --format '{{.Name}}'; \
            docker rm -f box",
    ),
    (
        "volumes and networks",
        "docker volume create vol; docker run --rm -v vol:/v tiny touch /v/f; docker run --rm -v \
            vol:/v tiny ls /v; docker volume rm vol; docker network create net >/dev/null; \
            docker network ls --format '{{.Name}}' | sort; docker network rm net",
    ),
    (
        "images",
        "docker images --format '{{.Repository}}:{{.Tag}}'; docker tag tiny other:1; docker rmi \
            other:1; docker rmi nowhere; echo $?; docker history -q tiny | wc -l",
    ),
    (
        "what is not there",
        "docker inspect nobody; echo $?; docker start nobody; echo $?; docker rm nobody; echo \
            $?; docker logs nobody; echo $?",
    ),
    ("pull of an image that does not exist", "docker pull localhost:1/nowhere >out 2>&1; echo $?"),
    (
        "raw requests",
        "curl -s --unix-socket ${DOCKER_HOST#unix://} http://d/_ping; curl -s --unix-socket \
            ${DOCKER_HOST#unix://} http://d/v9.99/info; curl -s --unix-socket \
            ${DOCKER_HOST#unix://} -X POST http://d/nowhere; curl -s -o /dev/null -w \
            '%{http_code}' --unix-socket ${DOCKER_HOST#unix://} http://d/containers/nobody/json",
    ),
    (
        "head lines of a ping",
        "curl -sI --unix-socket ${DOCKER_HOST#unix://} http://d/_ping | grep -vi '^date' | sort",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn docker_command_sees_no_difference_to_the_engine() {
    let Some(engine) = engine().await else { return };
    let only = std::env::var("ONLY").ok();
    let mut differences = Vec::new();
    for (name, script) in
        SCRIPTS.iter().filter(|(name, _)| only.as_deref().is_none_or(|only| name.contains(only)))
    {
        let directly = engine.directly(script).await.without_chance();
        let through = engine.through_the_gateway(script).await.without_chance();
        if only.is_some() {
            println!("{name}: {directly:#?}");
        }
        assert!(
            !directly.stderr.contains("Invalid"),
            "the script itself is wrong: {script}: {directly:?}"
        );
        if directly != through {
            differences.push(format!(
                "{name}: {script}\non the engine {directly:#?}\nthrough the gateway {through:#?}"
            ));
        }
    }
    assert!(
        differences.is_empty(),
        "{} of {} differ\n{}",
        differences.len(),
        SCRIPTS.len(),
        differences.join("\n\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_client_leaves_nothing_behind() {
    let Some(engine) = engine().await else { return };
    let outcome = engine
        .through_the_gateway(
            "docker run -d --name long tiny sleep 1000 >/dev/null; docker logs -f long & a=$!; \
                docker exec long sleep 1000 & b=$!; docker events & c=$!; sleep 1; kill -9 $a \
                $b $c",
        )
        .await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let since = tokio::time::Instant::now();
    while !engine.activity.snapshot().live.is_empty() {
        assert!(since.elapsed().as_secs() < 20, "{:?}", engine.activity.snapshot().live);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

impl Outcome {
    /// Without what differs from run to run: ids, and the complaint of the client's own archiver if
    /// it still packs when a refusal comes.
    fn without_chance(mut self) -> Self {
        for text in [&mut self.stdout, &mut self.stderr] {
            let lines = text
                .split_inclusive('\n')
                .filter(|line| !line.contains("io: read/write on closed pipe"));
            *text = mask(&lines.collect::<String>());
        }
        self
    }
}

/// Hexadecimal words of at least twelve digits become `<id>`.
fn mask(text: &str) -> String {
    static SEPARATORS: LazyLock<fn(char) -> bool> =
        LazyLock::new(|| |c| !c.is_ascii_alphanumeric());
    text.split_inclusive(*SEPARATORS)
        .map(|piece| {
            let word = piece.trim_end_matches(*SEPARATORS);
            let is_id = word.len() >= 12
                && word.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
            if is_id { format!("<id>{}", &piece[word.len()..]) } else { piece.to_owned() }
        })
        .collect()
}
