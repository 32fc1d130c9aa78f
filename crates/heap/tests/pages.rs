//! The system has pages back that were freed between things that live on. A process of its own:
//! memory is counted for all of it.

#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, reason = "a test tells by panicking")]

/// What this process holds in memory that is its own, in bytes.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn what_is_free_between_things_that_live_on_goes_back() {
    const BLOCK: usize = 16 * 1024;
    const BLOCKS: usize = 1_000;
    let before = memory();
    let (passing, staying): (Vec<_>, Vec<_>) =
        (0..BLOCKS).map(|_| (vec![1_u8; BLOCK], Box::new([1_u8; 64]))).unzip();
    drop(passing);
    let freed = memory() - before;
    assert!(
        freed > BLOCKS * BLOCK / 2,
        "the C library has given {freed} bytes back by itself: \
        this test shows nothing any more"
    );
    dockbridge_heap::give_back();
    let left = memory().saturating_sub(before);
    // A page for each that stays.
    assert!(left < freed / 2, "{left} bytes of {freed} are left");
    drop(staying);
}
