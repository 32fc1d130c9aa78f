//! Published ports in process: a scripted engine, far ends of connections in the test, real sockets
//! on this side.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod asked_for;
mod asleep;
mod connections;
mod datagrams;
mod engine;
mod families;
mod listeners;
