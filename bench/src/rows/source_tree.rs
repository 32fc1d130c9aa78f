//! An upload of a source tree, as a build context is one.

use anyhow::Result;

use super::Row;
use super::transfer::{CPU, RATE, repeat, upload};
use crate::data::sources;
use crate::goal::{Figures, Goal, Of};
use crate::link::Link;
use crate::peer::Peer;
use crate::route::Route;
use crate::stage::Stage;

pub const ROW: Row = Row {
    id: "source",
    title: "upload, source tree",
    routes: &Route::ALL,
    shown: &[RATE, CPU],
    measure,
    goals,
};

fn measure(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let tree = std::fs::read(sources(&stage.data, stage.file_mib()))?;
    let length = tree.len() as u64;
    repeat(peer, stage, length, |connection| upload(connection, &tree, length))
}

fn goals(link: Link) -> Vec<Goal> {
    match link {
        Link::Plain => vec![Goal::at_least(RATE, 1.0, Of::BestProtected)],
        Link::Wan30 => vec![Goal::at_least(RATE, 2.5, Of::Route(Route::Tcp))],
        Link::Wan25 => vec![
            Goal::at_least(RATE, 4.0, Of::Best),
            Goal::at_least(RATE, 1.5, Of::Route(Route::ForwardZlib)),
        ],
    }
}
