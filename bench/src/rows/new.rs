//! A forwarded request on a new client connection.

use std::time::Duration;

use anyhow::Result;

use super::{COMMON, FORWARDED, Row, latency};
use crate::clock;
use crate::goal::{Figures, Goal, Of};
use crate::http::{get, read_answer};
use crate::link::Link;
use crate::peer::{Engine, Peer};
use crate::route::Route;
use crate::stage::Stage;

pub const ROW: Row = Row {
    id: "new",
    title: "request on a new connection",
    routes: COMMON,
    shown: &["p50 ms", "p99 ms"],
    measure,
    goals,
};

fn measure(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let times = stage.times(if peer.route.opens_by_login() { 20 } else { 200 });
    let mut seconds = Vec::new();
    for _ in 0..times {
        seconds.push(once(peer, Duration::from_secs(30))?);
    }
    Ok(latency(seconds))
}

/// One such request, in seconds; an error after `limit` without an answer.
pub fn once(peer: &Peer, limit: Duration) -> Result<f64> {
    let begun = clock::now();
    let mut connection = peer.dial(Engine::Docker)?;
    connection.time_limit(limit)?;
    get(&mut connection, FORWARDED, false)?;
    read_answer(&mut connection)?;
    Ok(begun.elapsed().as_secs_f64())
}

fn goals(link: Link) -> Vec<Goal> {
    match link {
        Link::Plain => vec![Goal::at_most("p50 ms", 1.0, Of::Route(Route::Forward))],
        Link::Wan30 | Link::Wan25 => vec![Goal::at_most("p50 ms", 1.1, Of::RoundTrip)],
    }
}
