//! Bytes of a client against the gateway: see `harness/http_head.rs`.

#![no_main]

#[path = "../harness/http_head.rs"]
mod http_head;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| http_head::run(bytes));
