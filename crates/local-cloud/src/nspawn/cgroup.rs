//! A control group for each machine. Without one, nspawn would put all machines into one group
//! below this process's, where each systemd would find the others' services. A dead machine's
//! groups are empty but must be removed.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::tool::{During, failure};
use crate::hypervisor::Failure;

/// The kernel releases a group shortly after its last process is reaped.
const EMPTY_LIMIT: Duration = Duration::from_secs(2);

/// Creates a machine's groups; a process enters one by writing to its `cgroup.procs`.
pub(super) fn make(name: &str) -> Result<Vec<PathBuf>, Failure> {
    let roots = roots();
    if roots.is_empty() {
        return Err(failure(
            "make a control group",
            "no cgroup2 file system is mounted (mount -t cgroup2 cgroup2 /sys/fs/cgroup)",
        ));
    }
    let groups: Vec<PathBuf> = roots.into_iter().map(|root| root.join(name)).collect();
    for group in &groups {
        std::fs::create_dir_all(group)
            .during(format!("make the control group {}", group.display()))?;
    }
    Ok(groups)
}

/// Removes a dead machine's groups.
pub(super) async fn remove(name: &str) -> Result<(), Failure> {
    for group in roots().into_iter().map(|root| root.join(name)) {
        let deadline = Instant::now() + EMPTY_LIMIT;
        while let Err(error) = remove_tree(&group) {
            if Instant::now() > deadline {
                return Err(failure(
                    format!("remove the control group {}", group.display()),
                    error,
                ));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

/// The processes in a machine's groups.
pub(super) fn processes(name: &str) -> Vec<i32> {
    let mut found = Vec::new();
    // Every hierarchy contains all of them.
    let mut directories: Vec<PathBuf> =
        roots().into_iter().take(1).map(|root| root.join(name)).collect();
    while let Some(directory) = directories.pop() {
        let listed = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        found.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
        let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
        directories.extend(
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    found
}

/// Groups whose names have this prefix.
pub(super) fn named(prefix: &str) -> Vec<String> {
    let directories =
        roots().into_iter().filter_map(|root| std::fs::read_dir(root).ok()).flatten().flatten();
    let mut names: Vec<String> = directories
        .filter_map(|directory| directory.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Mount points of the hierarchies without controllers, which only group processes: version 2, and
/// systemd's own of version 1.
fn roots() -> Vec<PathBuf> {
    roots_in(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

fn roots_in(mountinfo: &str) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = Vec::new();
    for line in mountinfo.lines() {
        let Some((place, kind)) = line.split_once(" - ") else { continue };
        let counts = kind.starts_with("cgroup2 ")
            || (kind.starts_with("cgroup ") && kind.ends_with("name=systemd"));
        if let Some(point) = place.split(' ').nth(4).map(PathBuf::from).filter(|_| counts)
            && !roots.contains(&point)
        {
            roots.push(point);
        }
    }
    roots
}

/// The files in a group's directory cannot be removed and need not be.
fn remove_tree(group: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(group) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path())?;
        }
    }
    match std::fs::remove_dir(group) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_hosts_have_a_root() {
        let mixed = "1 0 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                     2 0 0:2 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                     3 0 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(
            roots_in(mixed),
            [PathBuf::from("/sys/fs/cgroup/systemd"), PathBuf::from("/sys/fs/cgroup/unified")]
        );
        let unified = "3 0 0:3 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 \
         rw,nsdelegate\n";
        assert_eq!(roots_in(unified), [PathBuf::from("/sys/fs/cgroup")]);
    }
}
