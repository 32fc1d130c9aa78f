//! The containers that ran when a machine went, and their start on the next one.
//!
//! The engine itself starts most of those that have a restart policy. This remembers what ran, on
//! the volume, and starts what the engine left: one with the policy `on-failure` that ended well
//! when it was stopped, and on demand those without any policy.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use agent_proto::Reply;

use crate::docker::Inspected;
use crate::report::Machine;

/// One container's start: its network and mounts take time on a machine that has just booted.
const START: Duration = Duration::from_secs(30);

/// Writes down what runs. Whole or not at all; it is synced with the volume.
pub fn remember(machine: &Machine, running: &[String]) -> io::Result<()> {
    let path = &machine.paths.ran;
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    for id in running {
        writeln!(file, "{id}")?;
    }
    file.sync_all()?;
    std::fs::rename(new, path)
}

/// Starts what ran and does not run again by itself: what has a restart policy, or everything. It
/// is done once.
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
        // One that is not there any more was removed with its end.
        found.extend(machine.docker.inspect(&id).await.ok());
    }
    // Whoever was made first may be waited for by the others.
    found.sort_by(|one, other| one.created.cmp(&other.created));
    let (mut started, mut failed) = (Vec::new(), Vec::new());
    for container in
        found.iter().filter(|container| !container.state.running && (all || has_policy(container)))
    {
        let name = container.name.trim_start_matches('/').to_owned();
        match tokio::time::timeout(START, machine.docker.start(&container.id)).await {
            Ok(Ok(())) => started.push(name),
            Ok(Err(error)) => failed.push(format!("{name}: {error}")),
            Err(_) => failed.push(format!("{name}: it did not start within {} s", START.as_secs())),
        }
    }
    forget(machine);
    Reply::Resumed { started, failed }
}

fn has_policy(container: &Inspected) -> bool {
    !matches!(container.host_config.restart_policy.name.as_str(), "" | "no")
}

/// By the last agent, and by the engine's own books where a machine ended without a word.
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
        // What stays is started once more after the next wake; that is no harm.
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stand_ins::{StandIns, Stopped};

    const STOPPED: &[Stopped] = &[
        Stopped { id: "aaa", policy: "on-failure", created: "2026-11-02T00:00:00Z" },
        Stopped { id: "bbb", policy: "no", created: "2026-11-01T00:00:00Z" },
        Stopped { id: "ccc", policy: "unless-stopped", created: "2026-11-03T00:00:00Z" },
    ];

    async fn rig() -> StandIns {
        let rig = StandIns::new().with_containers(&["zzz"], STOPPED).await;
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
    async fn what_ran_and_has_a_policy_runs_again_once_and_the_oldest_first() {
        let rig = rig().await;
        assert_eq!(resume(&rig.machine(), false).await, resumed(&["aaa", "ccc"]));
        assert_eq!(rig.log(), ["start aaa", "start ccc"]);
        assert_eq!(resume(&rig.machine(), false).await, resumed(&[]));
        assert_eq!(rig.log().len(), 2, "it is done once");
    }

    #[tokio::test]
    async fn on_demand_everything_that_ran_runs_again() {
        let rig = rig().await;
        assert_eq!(resume(&rig.machine(), true).await, resumed(&["bbb", "aaa", "ccc"]));
    }

    #[tokio::test]
    async fn what_ran_at_a_power_cut_is_known_from_the_engines_books() {
        let rig = StandIns::new().with_containers(&[], STOPPED).await;
        std::fs::write(rig.paths().ran_unreleased, "bbb\n../no id\n").unwrap();
        assert_eq!(resume(&rig.machine(), true).await, resumed(&["bbb"]));
    }

    #[tokio::test]
    async fn while_docker_does_not_answer_nothing_is_forgotten() {
        let rig = StandIns::new();
        remember(&rig.machine(), &["aaa".to_owned()]).unwrap();
        assert!(matches!(resume(&rig.machine(), true).await, Reply::Failed { .. }));
        let rig = rig.with_containers(&[], STOPPED).await;
        assert_eq!(resume(&rig.machine(), true).await, resumed(&["aaa"]));
    }
}
