//! Replays each input of `fuzz/corpus/agent_frames` in the harness of the fuzz target.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a harness reports by panicking")]

extern crate dockbridge_agent_proto as agent_proto;

#[path = "../../../fuzz/harness/agent_frames.rs"]
mod agent_frames;

#[test]
fn the_corpus_of_frames_replays_without_a_panic() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/agent_frames");
    let inputs: Vec<_> =
        std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(inputs.len() >= 10, "{} inputs in {corpus}", inputs.len());
    for input in inputs {
        println!("{}", input.display());
        agent_frames::run(&std::fs::read(&input).unwrap());
    }
}
