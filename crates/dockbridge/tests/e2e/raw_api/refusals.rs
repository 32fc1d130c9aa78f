//! Refusals, and how they end: with a message that says what works instead, and nothing left on
//! the engine.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;

use serde_json::json;

use super::{Connection, blocking};
use crate::docker_cli::plug_in;
use crate::rig::{Ran, Stage, pass_over, run};

const IDLE: (&str, &str) = ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "3h");

async fn nothing_is_left(stage: &Stage, of: &str) {
    let left = stage.docker(&["ps", "-aq"]).await;
    assert_eq!(left.succeeded().stdout, "", "{of}: containers are left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_removing_container_with_a_taken_port_is_removed_with_dockers_message() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[IDLE]).await;
    stage.make_image("tiny").await;
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let published = format!("{}:80", taken.local_addr().unwrap().port());
    let words = "driver failed programming external connectivity on endpoint";
    for mode in [&[] as &[&str], &["-d"], &["-i"], &["-t"]] {
        let arguments =
            [&["run", "--rm"], mode, &["-p", &published, "tiny", "httpd", "-f", "-p", "80"]]
                .concat();
        let refused = stage.docker(&arguments).await;
        assert_eq!(refused.failed_with(words).status.code(), Some(125), "{refused}");
        assert!(refused.stderr.contains("port is already allocated"), "{refused}");
        nothing_is_left(&stage, &format!("{mode:?}")).await;
    }
    // Like the engine: one that does not remove itself stays, and starts when the port is free.
    let kept = stage
        .docker(&[
            "run", "-d", "--name", "kept", "-p", &published, "tiny", "httpd", "-f", "-p", "80",
        ])
        .await;
    kept.failed_with(words);
    assert_eq!(
        stage.docker(&["inspect", "-f", "{{.State.Status}}", "kept"]).await.succeeded().stdout,
        "created\n"
    );
    drop(taken);
    stage.docker(&["start", "kept"]).await.succeeded();
    daemon.stop().await;
    stage.close().await;
}

/// Runs compose in a project of this computer.
async fn compose(
    stage: &Stage,
    project: &Path,
    file: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Ran {
    fs::create_dir_all(project).unwrap();
    fs::write(project.join("compose.yaml"), file).unwrap();
    let mut command = stage.command("docker");
    command
        .env("DOCKER_HOST", format!("unix://{}", stage.socket().display()))
        .envs(environment.iter().copied());
    command.args([&["compose", "--progress", "quiet"], arguments].concat()).current_dir(project);
    run(command, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_of_a_project_here_are_refused_however_they_are_written() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[IDLE]).await;
    stage.make_image("tiny").await;
    let watch = "docker compose watch";
    let socket = stage.socket();
    // A volume that is a bind mount, in all three notations.
    let options = ["-o", "type=none", "-o", "o=bind", "-o", "device=/etc"];
    let create = [&["volume", "create"], &options as &[_], &["bound"]].concat();
    stage.docker(&create).await.failed_with("`o: bind` is a bind mount");
    let mount = "type=volume,src=mounted,dst=/x,volume-opt=type=none,volume-opt=o=bind,\
                 volume-opt=device=/etc";
    let mounted = stage.docker(&["run", "--rm", "--mount", mount, "tiny", "true"]).await;
    mounted.failed_with("`o: bind` is a bind mount");
    let raw = blocking(move || {
        let body = json!({
            "Name": "layered",
            "DriverOpts": { "type": "none", "o": "rbind,ro", "device": "data" },
        });
        Connection::to(&socket).ask("POST", "/volumes/create", Some(&body))
    });
    assert_eq!(raw.await.status, 400);
    assert_eq!(
        stage.docker(&["volume", "ls", "-q"]).await.succeeded().stdout,
        "",
        "volumes are left"
    );
    // The home directory of this test's daemon is not above this one.
    let project = stage.directory.path().join("project");
    fs::create_dir(&project).unwrap();
    for path in ["missing", "a/b/missing"] {
        let path = project.join(path);
        let refused = stage
            .docker(&["run", "--rm", "-v", &format!("{}:/x", path.display()), "tiny", "true"])
            .await;
        refused.failed_with("does not exist yet").failed_with(watch);
    }
    if !plug_in(&stage, "docker-compose") {
        return daemon.stop().await;
    }
    let service = |more: &str| {
        format!(
            "services:\n  job:\n    image: tiny\n    command: [sh, -c, 'cat /run/secrets/s \
             /settings; true']\n{more}"
        )
    };
    let up = ["up", "--no-color", "--no-log-prefix", "--exit-code-from", "job"];
    for (more, words) in [
        ("    volumes: ['./data:/data']\n", "does not exist yet"),
        ("    volumes: ['../beside:/data']\n", "does not exist yet"),
        (
            "    volumes: ['files:/data']\nvolumes: {files: {driver_opts: {type: none, o: bind, \
             device: \"${PWD}/data\"}}}\n",
            "`o: bind` is a bind mount",
        ),
        ("    volumes: ['./compose.yaml:/data']\n", watch),
        ("    secrets: [s]\nsecrets: {s: {file: ./compose.yaml}}\n", "`environment: NAME`"),
        (
            "    configs: [{source: c, target: /settings}]\nconfigs: {c: {file: ./compose.yaml}}\n",
            "`content:`",
        ),
        ("    volumes: ['./agent.sock:/agent']\n", "docker build --ssh default"),
    ] {
        let socket = project.join("agent.sock");
        let _ = fs::remove_file(&socket);
        let _listening = UnixListener::bind(&socket).unwrap();
        compose(&stage, &project, &service(more), &up, &[]).await.failed_with(words);
        assert!(!project.join("data").exists());
        compose(&stage, &project, &service(more), &["down", "-v"], &[]).await.succeeded();
    }
    // The messages' advice works.
    let advised = "    secrets: [s]\n    configs: [{source: c, target: /settings}]\nsecrets: {s: \
     {environment: NAME}}\nconfigs: {c: {content: configured}}\n";
    let ran = compose(&stage, &project, &service(advised), &up, &[("NAME", "secret ")]).await;
    assert!(ran.succeeded().stdout.contains("secret configured"), "{ran}");
    compose(&stage, &project, &service(advised), &["down", "-v"], &[]).await.succeeded();
    daemon.stop().await;
    stage.close().await;
}
