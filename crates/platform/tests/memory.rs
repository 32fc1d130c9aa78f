//! Pages that were freed between blocks in use return to the system. This needs a process of its
//! own, because memory is measured for the whole process.

#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

/// Anonymous resident memory of this process, in bytes.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn trim_returns_pages_that_were_freed_between_blocks_in_use() {
    const BLOCK: usize = 16 * 1024;
    const BLOCKS: usize = 1_000;
    let before = memory();
    let (freed, kept): (Vec<_>, Vec<_>) =
        (0..BLOCKS).map(|_| (vec![1_u8; BLOCK], Box::new([1_u8; 64]))).unzip();
    drop(freed);
    let freed = memory() - before;
    assert!(
        freed > BLOCKS * BLOCK / 2,
        "only {freed} bytes were still held: the C library returned the rest by itself, so that \
        this test shows nothing"
    );
    dockbridge_platform::memory::trim();
    let left = memory().saturating_sub(before);
    // One page for each block that is kept.
    assert!(left < freed / 2, "{left} bytes of {freed} are left");
    drop(kept);
}
