//! The agent runs at every boot although nothing below `/run` may execute.

use super::{BOOT, settled};
use crate::rig::{Stage, pass_over};

#[tokio::test]
async fn the_agent_runs_where_nothing_else_below_run_may() {
    let Some(stage) = Stage::new().await else { return pass_over() };
    let daemon = stage.start(&[]).await;
    settled(&stage).await;
    agent_runs(&stage).await;

    let boot = stage.on_machine("cat /run/dockbridge/first-lease").await.succeeded().stdout.clone();
    // Its output does not count: the connection ends with the machine.
    stage.on_machine("systemctl reboot").await;
    let again = async || {
        stage.on_machine("cat /run/dockbridge/first-lease").await.stdout.trim() > boot.trim()
    };
    stage.eventually("the machine has booted again", BOOT, again).await;
    stage
        .eventually("docker answers again", BOOT, async || {
            stage.docker(&["version"]).await.status.success()
        })
        .await;
    agent_runs(&stage).await;

    // The user data's script may run again on the same boot.
    let again = "cloud-init single --name bootcmd --frequency always >/dev/null && findmnt \
     --noheadings /run/dockbridge | wc -l";
    assert_eq!(stage.on_machine(again).await.succeeded().stdout.trim(), "1");
    stage
        .eventually("docker answers still", BOOT, async || {
            stage.docker(&["version"]).await.status.success()
        })
        .await;
    daemon.stop().await;
    stage.close().await;
}

async fn agent_runs(stage: &Stage) {
    let options = async |directory: &str| {
        let asked = stage
            .on_machine(&format!("findmnt --noheadings --output OPTIONS --mountpoint {directory}"))
            .await;
        let options: Vec<String> = asked.stdout.trim().split(',').map(str::to_owned).collect();
        options
    };
    let has = |options: &[String], wanted: &str| options.iter().any(|option| option == wanted);
    let run = options("/run").await;
    assert!(has(&run, "noexec"), "the machine is not like a real one: {run:?}");
    let log = stage.daemon_log();
    assert!(!log.contains("no agent runs on"), "{log}");
    let own = options("/run/dockbridge").await;
    assert!(has(&own, "nosuid") && has(&own, "nodev") && has(&own, "mode=755"), "{own:?}");
    assert!(has(&own, "size=65536k") && !has(&own, "noexec"), "{own:?}");
    let agents =
        stage.on_machine("readlink /proc/[0-9]*/exe | grep -c ^/run/dockbridge/agent-").await;
    assert!(agents.succeeded().stdout.trim().parse::<u32>().unwrap() > 0, "{agents}");
}
