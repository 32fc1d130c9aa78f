//! Builders with their own protocol: BuildKit speaks gRPC inside an upgraded connection, and asks
//! the client for files.

use super::{Comparison, Script, pass_over, plug_in};

const BUILDKIT: &[Script<'_>] = &[
    (
        "a build from nothing",
        "mkdir c; cp $BLOB c/blob; cp /bin/busybox c/; printf 'FROM scratch\\nCOPY busybox blob \
         /\\nRUN [\"/busybox\", \"sh\", \"-c\", \"/busybox md5sum </blob >/sum\"]\\nCMD \
         [\"/busybox\", \"cat\", \"/sum\"]\\n' >c/Dockerfile; docker build -q --no-cache -t built \
         c 2>log >id || cat log; md5sum <$BLOB >sum; docker run --rm built | cmp - sum && echo \
         same; [ $(cat id) = $(docker inspect -f '{{.Id}}' built) ] && echo named; docker rmi \
         built >/dev/null",
        "same\nnamed\n",
    ),
    (
        "a context of 64 MiB",
        "mkdir c; for i in 1 2 3 4 5 6 7 8; do cp $BLOB c/$i; done; printf 'FROM tiny\\nCOPY . \
         /c\\nRUN [\"sh\", \"-c\", \"cat /c/1 /c/8 | md5sum >/sum; ls /c | wc -l >>/sum\"]\\nCMD \
         [\"cat\", \"/sum\"]\\n' >c/Dockerfile; docker build -q --no-cache -t built c >/dev/null \
         2>log || cat log; docker run --rm built >there; (cat $BLOB $BLOB | md5sum; echo 9) | cmp \
         - there && echo same; docker rmi built >/dev/null",
        "same\n",
    ),
    (
        "progress, a step that fails, and nonsense",
        "printf 'FROM tiny\\nRUN [\"sh\", \"-c\", \"echo working; exit 9\"]\\n' | docker build \
         --progress plain --no-cache - >log 2>&1; echo $?; grep -c working log; tail -n 1 log; \
         printf 'NONSENSE\\n' | docker build - >log 2>&1; echo $?; tail -n 1 log; docker build \
         nowhere; echo $?",
        "1\n",
    ),
    (
        "results that come back",
        "mkdir c; printf 'FROM tiny AS made\\nRUN [\"sh\", \"-c\", \"seq 1 300000 >/made\"]\\nFROM \
         scratch\\nCOPY --from=made /made /\\n' >c/Dockerfile; docker build -q --no-cache -o out c \
         2>log || cat log; seq 1 300000 | cmp - out/made && echo same; docker build -q -o - c \
         2>log | tar -xO made | cksum",
        "same\n",
    ),
    (
        "secrets and contexts by name",
        "mkdir c d; echo s3cret >s; echo other >d/f; printf 'FROM tiny\\nRUN \
         --mount=type=secret,id=s [\"sh\", \"-c\", \"md5sum </run/secrets/s >/sum\"]\\nCOPY \
         --from=more f /f\\nCMD [\"cat\", \"/sum\", \"/f\"]\\n' >c/Dockerfile; docker build -q \
         --no-cache --secret id=s,src=s --build-context more=d -t built c >/dev/null 2>log || cat \
         log; docker run --rm built; docker rmi built >/dev/null",
        "other\n",
    ),
    (
        "an image by tar",
        "mkdir c; printf 'FROM tiny\\nLABEL a=b\\n' >c/Dockerfile; tar -c -C c . | docker build -q \
         -t built - >/dev/null 2>log || cat log; docker inspect -f '{{.Config.Labels}}' built; \
         docker buildx ls --format '{{.Name}} {{.DriverEndpoint}}' >/dev/null; echo $?; docker rmi \
         built >/dev/null",
        "map[a:b]\n0\n",
    ),
    (
        "bake, and buildx by its own name",
        "printf 'FROM tiny AS base\\nARG WHO\\nRUN [\"sh\", \"-c\", \"echo $WHO >/who\"]\\nCMD \
         [\"cat\", \"/who\"]\\nFROM base AS more\\nCOPY more /more\\n' >Dockerfile; echo more \
         >more; printf 'group \"default\" {\\n  targets = [\"one\", \"two\"]\\n}\\ntarget \"one\" \
         {\\n  target = \"base\"\\n  tags = [\"one\"]\\n  args = { WHO = \"1\" }\\n}\\ntarget \
         \"two\" {\\n  target = \"more\"\\n  tags = [\"two\"]\\n  args = { WHO = \"2\" }\\n}\\n' \
         >docker-bake.hcl; docker buildx bake >log 2>&1 || cat log; for i in one two; do docker \
         inspect -f '{{.RepoTags}} {{len .RootFS.Layers}}' $i; done; docker run --rm two cat \
         /more; docker buildx bake --print one 2>/dev/null | tr -d ' \\n'; docker buildx bake \
         nothing >log 2>&1; echo $?; docker buildx build -q --target base -t three . >/dev/null \
         2>log || cat log; docker rmi one two three >/dev/null; docker buildx build --no-cache \
         --progress rawjson -t four . 2>&1 | grep -c '\"digest\"' | sed 's/[1-9][0-9]*/some/'; \
         docker buildx du >/dev/null; echo $?; docker buildx prune -af >/dev/null; echo $?; docker \
         buildx inspect | grep -e ^Driver -e ^Status -e Platforms; docker rmi four >/dev/null",
        "more\n",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn buildkit_builds_as_on_the_engine_itself() {
    let Some(comparison) = Comparison::new().await else { return pass_over() };
    if plug_in(&comparison.stage, "docker-buildx") {
        comparison.compare(BUILDKIT).await;
    }
    comparison.close().await;
}
