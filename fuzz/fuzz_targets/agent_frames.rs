//! Bytes of anybody as frames of the agent protocol: see `harness/agent_frames.rs`.

#![no_main]

#[path = "../harness/agent_frames.rs"]
mod agent_frames;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| agent_frames::run(bytes));
