//! `docker import`: an upload into dockerd.

use std::fs::File;
use std::process::Stdio;

use anyhow::{Result, ensure};

use super::transfer::{FIRST, RATE, percent};
use super::{COMMON, Row, figures, quantile};
use crate::clock;
use crate::data::noise;
use crate::goal::{Figures, Goal, Of};
use crate::link::Link;
use crate::peer::Peer;
use crate::route::Route;
use crate::stage::Stage;

pub const ROW: Row =
    Row { id: "import", title: "`docker import`", routes: COMMON, shown: &[RATE], measure, goals };

fn measure(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let file = noise(&stage.data, stage.file_mib());
    let length = std::fs::metadata(&file)?.len();
    let (mut rates, mut first) = (Vec::new(), 0);
    for _ in 0..stage.repetitions() {
        first += usize::from(peer.begins_first_transfer());
        let begun = clock::now();
        let imported = peer
            .docker()
            .args(["import", "-", "bench/imported"])
            .stdin(File::open(&file)?)
            .stdout(Stdio::null())
            .status()?;
        rates.push(length as f64 / begun.elapsed().as_secs_f64() / 1e6);
        ensure!(imported.success(), "`docker import` ended with {imported}");
        peer.docker().args(["rmi", "-f", "bench/imported"]).stdout(Stdio::null()).status()?;
    }
    Ok(figures([(FIRST, percent(first, rates.len())), (RATE, quantile(&mut rates, 0.5))]))
}

/// Those of [`super::save`], too.
pub fn goals(link: Link) -> Vec<Goal> {
    vec![match link {
        Link::Plain => Goal::at_least(RATE, 0.95, Of::BestProtected),
        Link::Wan30 => Goal::at_least(RATE, 0.95, Of::Route(Route::Tcp)),
        Link::Wan25 => Goal::at_least(RATE, 0.99, Of::Best),
    }]
}
