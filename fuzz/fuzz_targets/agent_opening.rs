//! Bytes of a client as the first frame of a stream: see `harness/agent_opening.rs`.

#![no_main]

#[path = "../harness/agent_opening.rs"]
mod agent_opening;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| agent_opening::run(bytes));
