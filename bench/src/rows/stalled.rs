//! Other clients while one of them has stopped reading a stream that goes on.

use std::io::Read as _;
use std::time::Duration;

use anyhow::Result;

use super::{Row, SHARED, figures, new, quantile};
use crate::clock;
use crate::goal::{Figures, Goal, Of};
use crate::http::get;
use crate::link::Link;
use crate::peer::{Engine, Peer};
use crate::stage::Stage;

const UNDISTURBED: &str = "undisturbed p99 ms";
const DISTURBED: &str = "p99 ms";
/// By then every buffer on the route is full.
const FILLED: Duration = Duration::from_secs(5);
/// A client that waits longer is stalled, too.
const LIMIT: Duration = Duration::from_secs(3);

pub const ROW: Row = Row {
    id: "stalled",
    title: "other clients while one reader is stalled",
    routes: SHARED,
    shown: &[DISTURBED, UNDISTURBED, "answered %"],
    measure,
    goals,
};

fn measure(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let times = stage.times(if stage.link == Link::Plain { 400 } else { 100 });
    let ask =
        |times: usize| (0..times).map_while(|_| new::once(peer, LIMIT).ok()).collect::<Vec<f64>>();
    let mut before = ask(times);
    let mut stalled = peer.dial(Engine::Nothing)?;
    get(&mut stalled, "/lines/100/0", false)?;
    stalled.read_exact(&mut [0; 200])?;
    clock::pause(FILLED);
    let mut beside = ask(times);
    let answered = 100.0 * beside.len() as f64 / times as f64;
    let late = |seconds: &mut Vec<f64>| quantile(seconds, 0.99) * 1e3;
    let mut figures = figures([(UNDISTURBED, late(&mut before)), ("answered %", answered)]);
    if !beside.is_empty() {
        figures.insert(DISTURBED.to_owned(), late(&mut beside));
    }
    Ok(figures)
}

fn goals(_: Link) -> Vec<Goal> {
    vec![
        Goal::at_least("answered %", 1.0, Of::Number(100.0)),
        Goal::at_most(DISTURBED, 2.0, Of::Own(UNDISTURBED)),
    ]
}
