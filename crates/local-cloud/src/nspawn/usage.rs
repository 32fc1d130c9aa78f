//! What a machine has used, from kernel files: CPU time and disk traffic of the processes in its
//! control group, and the counters of its network link. Processes that ended count through the
//! parent that waited for them.

use std::path::Path;
use std::time::Duration;

use super::cgroup;
use crate::hypervisor::Usage;

/// Usage of the machine of this name, with the host's end of its network link.
pub(super) fn of(name: &str, link: Option<&str>) -> Usage {
    let mut usage = Usage::default();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    for process in cgroup::processes(name) {
        let directory = Path::new("/proc").join(process.to_string());
        // A process may end between two reads.
        let read = |file: &str| std::fs::read_to_string(directory.join(file)).unwrap_or_default();
        usage.cpu += Duration::from_millis(ticks(&read("stat")) * 1000 / per_second);
        let io = read("io");
        usage.disk_read += field(&io, "read_bytes: ");
        usage.disk_written += field(&io, "write_bytes: ");
    }
    if let Some(link) = link {
        let counter = |name: &str| {
            let file = format!("/sys/class/net/{link}/statistics/{name}");
            std::fs::read_to_string(file)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(0)
        };
        // What this end sends is what the machine receives.
        (usage.received, usage.sent) = (counter("tx_bytes"), counter("rx_bytes"));
        (usage.packets_received, usage.packets_sent) =
            (counter("tx_packets"), counter("rx_packets"));
    }
    usage
}

/// User and system time of a process and of the children that it waited for: fields 14 to 17 of
/// its `stat`. The second field is its name in parentheses, which may contain spaces.
fn ticks(stat: &str) -> u64 {
    let Some((_, fields)) = stat.rsplit_once(')') else { return 0 };
    fields.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum()
}

fn field(text: &str, name: &str) -> u64 {
    text.lines().find_map(|line| line.strip_prefix(name)?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_spaces() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 9 8 7 6 10 20 30 40 20 0 1 0 5 1 2";
        assert_eq!(ticks(stat), 100);
        assert_eq!(ticks(""), 0);
        assert_eq!(field("rchar: 5\nread_bytes: 4096\nwrite_bytes: 7\n", "read_bytes: "), 4096);
    }
}
