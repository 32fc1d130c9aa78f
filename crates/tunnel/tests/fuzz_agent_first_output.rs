//! Replays what fuzzing is to start from and what it found: each input of
//! `fuzz/corpus/agent_first_output`, as the fuzz target would.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a harness tells by panicking")]

#[path = "../../../fuzz/harness/agent_first_output.rs"]
mod agent_first_output;

#[test]
fn our_own_lines_are_found_in_whatever_a_host_prints() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/agent_first_output");
    let inputs: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(inputs.len() >= 10, "{} inputs in {folder}", inputs.len());
    for input in inputs {
        println!("{}", input.display());
        agent_first_output::run(&std::fs::read(&input).unwrap());
    }
}
