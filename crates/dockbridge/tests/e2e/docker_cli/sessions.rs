//! Less common signals, terminals and detaching, and the commands that maintain an engine.

use super::Script;

// Programs that both kinds of script run here:
// Host programs: script awk seq find xargs tar

/// Signals, terminal sizes, and detaching from a container.
pub const SESSIONS: &[Script<'_>] = &[
    (
        "signals that are not passed on",
        "docker run --sig-proxy=false --init --name box tiny sh -c 'trap \"echo heard\" INT; echo \
         ready; while :; do sleep 0.1; done' >out & await ready out; kill -INT $!; sleep 0.5; \
         docker inspect -f '{{.State.Running}}' box; docker kill box; wait $!; echo $?; docker \
         logs box; docker rm box",
        "true\nbox\n",
    ),
    (
        "signals by attach, and other signals",
        "docker run -d --name box tiny sh -c \"trap 'echo hup' HUP; trap 'echo usr1' USR1; trap \
         'echo bye; exit 9' INT; while :; do echo tick; sleep 0.1; done\"; docker attach box >out \
         & a=$!; await tick out; for s in HUP USR1; do n=$(echo $s | tr A-Z a-z); for i in $(seq \
         100); do grep -q $n out && break; kill -$s $a; sleep 0.3; done; done; kill -INT $a; wait \
         $a; echo $?; sort -u out; docker wait box; docker rm box",
        "9\nbye\nhup\ntick\nusr1\n9\nbox\n",
    ),
    (
        "two interrupts, and a client that may not pass them on in time",
        "docker run --rm --name box tiny sh -c 'trap : INT; echo ready; while :; do sleep 0.1; \
         done' >out 2>err & await ready out; kill -INT $!; sleep 0.3; kill -INT $!; docker inspect \
         -f '{{.State.Running}}' box; docker stop -t 0 box; wait $!; echo $?; cat err",
        "true\nbox\n137\n",
    ),
    (
        "detach keys of one's own, and coming back",
        "mkfifo in; script -qfec 'docker run -it --detach-keys ctrl-a,x --name box tiny sh -c \
         \"echo ready; while read line; do echo got \\$line; done; exit 4\"' out <in >/dev/null & \
         exec 3>in; await ready out; printf 'one\\n' >&3; await 'got one' out; printf '\\001x' \
         >&3; wait $!; echo $?; exec 3>&-; docker inspect -f '{{.State.Running}}' box; mkfifo \
         back; script -qfec 'docker attach --detach-keys ctrl-b box' again <back >/dev/null & exec \
         4>back; for i in $(seq 100); do printf 'two\\n' >&4; grep -q 'got two' again 2>/dev/null \
         && break; sleep 0.1; done; printf '\\002' >&4; wait $!; echo $?; exec 4>&-; docker \
         inspect -f '{{.State.Running}}' box; grep -q 'got two' again && echo came back; docker \
         kill box; docker wait box; docker rm box",
        "came back\n",
    ),
    (
        "detaching from exec, which goes on",
        "docker run -d --name box tiny sleep 100; mkfifo in; script -qfec 'docker exec -it \
         --detach-keys ctrl-a box sh -c \"echo ready; read line; echo \\$line >/made\"' out <in \
         >/dev/null & exec 3>in; await ready out; printf '\\001' >&3; wait $!; echo $?; tr -d \
         '\\r' <out | sed '/^Script/d'; docker top box -o comm | sort; docker rm -f box",
        "ready\n",
    ),
    (
        "a terminal without input, and input without a terminal",
        "docker run --rm -t tiny sh -c 'tty; [ -t 0 ] && echo in; [ -t 1 ] && echo out' | tr -d \
         '\\r'; echo hi | docker run --rm -it tiny cat; echo $?; echo hi | docker run --rm -i -a \
         stdin -a stdout tiny sh -c 'cat; echo err >&2'; docker run --rm -a stderr tiny sh -c \
         'echo out; echo err >&2'; echo $?",
        "/dev/pts/0\nin\nout\n1\nhi\n0\n",
    ),
    (
        "several are started and attached, waited for and killed",
        "for i in 1 2 3; do docker create --name box$i tiny sh -c \"echo $i; exit $i\"; done \
         >/dev/null; docker start -a box1; echo $?; docker start box2 box3; docker wait box1 box2 \
         box3; docker start -a box1 box2; echo $?; docker rm box1 box2 box3; docker kill box1; \
         echo $?",
        "1\n1\nbox2\nbox3\n1\n2\n3\n",
    ),
    (
        "logs of a time and with times",
        "docker run -d --name box tiny sh -c 'echo one; echo err >&2; sleep 1.2; echo two; sleep \
         1.2; echo three' >/dev/null; docker wait box; t=$(docker logs -t box 2>/dev/null | sed -n \
         '2s/ .*//p'); docker logs --since $t box; echo --; docker logs --until $t box 2>/dev/null \
         | tail -n 1; echo --; docker logs --tail 1 box; docker logs -n 0 box; docker logs --since \
         1h --tail 2 box 2>/dev/null; docker logs -t box 2>&1 | sed 's/^[-0-9]*T[0-9:.]*Z /<time> \
         /' | sort; docker logs --details -f box 2>/dev/null; docker logs --since nonsense box; \
         echo $?; docker rm box",
        "0\ntwo\nthree\n--\n",
    ),
];

/// Maintenance of an engine.
pub const UPKEEP: &[Script<'_>] = &[
    (
        "disk usage and pruning",
        "docker volume create vol; docker create --name box -v vol:/v tiny true >/dev/null; docker \
         system df --format '{{.Type}}'; docker system df -v --format '{{range .Volumes}}{{.Name}} \
         {{.Links}}{{end}}'; docker ps -as --format '{{.Names}} {{.Status}}'; docker container \
         prune -f | head -n 1; docker volume prune -af | head -n 2; docker network create net \
         >/dev/null; docker network prune -f; docker image prune -f | tail -n 1; docker builder \
         prune -f | tail -n 1 | cut -f 1; docker system prune -f | tail -n 1; docker system info \
         -f '{{.Driver}}'",
        "vol\nImages\nContainers\nLocal Volumes\nBuild Cache\n",
    ),
    (
        "volumes in detail",
        "docker volume create --label a=b vol; docker volume create vol; docker run --rm -v vol:/v \
         tiny sh -c 'echo kept >/v/f'; docker run --rm --mount type=volume,src=vol,dst=/v,readonly \
         tiny sh -c 'cat /v/f; touch /v/g'; echo $?; docker volume inspect -f '{{.Labels}} \
         {{.Driver}} {{.Scope}}' vol; docker volume ls -q -f label=a=b; docker create --name box \
         -v vol:/v tiny >/dev/null; docker volume rm vol; echo $?; docker rm box; docker volume rm \
         vol; docker volume inspect vol; echo $?; docker run --rm --tmpfs /t:size=1m tiny sh -c \
         'df /t | tail -n 1 | tr -s \" \" | cut -d \" \" -f 2'; docker run --rm -v /anonymous tiny \
         sh -c 'ls -d /anonymous'; docker volume ls -q",
        "kept\n",
    ),
    (
        "networks in detail",
        "docker network create --subnet 10.99.0.0/24 --label a=b net >/dev/null; docker network \
         create --subnet 10.99.0.0/24 twice; echo $?; docker run -d --name box --network net --ip \
         10.99.0.9 --network-alias also tiny sleep 100 >/dev/null; docker network inspect -f \
         '{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}' net; docker run --rm --network \
         net tiny ping -c 1 -W 5 also >/dev/null && echo found; docker network connect bridge box; \
         docker inspect -f '{{len .NetworkSettings.Networks}}' box; docker network disconnect net \
         box; docker network connect net box; docker network rm net; echo $?; docker rm -f box; \
         docker network rm net; docker network ls -q -f label=a=b; docker run --rm --network none \
         tiny ls /sys/class/net; docker run --rm --network host tiny true 2>/dev/null; echo $?; \
         docker run -d --name near tiny sleep 100 >/dev/null; docker run --rm --network \
         container:near tiny hostname | wc -c; docker rm -f near",
        "box 10.99.0.9/24\nfound\n2\n",
    ),
];
