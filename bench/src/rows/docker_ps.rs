//! `docker ps`, the whole command as a user types it.

use std::process::Stdio;

use anyhow::{Result, ensure};

use super::{COMMON, Row, latency};
use crate::clock;
use crate::goal::{Figures, Goal, Of};
use crate::link::Link;
use crate::peer::Peer;
use crate::route::Route;
use crate::stage::Stage;

pub const ROW: Row = Row {
    id: "ps",
    title: "`docker ps`",
    routes: COMMON,
    shown: &["p50 ms", "p99 ms"],
    measure,
    goals,
};

fn measure(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let mut seconds = Vec::new();
    for _ in 0..stage.times(30) {
        let begun = clock::now();
        let status = peer.docker().arg("ps").stdout(Stdio::null()).status()?;
        seconds.push(begun.elapsed().as_secs_f64());
        ensure!(status.success(), "`docker ps` ended with {status}");
    }
    Ok(latency(seconds))
}

fn goals(link: Link) -> Vec<Goal> {
    let factor = match link {
        Link::Plain => 1.0,
        Link::Wan30 => 0.40,
        Link::Wan25 => 0.42,
    };
    vec![Goal::at_most("p50 ms", factor, Of::Route(Route::Forward))]
}
