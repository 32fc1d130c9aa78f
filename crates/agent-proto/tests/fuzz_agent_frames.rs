//! Replays what fuzzing is to start from and what it found: each input of
//! `fuzz/corpus/agent_frames`, as the fuzz target would.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a harness tells by panicking")]

// The harness is the fuzz target's as well, which knows the package by this name.
extern crate dockbridge_agent_proto as agent_proto;

#[path = "../../../fuzz/harness/agent_frames.rs"]
mod agent_frames;

#[test]
fn no_bytes_are_taken_for_a_frame_that_they_are_not() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/agent_frames");
    let inputs: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(inputs.len() >= 10, "{} inputs in {folder}", inputs.len());
    for input in inputs {
        println!("{}", input.display());
        agent_frames::run(&std::fs::read(&input).unwrap());
    }
}
