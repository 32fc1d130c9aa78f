//! The gateway in process, between a client and an engine whose every byte is written by the test.

mod exchange;
mod hijack;
mod rig;
