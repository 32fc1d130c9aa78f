//! A forwarded request on a connection that is kept.

use anyhow::Result;

use super::{COMMON, FORWARDED, Row, latency};
use crate::clock;
use crate::goal::{Figures, Goal, Of};
use crate::http::{get, read_answer};
use crate::link::Link;
use crate::peer::{Connection, Engine, Peer};
use crate::route::Route;
use crate::stage::Stage;

pub const ROW: Row = Row {
    id: "kept",
    title: "request on a kept connection",
    routes: COMMON,
    shown: &["p50 ms", "p99 ms"],
    measure,
    goals,
};

fn measure(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let mut connection = peer.dial(Engine::Docker)?;
    once(&mut connection)?;
    let mut seconds = Vec::new();
    for _ in 0..stage.times(200) {
        seconds.push(once(&mut connection)?);
    }
    Ok(latency(seconds))
}

/// One such request, in seconds.
pub fn once(connection: &mut Connection) -> Result<f64> {
    let begun = clock::now();
    get(connection, FORWARDED, false)?;
    read_answer(connection)?;
    Ok(begun.elapsed().as_secs_f64())
}

fn goals(link: Link) -> Vec<Goal> {
    match link {
        Link::Plain => vec![Goal::at_most("p50 ms", 1.2, Of::Route(Route::Forward))],
        Link::Wan30 | Link::Wan25 => vec![Goal::at_most("p50 ms", 1.05, Of::RoundTrip)],
    }
}
