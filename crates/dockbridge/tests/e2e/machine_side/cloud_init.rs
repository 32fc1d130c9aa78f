//! cloud-init accepts its input, on machines and on the servers of image builds.

use hetzner::{Labels, NewServer};
use machine::{HostKey, builder_user_data, generate_key};
use russh::keys::ssh_key::LineEnding;
use tokio::process::Command;

use super::{BOOT, settled};
use crate::rig::{Ran, Stage, pass_over, run};

/// Its verdict is its exit code: 2 for recoverable errors.
const JUDGE: &str = "cloud-init status --wait --format json; echo \"status $?\"; cloud-init schema \
 --system; echo \"schema $?\"";

#[tokio::test]
async fn cloud_init_accepts_the_user_data_of_a_machine() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    settled(&stage).await;
    is_accepted(&stage.on_machine(JUDGE).await);
    daemon.stop().await;
    stage.close().await;
}

#[tokio::test]
async fn cloud_init_accepts_the_user_data_of_an_image_build() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let (host_key, login) = (HostKey::generate().unwrap(), generate_key("builder").unwrap());
    let server = NewServer {
        name: "builder".to_owned(),
        server_type: "cx23".to_owned(),
        image: "docker-ce".to_owned(),
        location: Some("fsn1".to_owned()),
        user_data: Some(builder_user_data(&host_key, login.public_key()).unwrap()),
        labels: Labels::new(),
        ..NewServer::default()
    };
    let created = stage.api.servers().create(&server).await.unwrap();
    stage.api.wait(created.actions()).await.unwrap();
    let address = created.server.public_net.ipv4.unwrap().ip.to_string();
    let (identity, known) =
        (stage.directory.path().join("login"), stage.directory.path().join("known_hosts"));
    login.write_openssh_file(&identity, LineEnding::LF).unwrap();
    std::fs::write(
        &known,
        format!("{address} {}\n", host_key.private.public_key().to_openssh().unwrap()),
    )
    .unwrap();
    let on_builder = async |command: &str| {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "ConnectTimeout=5",
            "-l",
            "root",
            "-i",
        ]);
        ssh.arg(&identity)
            .arg("-o")
            .arg(format!("UserKnownHostsFile={}", known.display()))
            .arg(&address)
            .arg(command);
        run(ssh, "").await
    };
    stage
        .eventually("the server lets its builder in", BOOT, async || {
            on_builder("true").await.status.success()
        })
        .await;
    is_accepted(&on_builder(JUDGE).await);
    stage.close().await;
}

fn is_accepted(judged: &Ran) {
    assert!(judged.stdout.contains("status 0\n"), "{judged}");
    assert!(judged.stdout.contains("\"extended_status\": \"done\""), "{judged}");
    assert!(judged.stdout.contains("schema 0\n"), "{judged}");
}
