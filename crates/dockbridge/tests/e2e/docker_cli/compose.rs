//! Compose projects: one of thirty services, and projects in the foreground.

use super::{Comparison, Script, pass_over, plug_in};

/// Thirty services: a store that becomes healthy, a job that ends, a published web server, and 27
/// that wait for each other. `lines N` counts in all logs.
const THIRTY: &str = r#"
mkdir p; cd p; {
    echo 'networks: {front: {}, back: {internal: true}}'; echo 'volumes: {data: {}}'
    echo 'services:'
    echo '  store: {image: tiny, init: true, command: [sh, -c,
        "echo 1 >/data/ready; exec httpd -f -p 80 -h /data"], volumes: ["data:/data"],
        networks: [back], healthcheck: {test: [CMD, wget, -q, -O, /dev/null,
        "http://127.0.0.1/ready"], interval: 500ms, retries: 60}}'
    echo '  seed: {image: tiny, networks: [back], volumes: ["data:/data"], command: [sh, -c,
        "wget -q -O /data/seeded http://store/ready"],
        depends_on: {store: {condition: service_healthy}}}'
    echo '  web: {image: tiny, init: true, ports: ["18080:80"], networks: [front, back],
        command: [httpd, -f, -p, "80", -h, /data], volumes: ["data:/data:ro"],
        depends_on: {seed: {condition: service_completed_successfully}}}'
    for i in $(seq 27); do
        before=web; [ $i -le 9 ] || before=w$((i-9))
        echo "  w$i: {image: tiny, init: true, networks: [back], command: [sh, -c,
            'until wget -q -O /dev/null http://web/seeded; do sleep 0.2; done;
            echo w$i reached; exec sleep 1000'],
            depends_on: {$before: {condition: service_started}}}"
    done
} >compose.yaml
docker compose config --services | sort | tr '\n' ' '; docker compose config -q; echo
docker compose --progress quiet up -d; echo up $?
for i in $(seq 200); do [ $(docker compose logs --no-log-prefix | grep -c reached) = 27 ] && break
sleep 0.1; done
docker compose logs --no-log-prefix | grep reached | sort
format='{{.Service}} {{.State}} {{.Health}} {{.ExitCode}} {{.Publishers}}'
docker compose ps -a --format "$format" | sort
$ASK http://127.0.0.1:18080/seeded; docker compose port web 80
"$DOCKER_CONFIG"/cli-plugins/docker-compose ls --format json | sed 's|:"/[^"]*"|:"<path>"|'
"$DOCKER_CONFIG"/cli-plugins/docker-compose top w5 | awk '{ print $NF }'
"$DOCKER_CONFIG"/cli-plugins/docker-compose images w1 --quiet | wc -l
"#;

const WORK: &str = r#"
docker compose exec -T w3 sh -c 'echo out; echo err >&2; exit 5' 2>err; echo $?; cat err
docker compose exec -T w3 cat <$BLOB | cmp - $BLOB && echo same
docker compose cp $BLOB w3:/blob; docker compose cp w3:/blob copied; cmp copied $BLOB && echo copied
docker compose --progress quiet up -d --no-recreate --scale w1=4
docker compose ps --format '{{.Name}} {{.State}}' w1 | sort
docker compose --progress quiet scale w1=1; docker compose ps -q w1 | wc -l
docker compose logs -f --no-log-prefix w8 >followed & await 'w8 reached' followed
docker compose --progress quiet kill w8; wait $!; echo $?
docker compose --progress quiet pause w9; docker compose ps --format '{{.State}}' w9
docker compose --progress quiet unpause w9
docker compose --progress quiet restart -t 1 w10; docker compose --progress quiet stop -t 1 w11
docker compose --progress quiet start w11; docker compose ps --format '{{.State}}' w10 w11
sed -i 's/w12 reached/w12 again/' compose.yaml; docker compose --progress quiet up -d
for i in $(seq 100); do docker compose logs --no-log-prefix w12 | grep again && break; sleep 0.1
done
echo piped | docker compose run --rm -T w13 cat; docker compose --progress quiet rm -f -s w14
docker compose ps -q w14 | wc -l
docker compose exec -T nobody true; echo $?
docker compose --progress quiet down -t 1 -v; echo down $?; docker ps -aq; docker volume ls -q
docker network ls --format '{{.Name}}' | sort
"#;

const FOREGROUND: Script<'_> = (
    "projects in the foreground",
    r#"mkdir p; cd p
    printf 'services:\n  job: {image: tiny, command: [sh, -c, "echo out; echo err >&2; exit 7"]}
  stays: {image: tiny, init: true, command: [sh, -c,
    "trap \\"echo bye; exit 0\\" TERM; echo ready; while :; do sleep 0.1; done"]}\n' >compose.yaml
    up="docker compose --progress quiet up --no-color --no-log-prefix"
    $up --exit-code-from job job >out 2>err
    echo $?; grep -c -e out -e err out err
    $up -t 1 stays >out 2>&1 & await ready out
    kill -INT $!; wait $!; echo $?
    for i in $(seq 100); do [ -z "$(docker compose ps -q)" ] && break; sleep 0.1; done
    docker compose logs --no-log-prefix stays
    docker compose --progress quiet up -d stays; docker compose wait stays >waited & sleep 1
    docker compose --progress quiet stop stays; wait $!; echo $?; cat waited
    docker compose events --json >events & until grep -q '"action":"restart"' events
    do docker compose --progress quiet restart -t 1 stays; done; kill -INT $!
    grep -o '"action":"restart"' events | sort -u
    docker compose --progress quiet down -t 1; echo $?
    printf 'services:\n  a:\n    image: localhost:1/nowhere\n' >compose.yaml
    docker compose up -d >out 2>&1; echo $?; docker compose --progress quiet down
    printf 'services:\n  built:\n    image: made\n    build:\n      dockerfile_inline: |
        FROM tiny\n        RUN ["sh", "-c", "echo built >/f"]\n        CMD ["cat", "/f"]\n' \
        >compose.yaml
    docker compose --progress quiet build -q >out 2>&1 || cat out
    docker compose --progress quiet up --no-color --no-log-prefix
    docker compose --progress quiet down --rmi all; docker images -q made"#,
    "built\n",
);

#[tokio::test(flavor = "multi_thread")]
async fn a_compose_project_of_thirty_services_lives_as_on_the_engine_itself() {
    let Some(comparison) = Comparison::new().await else { return pass_over() };
    if plug_in(&comparison.stage, "docker-compose") && plug_in(&comparison.stage, "docker-buildx") {
        let thirty = format!("{THIRTY}{WORK}");
        comparison.compare(&[("thirty services", &thirty, "up 0\n"), FOREGROUND]).await;
    }
    comparison.close().await;
}
