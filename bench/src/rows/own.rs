//! What the command and an idle daemon cost on the user's computer: no route takes part, so that
//! these rows are on the plain link only.

use std::time::Duration;

use anyhow::Result;

use super::{ALONE, Row, figures, latency};
use crate::clock;
use crate::command::Computer;
use crate::goal::{Figures, Goal, Of};
use crate::link::Link;
use crate::peer::Peer;
use crate::process::{cpu_ticks, resident_mib};
use crate::stage::Stage;

/// Repetitions of a command.
const TIMES: usize = 40;
/// How long a daemon is watched that nobody uses.
const WATCH: Duration = Duration::from_secs(60);
/// The first seconds belong to the start.
const SETTLING: Duration = Duration::from_secs(5);

pub const START: Row = Row {
    id: "start",
    title: "`dockbridge start --detach` to its end",
    routes: ALONE,
    shown: &["p50 ms", "p99 ms"],
    measure: |_, stage| start(stage),
    goals: |link| on_plain(link, &[Goal::at_most("p50 ms", 1.0, Of::Number(50.0))]),
};

pub const STATUS: Row = Row {
    id: "status",
    title: "`dockbridge status`",
    routes: ALONE,
    shown: &["p50 ms", "p99 ms"],
    measure: |_, stage| status(stage),
    goals: |link| on_plain(link, &[Goal::at_most("p50 ms", 1.0, Of::Number(50.0))]),
};

pub const IDLE: Row = Row {
    id: "idle",
    title: "daemon without a machine, unused",
    routes: ALONE,
    shown: &["resident MiB", "ticks in 60 s"],
    measure: idle,
    goals: |link| {
        on_plain(
            link,
            &[
                Goal::at_most("resident MiB", 1.0, Of::Number(20.0)),
                Goal::at_most("ticks in 60 s", 1.0, Of::Number(1.0)),
            ],
        )
    },
};

fn on_plain(link: Link, goals: &[Goal]) -> Vec<Goal> {
    if link == Link::Plain { goals.to_vec() } else { Vec::new() }
}

/// From typing the command until it has said that the daemon serves.
fn start(stage: &Stage) -> Result<Figures> {
    let computer = Computer::new()?;
    let mut seconds = Vec::new();
    for _ in 0..stage.times(TIMES) {
        let begun = clock::now();
        computer.dockbridge(&["start", "--detach"])?;
        seconds.push(begun.elapsed().as_secs_f64());
        computer.stop()?;
    }
    Ok(latency(seconds))
}

fn status(stage: &Stage) -> Result<Figures> {
    let computer = Computer::new()?;
    computer.start()?;
    let mut seconds = Vec::new();
    for _ in 0..stage.times(TIMES) {
        let begun = clock::now();
        computer.dockbridge(&["status"])?;
        seconds.push(begun.elapsed().as_secs_f64());
    }
    Ok(latency(seconds))
}

/// The kernel counts processor time in ticks of 10 ms.
fn idle(_: &Peer, _: &Stage) -> Result<Figures> {
    let computer = Computer::new()?;
    let process = computer.start()?;
    clock::pause(SETTLING);
    let before = cpu_ticks(process)?;
    clock::pause(WATCH);
    let ticks = cpu_ticks(process)?.saturating_sub(before);
    Ok(figures([("resident MiB", resident_mib(process)?), ("ticks in 60 s", ticks as f64)]))
}
