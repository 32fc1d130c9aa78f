//! Saves which containers run when a machine ends, and starts them on the next one.
//!
//! The engine starts most containers with a restart policy by itself. This starts those that it
//! leaves: with the policy `on-failure`, one that exited successfully when it was stopped, and on
//! request those without any policy.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use agent_proto::Reply;
use engine::ContainerInspect;

use crate::machine::Machine;

/// How long one container may take to start: its network and mounts are slow on a machine that has
/// just booted.
const START: Duration = Duration::from_secs(30);

/// Saves the ids of the running containers on the volume.
pub fn remember(machine: &Machine, running: &[String]) -> io::Result<()> {
    let text: String = running.iter().map(|id| format!("{id}\n")).collect();
    platform::private_file::write(&machine.paths.ran, text.as_bytes())
}

/// Starts the saved containers that do not run: those with a restart policy, or all. A second call
/// starts nothing.
pub async fn resume(machine: &Machine, all: bool) -> Reply {
    let ran = ran(machine);
    if ran.is_empty() {
        forget(machine);
        return Reply::Resumed { started: Vec::new(), failed: Vec::new() };
    }
    if !machine.docker.is_ready().await {
        return Reply::Failed { message: "docker does not answer".into() };
    }
    let mut found = Vec::new();
    for id in ran {
        // A container that no longer exists was removed when it ended.
        found.extend(machine.docker.inspect(&id).await);
    }
    // The oldest first: others may depend on it.
    found.sort_by(|one, other| one.created.cmp(&other.created));
    let (mut started, mut failed) = (Vec::new(), Vec::new());
    for container in
        found.iter().filter(|container| !container.state.running && (all || has_policy(container)))
    {
        let name = container.name().to_owned();
        match tokio::time::timeout(START, machine.docker.start(&container.id)).await {
            Ok(Ok(())) => started.push(name),
            Ok(Err(error)) => failed.push(format!("{name}: {}", with_cause(&error))),
            Err(_) => failed.push(format!("{name}: it did not start within {} s", START.as_secs())),
        }
    }
    forget(machine);
    Reply::Resumed { started, failed }
}

fn with_cause(error: &engine::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn has_policy(container: &ContainerInspect) -> bool {
    !matches!(container.host_config.restart_policy.name.as_str(), "" | "no")
}

/// The containers saved by the last agent, and those found in the engine's files if a machine ended
/// without a release.
fn ran(machine: &Machine) -> BTreeSet<String> {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let text = read(&machine.paths.ran) + &read(&machine.paths.ran_unreleased);
    text.lines()
        .filter(|line| !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        .map(str::to_owned)
        .collect()
}

fn forget(machine: &Machine) {
    for path in [&machine.paths.ran, &machine.paths.ran_unreleased] {
        // If that fails they are started again after the next boot, which does no harm.
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_machine::{Stopped, TestMachine};

    const STOPPED: &[Stopped] = &[
        Stopped { id: "aaa", policy: "on-failure", created: "2026-11-02T00:00:00Z" },
        Stopped { id: "bbb", policy: "no", created: "2026-11-01T00:00:00Z" },
        Stopped { id: "ccc", policy: "unless-stopped", created: "2026-11-03T00:00:00Z" },
    ];

    async fn rig() -> TestMachine {
        let rig = TestMachine::new().with_containers(&["zzz"], STOPPED).await;
        remember(&rig.machine(), &["zzz", "ccc", "bbb", "aaa", "gone"].map(str::to_owned)).unwrap();
        rig
    }

    fn resumed(started: &[&str]) -> Reply {
        Reply::Resumed {
            started: started.iter().map(|name| (*name).to_owned()).collect(),
            failed: Vec::new(),
        }
    }

    #[tokio::test]
    async fn containers_with_a_policy_are_started_once_and_oldest_first() {
        let rig = rig().await;
        assert_eq!(resume(&rig.machine(), false).await, resumed(&["aaa", "ccc"]));
        assert_eq!(rig.log(), ["start aaa", "start ccc"]);
        assert_eq!(resume(&rig.machine(), false).await, resumed(&[]));
        assert_eq!(rig.log().len(), 2, "a second call starts nothing");
    }

    #[tokio::test]
    async fn on_request_all_containers_are_started() {
        let rig = rig().await;
        assert_eq!(resume(&rig.machine(), true).await, resumed(&["bbb", "aaa", "ccc"]));
    }

    #[tokio::test]
    async fn a_container_that_does_not_start_is_reported_with_dockers_message() {
        let stopped = Stopped { id: "broken", policy: "always", created: "" };
        let rig = TestMachine::new().with_containers(&[], &[stopped]).await;
        remember(&rig.machine(), &["broken".to_owned()]).unwrap();
        let message = "broken: the engine answered 500 Internal Server Error: driver failed";
        let failed = Reply::Resumed { started: Vec::new(), failed: vec![message.to_owned()] };
        assert_eq!(resume(&rig.machine(), false).await, failed);
    }

    #[tokio::test]
    async fn after_a_power_cut_the_list_from_the_engines_files_is_used() {
        let rig = TestMachine::new().with_containers(&[], STOPPED).await;
        std::fs::write(rig.paths().ran_unreleased, "bbb\n../no id\n").unwrap();
        assert_eq!(resume(&rig.machine(), true).await, resumed(&["bbb"]));
    }

    #[tokio::test]
    async fn the_list_is_kept_while_docker_does_not_answer() {
        let rig = TestMachine::new();
        remember(&rig.machine(), &["aaa".to_owned()]).unwrap();
        assert!(matches!(resume(&rig.machine(), true).await, Reply::Failed { .. }));
        let rig = rig.with_containers(&[], STOPPED).await;
        assert_eq!(resume(&rig.machine(), true).await, resumed(&["aaa"]));
    }
}
