//! A download that cannot be compressed.

use anyhow::Result;

use super::transfer::{CPU, RATE, download, repeat};
use super::{COMMON, Row};
use crate::goal::{Figures, Goal, Of};
use crate::link::Link;
use crate::peer::Peer;
use crate::route::Route;
use crate::stage::Stage;

pub const ROW: Row = Row {
    id: "download",
    title: "download, incompressible",
    routes: COMMON,
    shown: &[RATE, CPU],
    measure,
    goals,
};

fn measure(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let length = stage.download_mib() << 20;
    repeat(peer, stage, length, |connection| download(connection, length))
}

fn goals(link: Link) -> Vec<Goal> {
    match link {
        Link::Plain => {
            vec![
                Goal::at_least(RATE, 1.0, Of::Route(Route::ForwardGcm)),
                Goal::at_most(CPU, 1.0, Of::Route(Route::ForwardGcm)),
            ]
        }
        // The first is for one connection, the second for several of them.
        Link::Wan30 => vec![
            Goal::at_least(RATE, 0.95, Of::Route(Route::Tcp)),
            Goal::at_least(RATE, 1.2, Of::Route(Route::Tcp)),
        ],
        Link::Wan25 => vec![Goal::at_least(RATE, 0.99, Of::Best)],
    }
}
