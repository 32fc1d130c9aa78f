//! The client against a server that answers by a script, so that every failure comes exactly when
//! it is wanted.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod actions;
mod bodies;
mod creation;
mod outages;
mod recordings;
mod requests;
mod scripted;
mod shapes;
