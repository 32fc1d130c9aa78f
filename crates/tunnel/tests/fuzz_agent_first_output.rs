//! Replays each input of `fuzz/corpus/agent_first_output` in the harness of the fuzz target.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a harness reports by panicking")]

extern crate dockbridge_tunnel as tunnel;

#[path = "../../../fuzz/harness/agent_first_output.rs"]
mod agent_first_output;

#[test]
fn the_corpus_of_first_output_replays_without_a_panic() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/agent_first_output");
    let inputs: Vec<_> =
        std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(inputs.len() >= 10, "{} inputs in {corpus}", inputs.len());
    for input in inputs {
        println!("{}", input.display());
        agent_first_output::run(&std::fs::read(&input).unwrap());
    }
}
