//! What a process costs, as the kernel counts it.

use std::fs::read_to_string;

use anyhow::{Context as _, Result};

/// Processor time of these processes so far, in seconds; those that are gone count nothing. The
/// kernel counts in hundredths.
pub fn cpu_seconds(processes: &[u32]) -> f64 {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    processes
        .iter()
        .filter_map(|pid| ticks_of(&read_to_string(format!("/proc/{pid}/stat")).ok()?))
        .map(|spent| spent as f64 / ticks)
        .sum()
}

/// Processor time of a process so far, in the kernel's ticks.
pub fn cpu_ticks(process: u32) -> Result<u64> {
    let file = format!("/proc/{process}/stat");
    let stat = read_to_string(&file).with_context(|| file.clone())?;
    ticks_of(&stat).with_context(|| format!("{file} has no processor time"))
}

/// Resident memory of a process in MiB, with all of the pages that it shares.
pub fn resident_mib(process: u32) -> Result<f64> {
    let file = format!("/proc/{process}/status");
    let status = read_to_string(&file).with_context(|| file.clone())?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = resident.map(|value| value.trim().trim_end_matches(" kB").parse::<f64>());
    Ok(number.with_context(|| format!("{file} has no VmRSS"))?? / 1024.0)
}

/// User and system time out of `/proc/PID/stat`. The second field is a name in brackets, which may
/// contain anything.
fn ticks_of(stat: &str) -> Option<u64> {
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ').skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Memory of these processes in MiB, shared pages counted by their share.
pub fn memory_mib(processes: &[u32]) -> f64 {
    let of = |pid: &u32| {
        let rollup = read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        rollup
            .lines()
            .find_map(|line| line.strip_prefix("Pss:"))?
            .trim()
            .trim_end_matches(" kB")
            .parse::<f64>()
            .ok()
    };
    processes.iter().filter_map(of).sum::<f64>() / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 31 4 5 20 0 1 0 100";
        assert_eq!(ticks_of(stat), Some(281));
        assert_eq!(ticks_of("7 (a"), None);
    }

    #[test]
    fn this_process_has_a_size_and_one_that_is_gone_has_none() {
        assert!(memory_mib(&[std::process::id()]) > 0.5);
        assert_eq!((memory_mib(&[u32::MAX]), cpu_seconds(&[u32::MAX])), (0.0, 0.0));
        let (own, resident) = (memory_mib(&[std::process::id()]), resident_mib(std::process::id()));
        assert!(resident.unwrap() >= own * 0.9, "resident memory counts shared pages as a whole");
        assert!(resident_mib(u32::MAX).is_err() && cpu_ticks(u32::MAX).is_err());
    }
}
