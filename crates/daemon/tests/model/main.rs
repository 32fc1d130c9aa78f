//! Daemons, agent, cloud and clock together: their pure parts, driven by chance over simulated
//! time. Computers sleep, networks are cut or block TCP 22, the cloud's lists lag, wakes are called
//! off and everything is killed. A few lines stand for what carries decisions out; what decides and
//! what keeps the cost ledger is the product's own.
//!
//! `DOCKBRIDGE_MODEL_SEED` replays the seed that a failure names.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod books;
mod cloud;
mod computer;
mod connecting;
mod events;
mod world;

use agent::lease;

use crate::world::World;

/// Steps of each of four processes; a step is up to a minute and a half. `DOCKBRIDGE_MODEL_STEPS`
/// sets another number: 250000 make a million together.
const STEPS: u32 = 50_000;

fn steps() -> u32 {
    std::env::var("DOCKBRIDGE_MODEL_STEPS")
        .ok()
        .and_then(|steps| steps.parse().ok())
        .unwrap_or(STEPS)
}

fn plays(seed: u64) {
    let seed = std::env::var("DOCKBRIDGE_MODEL_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(seed);
    let mut world = World::new(seed);
    for _ in 0..steps() {
        world.step();
    }
    world.comes_to_rest();
    world.has_seen_everything();
}

#[test]
fn invariants_hold_over_many_steps_first_part() {
    plays(1);
}

#[test]
fn invariants_hold_over_many_steps_second_part() {
    plays(20_261_123);
}

#[test]
fn invariants_hold_over_many_steps_third_part() {
    plays(3_141_592_653);
}

#[test]
fn invariants_hold_over_many_steps_fourth_part() {
    plays(u64::from(std::process::id()));
}
