//! Waiting is visible: the current stage of a wake, with its usual duration.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::rig::Desk;

#[tokio::test]
async fn status_and_wake_show_the_running_stage_with_its_usual_time() {
    let desk = Desk::new().await;
    desk.past_wake();
    let daemon = desk.start().await;
    // Nothing is behind the servers here: a new server never admits a login.
    let output = desk.path("wake.out");
    let mut wake = desk.command(env!("CARGO_BIN_EXE_dockbridge"));
    let mut wake =
        wake.arg("wake").stdout(std::fs::File::create(&output).unwrap()).spawn().unwrap();
    let (begun, mut status) = (Instant::now(), String::new());
    let said = || std::fs::read_to_string(&output).unwrap();
    let shows = |text: &str| {
        text.lines().any(|line| line.contains("connecting") && line.ends_with(", usually 18 s"))
    };
    while !(status.lines().any(|line| line.starts_with("Stage ") && shows(line)) && shows(&said()))
    {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "status: {status}\nwake: {}\nlog: {}",
            said(),
            daemon.output()
        );
        sleep(Duration::from_millis(200)).await;
        status = desk.dockbridge(&["status"]).await.stdout;
    }
    wake.kill().await.unwrap();
    // The log contains words, not structures, like `status`.
    let log = daemon.output();
    assert!(
        log.contains("creating the server: cx23 in ") && log.contains("the machine is waking"),
        "{log}"
    );
    assert!(!log.contains("Some(") && !log.contains("Stage {"), "{log}");
    daemon.stop().await;
}
