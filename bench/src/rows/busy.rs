//! Requests on a kept connection while an upload fills the link.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;

use super::{COMMON, Row, figures, kept, quantile};
use crate::clock;
use crate::engine::{NOISE, PIECE};
use crate::goal::{Figures, Goal, Of};
use crate::link::Link;
use crate::peer::{Engine, Peer};
use crate::stage::Stage;

const IDLE: &str = "idle p50 ms";
const LOADED: &str = "p50 ms";
/// By then every buffer on the route is full.
const WARM_UP: Duration = Duration::from_millis(1500);
/// Between two requests, as when a user types.
const PAUSE: Duration = Duration::from_millis(20);

pub const ROW: Row = Row {
    id: "busy",
    title: "request while an upload fills the link",
    routes: COMMON,
    shown: &[LOADED, IDLE, "p99 ms"],
    measure,
    goals,
};

fn measure(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let mut connection = peer.dial(Engine::Docker)?;
    kept::once(&mut connection)?;
    let mut ask = |times: usize| -> Result<Vec<f64>> {
        let mut seconds = Vec::new();
        for _ in 0..times {
            seconds.push(kept::once(&mut connection)?);
            clock::pause(PAUSE);
        }
        Ok(seconds)
    };
    let mut idle = ask(stage.times(60))?;
    let over = AtomicBool::new(false);
    let (loaded, uploaded) = std::thread::scope(|scope| {
        let upload = scope.spawn(|| fill(peer, &over));
        clock::pause(WARM_UP);
        let loaded = ask(stage.times(80));
        over.store(true, Ordering::Relaxed);
        (loaded, upload.join())
    });
    uploaded.map_err(|_| anyhow::anyhow!("the upload panicked"))??;
    let mut loaded = loaded?;
    let late = quantile(&mut loaded, 0.99);
    let (idle, loaded) = (quantile(&mut idle, 0.5), quantile(&mut loaded, 0.5));
    Ok(figures([(LOADED, loaded * 1e3), (IDLE, idle * 1e3), ("p99 ms", late * 1e3)]))
}

/// An upload without an end; it is broken off.
fn fill(peer: &Peer, over: &AtomicBool) -> Result<()> {
    let mut upload = peer.dial(Engine::Nothing)?;
    upload.write_all(
        b"POST /sink HTTP/1.1\r\nHost: docker\r\nContent-Length: 1000000000000\r\n\r\n",
    )?;
    for piece in NOISE.chunks(PIECE).cycle() {
        if over.load(Ordering::Relaxed) {
            break;
        }
        upload.write_all(piece)?;
    }
    Ok(())
}

fn goals(link: Link) -> Vec<Goal> {
    let factor = match link {
        Link::Plain | Link::Wan30 => 2.0,
        Link::Wan25 => 2.5,
    };
    vec![Goal::at_most(LOADED, factor, Of::Own(IDLE))]
}
