//! After idleness a project is asleep: its ports say so, and the next command brings all of it
//! back.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::rig::{Stage, pass_over};

const SETTINGS: [(&str, &str); 3] = [
    ("DOCKBRIDGE_ACTIVITY_IDLE_TIMEOUT", "4s"),
    ("DOCKBRIDGE_ACTIVITY_GRACE_PERIOD", "1s"),
    ("DOCKBRIDGE_ACTIVITY_CONTAINERS", "ignore"),
];
const PORT: u16 = 28_419;

/// A port's answer to a request, or the error.
async fn fetched() -> String {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", PORT)).await?;
        stream.write_all(b"GET /nothing HTTP/1.0\r\n\r\n").await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await.map(|_| said)
    };
    match tokio::time::timeout(Duration::from_secs(10), ask).await {
        Ok(Ok(said)) => said,
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_project_that_idleness_took_down_says_so_and_comes_back_whole() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&SETTINGS).await;
    stage.make_image("tiny").await;
    let run = ["run", "--detach", "--init", "--stop-timeout", "1", "--name"];
    let published = format!("{PORT}:80");
    let web = ["web", "--restart", "unless-stopped", "tiny", "sleep", "600"];
    stage.docker(&[&run as &[_], &web].concat()).await.succeeded();
    let plain = ["plain", "-p", &published, "tiny", "httpd", "-f", "-p", "80", "-h", "/bin"];
    stage.docker(&[&run as &[_], &plain].concat()).await.succeeded();
    let answers = async || fetched().await.contains(" 404 ");
    stage.eventually("the port answers", Duration::from_secs(20), answers).await;
    stage
        .eventually("the machine is deleted", Duration::from_secs(60), async || {
            stage.counts().await.0 == 0
        })
        .await;
    let asleep = fetched().await;
    assert!(
        asleep.starts_with("HTTP/1.1 503 ") && asleep.contains("plain is asleep"),
        "{asleep}\n{}",
        stage.daemon_log()
    );
    let listed = stage.dockbridge(&["ports"]).await;
    let stdout = &listed.succeeded().stdout;
    assert!(
        stdout.contains("asleep")
            && stdout.contains(&PORT.to_string())
            && stdout.contains("dockbridge wake"),
        "{listed}"
    );
    let running = stage.docker(&["ps", "--format", "{{.Names}}"]).await;
    let mut running: Vec<&str> = running.succeeded().stdout.lines().collect();
    running.sort_unstable();
    assert_eq!(running, ["plain", "web"]);
    stage.eventually("the port answers again", Duration::from_secs(20), answers).await;
    daemon.stop().await;
    let output = fetched().await;
    assert!(output.contains("ConnectionRefused"), "somebody listens without a daemon: {output}");
    stage.close().await;
}
