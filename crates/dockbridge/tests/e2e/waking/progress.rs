//! Docker commands that wait for a machine report the wait where their protocol has a place for it,
//! and then print what they always print.

use crate::rig::{Stage, pass_over, run};

const WAITING: &str = "Waiting for the machine: booting";

/// Takes the machine down. The next one boots for five seconds longer than others here.
async fn destroy(stage: &Stage) {
    stage.dockbridge(&["server", "destroy"]).await.succeeded();
    stage.control().post("faults", r#"{"kind": "starts_late", "delay_ms": 5000}"#).await;
}

#[tokio::test]
async fn pull_build_and_load_report_the_wait_for_the_machine() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;

    // The client pings first, and of an engine that never answered nothing is known.
    stage.docker(&["version"]).await.succeeded();
    destroy(&stage).await;

    // The engine's refusal comes behind progress, as an error line.
    let pulled = stage.docker(&["pull", "127.0.0.1:1/none"]).await;
    assert!(!pulled.status.success(), "{pulled}");
    assert!(pulled.stdout.contains(WAITING), "{pulled}");
    assert!(pulled.stderr.contains("connection refused"), "{pulled}");
    destroy(&stage).await;

    // The classic builder, whose context is uploaded once the machine is there.
    let context = stage.directory.path().join("context");
    std::fs::create_dir(&context).unwrap();
    std::fs::copy("/bin/busybox", context.join("busybox")).unwrap();
    std::fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY busybox /busybox\n").unwrap();
    let mut build = stage.command("docker");
    build.env("DOCKER_HOST", format!("unix://{}", stage.socket().display()));
    build.env("DOCKER_BUILDKIT", "0").args(["build", "-t", "tiny"]).arg(&context);
    let built = run(build, "").await;
    built.succeeded();
    assert!(built.stdout.contains(WAITING), "{built}");
    assert!(built.stdout.contains(", usually "), "the usual time is known by now: {built}");
    assert!(built.stdout.contains("Successfully tagged tiny:latest"), "{built}");
    let archive = stage.directory.path().join("tiny.tar").display().to_string();
    stage.docker(&["save", "-o", &archive, "tiny"]).await.succeeded();
    stage.docker(&["rmi", "tiny"]).await.succeeded();
    destroy(&stage).await;

    // On a terminal: elsewhere docker loads quietly, and prints nothing but names.
    let mut load = stage.command("script");
    load.env("DOCKER_HOST", format!("unix://{}", stage.socket().display()));
    load.args(["-qec", &format!("docker load -i {archive}"), "/dev/null"]);
    let loaded = run(load, "").await;
    loaded.succeeded();
    assert!(loaded.stdout.contains(WAITING), "{loaded}");
    assert!(loaded.stdout.contains("Loaded image: tiny:latest"), "{loaded}");
    destroy(&stage).await;
    let quiet = stage.docker(&["load", "-i", &archive]).await;
    assert_eq!(quiet.succeeded().stdout, "Loaded image: tiny:latest\n");

    daemon.stop().await;
    stage.close().await;
}
