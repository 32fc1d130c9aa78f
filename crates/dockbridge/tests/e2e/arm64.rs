//! The last rung of the ladder: a machine of an arm type. The local cloud emulates arm64, so the
//! agent on the machine is the one for arm64, from its upload to the end of its lease.

use std::time::Duration;

use hetzner::Query;

use crate::rig::{Stage, agent_directory, pass_over};

const LEASE: Duration = Duration::from_secs(15);
/// Beyond the lease: stopping docker, and the cloud's own time.
const MARGIN: Duration = Duration::from_secs(90);

/// A cloud that has sold out of everything but arm types; `None` where arm64 cannot be emulated.
async fn only_arm_is_left() -> Option<Stage> {
    if let Err(reason) = testkit::arm64_agent(&agent_directory()) {
        testkit::passed_over!("{reason}");
        return None;
    }
    if let Err(failure) = local_cloud::nspawn::check_arm64() {
        testkit::passed_over!("{failure}");
        return None;
    }
    let Some(stage) = Stage::with(|options| options.emulate_arm64 = true).await else {
        pass_over();
        return None;
    };
    for server_type in ["cx23", "cpx22"] {
        let body = format!(r#"{{"server_type": "{server_type}"}}"#);
        let fault = format!(r#"{{"kind": "stock_out", "times": 99, "match": {{"body": {body}}}}}"#);
        stage.control().post("faults", &fault).await;
    }
    Some(stage)
}

#[tokio::test]
async fn cax_machine_runs_the_arm64_agent_and_deletes_itself_at_the_end_of_its_lease() {
    let Some(stage) = only_arm_is_left().await else { return };
    let lease = format!("{}s", LEASE.as_secs());
    let settings =
        [("DOCKBRIDGE_KEEPALIVE_TIMEOUT", lease.as_str()), ("DOCKBRIDGE_KEEPALIVE_INTERVAL", "2s")];
    let daemon = stage.start(&settings).await;
    stage.make_image("tiny").await;
    stage.docker(&["run", "--rm", "tiny", "echo", "done"]).await.succeeded().said(&["done"]);

    let servers = stage.api.servers().list(&Query::default()).await.unwrap();
    let types: Vec<&str> = servers.iter().map(|server| server.server_type.name.as_str()).collect();
    assert_eq!(types, ["cax11"]);
    let looked = stage
        .on_machine(
            "uname -m; tr '\\0' ' ' </proc/$(systemctl show -P MainPID dockbridge-agent)/cmdline",
        )
        .await;
    looked.succeeded().said(&["aarch64\n", "qemu-aarch64-static ", "/agent-", " resident "]);

    daemon.kill().await;
    stage
        .eventually("the machine has deleted itself", LEASE + MARGIN, async || {
            stage.counts().await == (0, 1)
        })
        .await;
    // The volume was released: another machine of that kind uses it.
    let daemon = stage.start(&[]).await;
    stage.docker(&["run", "--rm", "tiny", "true"]).await.succeeded();
    daemon.stop().await;
    stage.close().await;
    let formats = std::fs::read_dir("/proc/sys/fs/binfmt_misc").unwrap().flatten();
    let names: Vec<_> = formats.map(|format| format.file_name()).collect();
    let is_left = |name: &std::ffi::OsString| name.to_string_lossy().starts_with("dockbridge-");
    assert!(!names.iter().any(is_left), "nothing is left on the host: {names:?}");
}
