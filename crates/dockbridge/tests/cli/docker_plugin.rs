//! `docker dockbridge …`, by the real docker client.

use crate::rig::{Desk, Ran, has_docker, run};

async fn docker(desk: &Desk, arguments: &[&str]) -> Ran {
    let mut command = desk.command("docker");
    command.args(arguments);
    run(command, "").await
}

#[tokio::test]
async fn docker_runs_the_same_commands_once_the_plugin_is_installed() {
    if !has_docker() {
        return testkit::passed_over!("no docker client");
    }
    let desk = Desk::new().await;
    assert!(!docker(&desk, &["dockbridge", "version"]).await.status.success());
    desk.dockbridge(&["plugin", "install"]).await.succeeded().said(&["docker dockbridge status"]);
    desk.dockbridge(&["plugin", "install"]).await.succeeded();

    docker(&desk, &["--help"]).await.succeeded().said(&["dockbridge*"]);
    let version = docker(&desk, &["dockbridge", "version"]).await;
    assert_eq!(version.succeeded().stdout, desk.dockbridge(&["version"]).await.stdout);
    docker(&desk, &["dockbridge", "start", "--help"])
        .await
        .succeeded()
        .said(&["Usage: docker dockbridge start [OPTIONS]", "-d, --detach"]);
    docker(&desk, &["help", "dockbridge"]).await.succeeded().said(&["Usage: docker dockbridge"]);
    docker(&desk, &["--debug", "dockbridge", "config", "path"])
        .await
        .succeeded()
        .said(&["config.yaml"]);
    docker(&desk, &["dockbridge", "status"]).await.failed(3, &["no dockbridge serves"]);
    docker(&desk, &["dockbridge", "down"]).await.failed(2, &["has no command \"down\""]);
    docker(&desk, &["--context", "default", "dockbridge", "server", "destroy"])
        .await
        .failed(2, &["--context chooses no profile", "`docker dockbridge --profile NAME`"]);

    docker(&desk, &["__complete", "dockbridge", "volume", "re"])
        .await
        .succeeded()
        .said(&["resize\tGrow the volume"]);

    docker(&desk, &["dockbridge", "start", "-d"]).await.succeeded();
    docker(&desk, &["dockbridge", "status"]).await.succeeded();
    docker(&desk, &["dockbridge", "stop"]).await.succeeded();

    desk.dockbridge(&["plugin", "remove"]).await.succeeded().said(&["Removed the docker plugin"]);
    desk.dockbridge(&["plugin", "remove"]).await.succeeded().said(&["No docker plugin"]);
    assert!(!docker(&desk, &["dockbridge", "version"]).await.status.success());
}

#[tokio::test]
async fn plugin_of_others_stays_and_uninstall_removes_the_own_one() {
    let desk = Desk::new().await;
    let plugins = desk.path("docker/cli-plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    let link = plugins.join("docker-dockbridge");
    std::fs::write(&link, "another program").unwrap();
    desk.dockbridge(&["plugin", "install"])
        .await
        .failed(1, &["is not a link to this dockbridge", "move it away"]);
    desk.dockbridge(&["plugin", "remove"]).await.succeeded().said(&["No docker plugin"]);
    desk.dockbridge(&["uninstall", "-y"]).await.succeeded();
    assert_eq!(std::fs::read_to_string(&link).unwrap(), "another program");

    std::fs::remove_file(&link).unwrap();
    desk.dockbridge(&["plugin", "install"]).await.succeeded();
    desk.dockbridge(&["uninstall", "-y"]).await.succeeded().said(&["Removed the docker plugin"]);
    assert!(std::fs::symlink_metadata(&link).is_err(), "the link is gone");
}
