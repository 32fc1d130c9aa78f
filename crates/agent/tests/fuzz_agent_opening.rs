//! Replays what fuzzing is to start from and what it found: each input of
//! `fuzz/corpus/agent_opening`, as the fuzz target would.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a harness tells by panicking")]

#[path = "../../../fuzz/harness/agent_opening.rs"]
mod agent_opening;

#[test]
fn a_stream_is_opened_by_its_first_frame_and_nothing_after_it() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/agent_opening");
    let inputs: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(inputs.len() >= 10, "{} inputs in {folder}", inputs.len());
    for input in inputs {
        println!("{}", input.display());
        agent_opening::run(&std::fs::read(&input).unwrap());
    }
}
