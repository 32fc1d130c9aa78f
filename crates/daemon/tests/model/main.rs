//! Daemons, agent, cloud and clock together: their pure parts, driven by chance over simulated time, while computers sleep, networks are cut and
//! everything is killed. What carries decisions out is replaced by a few lines; what decides is the product's own.
//!
//! `DOCKBRIDGE_MODEL_SEED` replays the seed that a failure names.

#![allow(clippy::unwrap_used, reason = "a test tells by panicking")]

#[path = "../../../agent/src/lease.rs"]
#[allow(dead_code, unused_imports, reason = "the agent's own; not all of it is used here")]
mod lease;

mod cloud;
mod computer;
mod world;

use crate::world::World;

/// A quarter of a million steps each, in four processes; a step is up to a minute and a half.
const STEPS: u32 = 250_000;

fn plays(seed: u64) {
    let seed = std::env::var("DOCKBRIDGE_MODEL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(seed);
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
    }
    world.comes_to_rest();
    world.has_seen_everything();
}

#[test]
fn the_promises_hold_over_a_million_steps_first_part() {
    plays(1);
}

#[test]
fn the_promises_hold_over_a_million_steps_second_part() {
    plays(20_261_123);
}

#[test]
fn the_promises_hold_over_a_million_steps_third_part() {
    plays(3_141_592_653);
}

#[test]
fn the_promises_hold_over_a_million_steps_fourth_part() {
    plays(u64::from(std::process::id()));
}
