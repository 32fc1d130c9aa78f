//! Bytes of a host before the agent speaks: see `harness/agent_first_output.rs`.

#![no_main]

#[path = "../harness/agent_first_output.rs"]
mod agent_first_output;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| agent_first_output::run(bytes));
