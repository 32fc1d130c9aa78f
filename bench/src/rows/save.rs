//! `docker save`: a download from dockerd.

use std::io::Read as _;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use super::import::goals;
use super::transfer::{FIRST, RATE, percent};
use super::{COMMON, Row, figures, quantile};
use crate::clock;
use crate::engine::PIECE;
use crate::goal::Figures;
use crate::peer::Peer;
use crate::stage::Stage;

pub const ROW: Row =
    Row { id: "save", title: "`docker save`", routes: COMMON, shown: &[RATE], measure, goals };

fn measure(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let image = format!("bench/noise{}", stage.file_mib());
    let (mut rates, mut first) = (Vec::new(), 0);
    let mut piece = vec![0; PIECE];
    for _ in 0..stage.repetitions() {
        first += usize::from(peer.begins_first_transfer());
        let begun = clock::now();
        let mut saving = peer.docker().args(["save", &image]).stdout(Stdio::piped()).spawn()?;
        let mut archive = saving.stdout.take().context("no output")?;
        let mut length = 0;
        loop {
            match archive.read(&mut piece)? {
                0 => break,
                count => length += count,
            }
        }
        let ended = saving.wait()?;
        ensure!(ended.success(), "`docker save` ended with {ended}");
        rates.push(length as f64 / begun.elapsed().as_secs_f64() / 1e6);
    }
    Ok(figures([(FIRST, percent(first, rates.len())), (RATE, quantile(&mut rates, 0.5))]))
}
