//! The program itself: its versions here and there, its agents, and what it hears of the session.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lifecycle::LockAction;
use platform::session;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::agents::agents;
use crate::commands::doctor::found::Found;
use crate::commands::doctor::surroundings::Surroundings;
use crate::commands::version::architectures;

/// A sensor reports the present state as soon as it is connected.
const LONGEST_REPORT: Duration = Duration::from_millis(1_500);
/// Two sensors report at once.
const REPORTS: usize = 16;

/// What runs, beside this program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Running {
    /// The daemon's program file, and whether it has been replaced or removed since.
    program: Option<(PathBuf, bool)>,
    /// The protocol of the machine's agent.
    protocol: Option<u32>,
}

pub async fn versions(around: &Surroundings) -> Found {
    let own = std::env::current_exe().unwrap_or_default();
    let running = around.status().await.map(|status| Running {
        program: program_of(status.process),
        protocol: status.report.as_ref().map(|report| report.protocol),
    });
    judge_versions(env!("CARGO_PKG_VERSION"), &own, running.as_ref())
}

/// The program of a process; `None` where the system does not say.
fn program_of(process: u32) -> Option<(PathBuf, bool)> {
    let path = std::fs::read_link(format!("/proc/{process}/exe")).ok()?;
    // The kernel marks a file that was removed or replaced (proc_pid_exe(5)).
    let name = path.to_str()?;
    Some(match name.strip_suffix(" (deleted)") {
        Some(name) => (PathBuf::from(name), true),
        None => (path, false),
    })
}

fn judge_versions(version: &str, own: &Path, running: Option<&Running>) -> Found {
    let Some(Running { program, protocol }) = running else {
        return Found::ok(format!("dockbridge {version}; no daemon runs"));
    };
    match program {
        Some((program, true)) => {
            return Found::hint(format!(
                "the daemon runs a program that was replaced since: {}",
                program.display()
            ));
        }
        Some((program, false)) if program != own => {
            return Found::hint(format!(
                "the daemon runs {}, and this is {}",
                program.display(),
                own.display()
            ))
            .cause("dockbridge is installed twice.");
        }
        _ => {}
    }
    match protocol {
        Some(protocol) if *protocol != tunnel::PROTOCOL => Found::hint(format!(
            "the machine's agent speaks protocol {protocol}, and this program {}",
            tunnel::PROTOCOL
        ))
        .cause("The machine was created by another version of dockbridge.")
        .cure("nothing: the next machine has the agent of this version"),
        Some(protocol) => Found::ok(format!(
            "dockbridge {version}, as the daemon; the agent speaks protocol {protocol}"
        )),
        None => Found::ok(format!("dockbridge {version}, as the daemon")),
    }
}

pub fn agent(around: &Surroundings) -> Found {
    let source = agents();
    let needed = match around.resolved.own_host() {
        // Its architecture is known after the login.
        Some(_) => BTreeSet::new(),
        None => needed_by(&around.resolved.settings.hetzner.server_types),
    };
    judge_agent(&needed, &architectures(&source), &source.to_string())
}

/// Architectures of server types, as in `uname -m`. The names of all arm64 types begin with `cax`,
/// so that this check needs no network.
fn needed_by(server_types: &[String]) -> BTreeSet<&'static str> {
    let of = |name: &String| if name.starts_with("cax") { "aarch64" } else { "x86_64" };
    server_types.iter().map(of).collect()
}

fn judge_agent(needed: &BTreeSet<&str>, there: &[String], place: &str) -> Found {
    let missing: Vec<&str> =
        needed.iter().filter(|arch| !there.iter().any(|it| it == *arch)).copied().collect();
    if there.is_empty() {
        return Found::broken(format!("there is no agent in {place}"));
    }
    match missing.is_empty() {
        true => Found::ok(format!("{} in {place}", there.join(", "))),
        // The ladder passes such types over only if another one is in stock.
        false if missing.len() < needed.len() => {
            Found::hint(format!("there is no agent for {} in {place}", missing.join(", ")))
                .cause("Machines of these server types cannot delete themselves, or do not start.")
                .cure(
                    "install the agent of this architecture, or remove the types from \
             `hetzner.server_types`",
                )
        }
        false => Found::broken(format!("there is no agent for {} in {place}", missing.join(", "))),
    }
}

pub async fn lock_sensor(around: &Surroundings) -> Found {
    if around.resolved.settings.lock.action == LockAction::Ignore {
        return Found::not_run("`lock.action` is ignore");
    }
    judge_sensor(&heard().await)
}

/// The sensors that report the present state.
async fn heard() -> BTreeSet<&'static str> {
    let (events, mut reports) = mpsc::channel(REPORTS);
    let sensors = session::sensors();
    let all = sensors.len();
    let listening = session::listen(sensors, events);
    let collecting = async {
        let mut heard = BTreeSet::new();
        let end = Instant::now() + LONGEST_REPORT;
        while heard.len() < all {
            match timeout_at(end, reports.recv()).await {
                Ok(Some((sensor, _))) => heard.insert(sensor),
                Ok(None) | Err(_) => break,
            };
        }
        heard
    };
    tokio::select! {
        () = listening => BTreeSet::new(),
        heard = collecting => heard,
    }
}

fn judge_sensor(heard: &BTreeSet<&str>) -> Found {
    match heard.is_empty() {
        true => Found::hint("a locked screen ends no machine here"),
        false => {
            let names: Vec<&str> = heard.iter().copied().collect();
            Found::ok(format!("heard from {}", names.join(" and ")))
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use api::CheckCode;
    use api::CheckState::{Broken, Hint, Ok as Fine};

    use super::*;

    /// What can be wrong.
    pub fn findings() -> Vec<(CheckCode, Found)> {
        let own = Path::new("/a/dockbridge");
        let versions = |path: &str, is_replaced, protocol| {
            let program = Some((PathBuf::from(path), is_replaced));
            judge_versions("1.2.3", own, Some(&Running { program, protocol }))
        };
        let none: [String; 0] = [];
        let agent = |needed: &[&str], there: &[String]| {
            judge_agent(&needed.iter().copied().collect(), there, "/usr/lib/dockbridge")
        };
        let one = ["x86_64".to_owned()];
        vec![
            (CheckCode::Versions, versions("/a/dockbridge", true, None)),
            (CheckCode::Versions, versions("/opt/dockbridge", false, None)),
            (CheckCode::Versions, versions("/a/dockbridge", false, Some(999))),
            (CheckCode::Agent, agent(&["x86_64"], &none)),
            (CheckCode::Agent, agent(&["aarch64", "x86_64"], &one)),
            (CheckCode::Agent, agent(&["aarch64"], &one)),
            (CheckCode::LockSensor, judge_sensor(&BTreeSet::new())),
        ]
    }

    #[test]
    fn daemon_of_another_program_and_an_older_agent_are_hints() {
        let own = Path::new("/a/dockbridge");
        let running = |path: &str, is_replaced, protocol| Running {
            program: Some((PathBuf::from(path), is_replaced)),
            protocol,
        };
        let judged = |running: Running| judge_versions("1.2.3", own, Some(&running)).state;
        let path = "/a/dockbridge";
        assert_eq!(judge_versions("1.2.3", own, None).state, Fine);
        assert_eq!(judged(running(path, false, None)), Fine);
        assert_eq!(judged(running(path, false, Some(tunnel::PROTOCOL))), Fine);
        assert_eq!(judged(running(path, false, Some(tunnel::PROTOCOL + 1))), Hint);
        assert_eq!(judged(running(path, true, None)), Hint);
        assert_eq!(judged(running("/b/dockbridge", false, None)), Hint);
        assert_eq!(judged(Running::default()), Fine, "a system without /proc");
    }

    #[test]
    fn agent_for_each_architecture_of_the_ladder_is_needed() {
        let types = ["cx23", "cpx22", "cax11"].map(str::to_owned);
        assert_eq!(needed_by(&types), BTreeSet::from(["aarch64", "x86_64"]));
        for (name, arch) in [("cx23", "x86_64"), ("ccx13", "x86_64"), ("cax11", "aarch64")] {
            assert_eq!(needed_by(&[name.to_owned()]), BTreeSet::from([arch]), "{name}");
        }
        let judged = |needed: &[&str], there: &[&str]| {
            let there: Vec<String> = there.iter().map(|arch| (*arch).to_owned()).collect();
            judge_agent(&needed.iter().copied().collect(), &there, "/lib")
        };
        let both = ["aarch64", "x86_64"];
        assert_eq!(judged(&both, &both), Found::ok("aarch64, x86_64 in /lib"));
        let found = judged(&both, &["x86_64"]);
        assert_eq!((found.state, &*found.message), (Hint, "there is no agent for aarch64 in /lib"));
        assert_eq!(judged(&["aarch64"], &["x86_64"]).state, Broken);
        assert_eq!(judged(&[], &[]).state, Broken);
    }

    #[test]
    fn session_without_a_sensor_is_a_hint() {
        assert_eq!(judge_sensor(&BTreeSet::from(["logind"])), Found::ok("heard from logind"));
        assert_eq!(judge_sensor(&BTreeSet::new()).state, Hint);
    }
}
