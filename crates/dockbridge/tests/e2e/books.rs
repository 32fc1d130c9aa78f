//! This computer's books equal the cloud's bill, whatever happened to a server: a canceled wake, a
//! built image, a killed build.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::time::timeout;

use crate::bill::servers;
use crate::rig::{LONGEST_COMMAND, Stage, pass_over};

async fn equal_the_clouds_bill(stage: &Stage, count: usize) {
    let own: Value =
        serde_json::from_str(&stage.dockbridge(&["cost", "--json"]).await.succeeded().stdout)
            .unwrap();
    let theirs = stage.control().get("bill").await;
    let theirs = theirs.as_object().unwrap().values().next().unwrap();
    assert_eq!(servers(&own, "cost"), servers(theirs, "net"), "{own}\n{theirs}");
    assert_eq!(servers(&own, "cost").len(), count, "{own}");
}

#[tokio::test]
async fn a_wake_that_is_called_off_is_in_the_books() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    let mut waiting = stage.command("docker");
    waiting
        .env("DOCKER_HOST", format!("unix://{}", stage.socket().display()))
        .arg("ps")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut waiting = waiting.spawn().unwrap();
    stage
        .eventually("a server is being made", Duration::from_secs(60), async || {
            stage.counts().await.0 == 1
        })
        .await;
    waiting.kill().await.unwrap();
    let gone = async || {
        let ended = stage.dockbridge(&["stop", "--destroy"]).await.status.success();
        ended && stage.counts().await.0 == 0
    };
    stage.eventually("the machine is taken down", Duration::from_secs(120), gone).await;
    drop(daemon);
    equal_the_clouds_bill(&stage, 1).await;
    stage.close().await;
}

#[tokio::test]
async fn servers_on_which_images_are_built_are_in_the_books() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let image = stage.directory.path().join("image.raw");
    let mut file = std::fs::File::create(&image).unwrap();
    for number in 0..(2_u32 << 20) {
        file.write_all(&number.wrapping_mul(2_654_435_761).to_le_bytes()).unwrap();
    }
    let arguments =
        ["image", "build", "raw", "--file", image.to_str().unwrap(), "--name", "booked"];
    stage.dockbridge(&arguments).await.succeeded();
    equal_the_clouds_bill(&stage, 1).await;
    let output = stage.dockbridge(&["cost"]).await;
    assert!(output.succeeded().stdout.contains("an image was built on it"), "{output}");

    // Killed as soon as its server is requested, and swept: the build itself has recorded little
    // or nothing.
    stage.dockbridge(&["image", "delete", "booked"]).await.succeeded();
    let mut build = stage.command(env!("CARGO_BIN_EXE_dockbridge"));
    let mut build = build
        .args(arguments)
        .arg("--json")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(build.stdout.take().unwrap()).lines();
    let mut output = Vec::new();
    while let Some(line) =
        timeout(LONGEST_COMMAND, lines.next_line()).await.expect("the build goes on").unwrap()
    {
        let is_server = line.contains("\"create\"");
        output.push(line);
        if is_server {
            break;
        }
    }
    stage
        .eventually("the server is there", Duration::from_secs(60), async || {
            stage.counts().await.0 == 1
        })
        .await;
    build.kill().await.unwrap();
    let status = stage.dockbridge(&["status"]).await;
    assert!(
        status.stdout.contains("Bills     image builder "),
        "what bills is shown: {status}\n{output:?}"
    );
    stage.dockbridge(&["sweep", "--yes"]).await.succeeded();
    assert_eq!(stage.counts().await.0, 0);
    equal_the_clouds_bill(&stage, 2).await;
    stage.close().await;
}
