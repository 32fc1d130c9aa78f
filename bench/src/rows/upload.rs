//! An upload that cannot be compressed.

use anyhow::Result;

use super::transfer::{CPU, RATE, repeat, upload};
use super::{COMMON, Row};
use crate::engine::NOISE;
use crate::goal::{Figures, Goal, Of};
use crate::link::Link;
use crate::peer::Peer;
use crate::route::Route;
use crate::stage::Stage;

pub const ROW: Row = Row {
    id: "upload",
    title: "upload, incompressible",
    routes: COMMON,
    shown: &[RATE, CPU],
    measure,
    goals,
};

fn measure(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let length = stage.upload_mib() << 20;
    repeat(peer, stage, length, |connection| upload(connection, &NOISE, length))
}

fn goals(link: Link) -> Vec<Goal> {
    match link {
        Link::Plain => {
            vec![
                Goal::at_least(RATE, 1.0, Of::Route(Route::ForwardGcm)),
                Goal::at_most(CPU, 1.0, Of::Route(Route::ForwardGcm)),
            ]
        }
        Link::Wan30 => vec![Goal::at_least(RATE, 1.25, Of::Route(Route::Tcp))],
        Link::Wan25 => vec![Goal::at_least(RATE, 0.99, Of::Best)],
    }
}
