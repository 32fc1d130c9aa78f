//! Everyday docker commands. Each script leaves nothing behind; `tiny` is the image, `$BLOB` a
//! file of 8 MiB.

use super::Script;

/// The everyday commands, and their hard parts.
pub const CORE: &[Script<'_>] = &[
    (
        "exit codes",
        "docker run --rm tiny true; echo $?; docker run --rm tiny sh -c 'exit 3'; echo $?; docker \
         run --rm --network nowhere tiny true; echo $?; docker run --rm tiny /bin; echo $?; docker \
         run --rm tiny /nowhere; echo $?; docker run --rm --init tiny sh -c 'kill -9 $$'; echo $?",
        "0\n3\n125\n126\n127\n137\n",
    ),
    (
        "output is separate from errors",
        "docker run --rm tiny sh -c 'echo out; echo err >&2' >out 2>err; cat out; echo --; cat \
         err; docker run --rm tiny sh -c 'echo err >&2; exit 4'",
        "out\n--\nerr\n",
    ),
    (
        "piped input",
        "printf 'one\\ntwo' | docker run --rm -i tiny cat; docker run --rm -i tiny wc -c \
         </dev/null",
        "one\ntwo0\n",
    ),
    (
        "large binary input and output",
        "docker run --rm -i tiny cat <$BLOB | cmp - $BLOB && echo same; docker run --rm -i tiny \
         md5sum <$BLOB | cut -c 1-32 >there; md5sum <$BLOB | cut -c 1-32 | cmp - there && echo \
         summed",
        "same\nsummed\n",
    ),
    (
        "output after the end of the input",
        "seq 1 10 | docker run --rm -i tiny sh -c 'cat >/dev/null; echo done; seq 1 100000' | \
         cksum",
        "3126164647 588900\n",
    ),
    ("a reader that stops early", "docker run --rm tiny seq 1 300000 | head -n 2", "1\n2\n"),
    (
        "a terminal",
        "mkfifo in; script -qfec 'stty rows 33 cols 99; docker run --rm -it tiny sh -c \"tty; \
         until stty size | grep -x \\\"33 99\\\"; do sleep 0.1; done; read line; echo got \\$line; \
         exit 5\"' out <in >/dev/null & exec 3>in; await '33 99' out; echo hello >&3; wait $!; \
         echo $?; tr -d '\\r' <out | sed '/^Script/d'",
        "5\n/dev/pts/0\n33 99\nhello\ngot hello\n",
    ),
    // A busy client repeats its first resize with the current size, and stty changes rows and
    // columns one after the other: only the final size counts, not the number of resizes.
    (
        "a terminal that changes its size",
        "mkfifo in; script -qfec 'tty >pty; docker run --rm -it tiny sh -c \"trap \\\"stty size | \
         grep -x \\\\\\\"44 111\\\\\\\" && exit 6\\\" WINCH; echo ready; while :; do sleep 0.1; \
         done\"' out <in >/dev/null & exec 3>in; await ready out; stty -F $(cat pty) rows 44 cols \
         111; wait $!; echo $?; tr -d '\\r' <out | sed '/^Script/d' | uniq",
        "6\nready\n44 111\n",
    ),
    (
        "the detach keys",
        "mkfifo in; script -qfec 'docker run -it --name box tiny sh -c \"echo ready; cat\"' out \
         <in >/dev/null & exec 3>in; await ready out; printf '\\020\\021' >&3; wait $!; echo $?; \
         docker inspect -f '{{.State.Running}}' box; docker rm -f box",
        "0\ntrue\nbox\n",
    ),
    (
        "an interrupt, and an end that is asked for",
        "for signal in INT TERM; do rm -f out; docker run --rm tiny sh -c \"trap 'echo bye; exit \
         7' $signal; echo ready; while :; do sleep 0.1; done\" >out & await ready out; kill \
         -$signal $!; wait $!; echo $?; cat out; done",
        "7\nready\nbye\n7\nready\nbye\n",
    ),
    (
        "logs that follow end with the container",
        "docker run -d --name box tiny sh -c 'for i in 1 2 3; do echo $i; echo err >&2; sleep 0.2; \
         done'; docker logs -f box 2>err; cat err; docker logs -n 2 box 2>/dev/null; docker rm box",
        "1\n2\n3\nerr\nerr\nerr\n",
    ),
    (
        "exec",
        "docker run -d --name box tiny sleep 100; docker exec box echo hello; docker exec box sh \
         -c 'echo err >&2; exit 4'; echo $?; docker exec -i box cat <$BLOB | cmp - $BLOB && echo \
         same; docker exec -d box touch /made; docker exec box sh -c 'until [ -e /made ]; do sleep \
         0.1; done; echo made'; docker exec -w /bin -e A=b box sh -c 'echo $A $PWD'; docker exec \
         box /nowhere; echo $?; mkfifo in; script -qfec 'docker exec -it box sh -c \"tty; read \
         line; echo got \\$line; exit 9\"' out <in >/dev/null & exec 3>in; await pts out; echo hi \
         >&3; wait $!; echo $?; tr -d '\\r' <out | sed '/^Script/d'; docker rm -f box; docker exec \
         box true; echo $?",
        "hello\n4\nsame\nmade\nb /bin\n",
    ),
    (
        "attach and wait",
        "docker run -di --name box tiny sh -c 'read line; echo got $line; exit 8'; docker wait box \
         >waited & mkfifo in; docker attach box <in & exec 3>in; echo hello >&3; wait $!; echo $?; \
         docker wait box; docker logs box; docker rm box; docker attach nobody; echo $?; await 8 \
         waited",
        "got hello\n8\n8\ngot hello\nbox\n1\n",
    ),
    (
        "cp in both directions",
        "docker create --name box tiny true; mkdir -p d/e; cp $BLOB d/e/f; echo small >d/g; docker \
         cp -q d box:/; docker cp -q box:/d out; diff -r d out && echo same; docker cp -q d/g \
         box:/g; docker cp box:/g - | tar -xO; tar -c d | docker cp - box:/bin; docker cp \
         box:/bin/d - | tar -x && diff -r d out && echo again; docker cp box:/nowhere .; echo $?; \
         docker cp d nobody:/; echo $?; docker rm box",
        "same\nsmall\nagain\n1\n1\nbox\n",
    ),
    (
        "save and load",
        "docker save tiny | tar -x; find blobs -type f | sort | xargs cat | cksum; docker tag tiny \
         again; docker save again -o t.tar; id=$(docker inspect -f '{{.Id}}' again); docker rmi \
         again; docker load <t.tar; [ $id = $(docker inspect -f '{{.Id}}' again) ] && echo same; \
         docker save again | docker load; docker rmi again; echo broken | docker load; echo $?; \
         docker save nowhere; echo $?",
        "same\n",
    ),
    (
        "build by the engine's own builder",
        "mkdir c; cp $BLOB c/blob; cp /bin/busybox c/; printf 'FROM scratch\\nCOPY busybox blob \
         /\\nRUN [\"/busybox\", \"sh\", \"-c\", \"/busybox md5sum </blob >/sum\"]\\nCMD \
         [\"/busybox\", \"cat\", \"/sum\"]\\n' >c/Dockerfile; DOCKER_BUILDKIT=0 docker build \
         --no-cache -t built c 2>&1; md5sum <$BLOB >sum; docker run --rm built | cmp - sum && echo \
         same; docker rmi built >/dev/null; printf 'FROM tiny\\nRUN [\"sh\", \"-c\", \"exit \
         9\"]\\n' | DOCKER_BUILDKIT=0 docker build --no-cache - 2>&1; echo $?; docker container \
         prune -f >/dev/null",
        "same\n",
    ),
    (
        "events as they come and of the past",
        "docker events --format '{{.Actor.Attributes.name}} {{.Action}}' >events & until [ -s \
         events ]; do docker create --name first tiny >/dev/null; docker rm first >/dev/null; \
         done; since=$(date +%s); docker run --rm --name ev tiny true; await 'ev destroy' events; \
         kill $!; sed -n 's/^ev //p' events; docker events --since $since --until $(($(date +%s) + \
         1)) --filter container=ev --format '{{.Action}}'",
        "create\nattach\nstart\ndie\ndestroy\ncreate\nattach\nstart\ndie\ndestroy\n",
    ),
    (
        "what is not there",
        "docker inspect nobody; echo $?; docker start nobody; echo $?; docker rm nobody; echo $?; \
         docker logs nobody; echo $?; docker rmi nobody; echo $?; docker run --rm --name box \
         --pull never nowhere; echo $?",
        "1\n1\n1\n1\n1\n125\n",
    ),
];

/// The remaining commands.
pub const MORE: &[Script<'_>] = &[
    (
        "version",
        "docker version; docker -v; docker info --format '{{.Name}} {{.Driver}} {{.ServerVersion}} \
         {{.OperatingSystem}}'",
        "Server:",
    ),
    (
        "run with a taken name",
        "docker create --name box tiny; docker run --name box tiny; echo $?; docker rm box",
        "125\nbox\n",
    ),
    ("large output", "docker run --rm tiny seq 1 300000 | cksum", "2732413854 1988895\n"),
    (
        "detached",
        "docker run -d --name box tiny sleep 100; docker ps --format '{{.Names}} {{.Image}}'; \
         docker pause box; docker unpause box; docker rename box bux; docker kill -s TERM bux; \
         docker kill bux; docker wait bux; docker rm bux",
        "box tiny\n",
    ),
    (
        "rm of what runs",
        "docker run -d --name box tiny sleep 100; docker rm box; echo $?; docker rm -f box; docker \
         rm -f box; echo $?",
        "1\nbox\n0\n",
    ),
    (
        "start with input",
        "docker create -i --name box tiny cat; echo hello | docker start -ai box; echo $?; docker \
         rm box",
        "hello\n0\nbox\n",
    ),
    (
        "attach without input",
        "docker run -di --name box tiny sh -c 'read line; echo out; echo err >&2; exit 6' >id; cat \
         id; : >attached; docker events --since 10m --filter container=$(cat id) --filter \
         event=attach --format '{{.Action}}' >>attached & e=$!; docker attach --no-stdin box >out \
         & a=$!; mkfifo in; docker attach box <in >other & o=$!; exec 3>in; for i in $(seq 400); \
         do [ $(wc -l <attached) -ge 2 ] && break; sleep 0.05; done; kill $e; echo go >&3; wait \
         $a; echo $?; cat out; wait $o; docker rm box",
        "6\nout\nbox\n",
    ),
    (
        "logs that are left",
        "docker run -d --name box tiny sh -c 'echo 1; sleep 100'; docker logs -f box >out & await \
         1 out; kill -INT $!; wait $!; echo $?; docker rm -f box",
        "box\n",
    ),
    (
        "a client that is killed lets a container go on",
        "docker run --name box tiny sh -c 'echo ready; sleep 100' >out & await ready out; kill -9 \
         $!; docker inspect -f '{{.State.Running}}' box; docker rm -f box",
        "true\nbox\n",
    ),
    (
        "export and import",
        "docker create --name box tiny true; docker export box | tar -t | sort | cksum; docker \
         export box | docker import - imported >/dev/null; docker rm box; docker run --rm imported \
         /bin/busybox echo imported; docker rmi imported >/dev/null",
        "imported\n",
    ),
    (
        "build from standard input, and of nonsense",
        "printf 'FROM tiny\\nRUN [\"sh\", \"-c\", \"seq 1 3 >/made; cat /made\"]\\n' | \
         DOCKER_BUILDKIT=0 docker build --no-cache -t built - 2>&1; docker run --rm built cat \
         /made; docker rmi built >/dev/null; printf 'NONSENSE\\n' | DOCKER_BUILDKIT=0 docker build \
         - 2>&1; echo $?",
        "1\n2\n3\n",
    ),
    (
        "stop and restart",
        "docker run -d --name box tiny sh -c 'trap \"exit 0\" TERM; while :; do sleep 0.1; done'; \
         docker stop box; docker start box; docker restart -t 1 box; docker rm -f box",
        "box\nbox\nbox\nbox\n",
    ),
    (
        "top, stats, diff, commit",
        "docker run -d --name box tiny sh -c 'touch /new; exec sleep 100'; docker exec box sh -c \
         'until [ $(cat /proc/1/comm) = sleep ]; do sleep 0.1; done'; docker top box -o pid,comm | \
         awk '{ print $2 }'; docker stats --no-stream --format '{{.Name}}' box; docker diff box; \
         docker commit box made >/dev/null; docker rmi made | head -n 1; docker rm -f box",
        "COMMAND\nsleep\nbox\nA /new\n",
    ),
    (
        "volumes and networks",
        "docker volume create vol; docker run --rm -v vol:/v tiny touch /v/f; docker run --rm -v \
         vol:/v tiny ls /v; docker volume rm vol; docker volume rm vol; echo $?; docker network \
         create net >/dev/null; docker run -d --rm --name box --network net tiny sleep 100; docker \
         run --rm --network net tiny ping -c 1 -W 5 box >/dev/null && echo found; docker rm -f \
         box; docker network ls --format '{{.Name}}' | sort; docker network rm net",
        "vol\nf\nvol\n1\n",
    ),
    (
        "images",
        "docker images --format '{{.Repository}}:{{.Tag}} {{.ID}}'; docker tag tiny other:1; \
         docker rmi other:1; docker history -q tiny | wc -l; docker image inspect -f \
         '{{.Config.Cmd}}' tiny",
        "[sh]\n",
    ),
    ("pull of an unavailable image", "docker pull localhost:1/nowhere >out 2>&1; echo $?", "1\n"),
    (
        "raw requests",
        "s=${DOCKER_HOST#unix://}; curl -s --unix-socket $s http://d/_ping; curl -s --unix-socket \
         $s http://d/v9.99/info; curl -s --unix-socket $s -X POST http://d/nowhere; curl -s -o \
         /dev/null -w '%{http_code}\\n' --unix-socket $s http://d/containers/nobody/json; curl -sI \
         --unix-socket $s http://d/_ping | grep -vi '^date' | sort",
        "OK",
    ),
];
