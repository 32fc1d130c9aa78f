//! The first big transfer of a tunnel, as it follows a wake: each sample has a tunnel of its own.

use anyhow::Result;

use super::transfer::{RATE, download, repeat_anew, upload};
use super::{Row, SHARED};
use crate::engine::NOISE;
use crate::goal::{Figures, Goal, Of};
use crate::link::Link;
use crate::peer::{Engine, Peer};
use crate::stage::Stage;
use crate::way::Way;

pub const UPLOAD: Row = Row {
    id: "first-upload",
    title: "first upload of a \
        tunnel",
    ways: SHARED,
    shown: &[RATE],
    measure: measure_upload,
    goals,
};

pub const DOWNLOAD: Row = Row {
    id: "first-download",
    title: "first download of a \
        tunnel",
    ways: SHARED,
    shown: &[RATE],
    measure: measure_download,
    goals,
};

pub const TURN: Row = Row {
    id: "first-turn",
    title: "first download of a tunnel, after an upload",
    ways: SHARED,
    shown: &[RATE],
    measure: measure_turn,
    goals,
};

pub const FORWARD: Row = Row {
    id: "first-forward",
    title: "first transfer of a tunnel, a download through a port",
    ways: SHARED,
    shown: &[RATE],
    measure: measure_forward,
    goals: goals_of_forward,
};

fn measure_upload(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let length = stage.first_upload_mib() << 20;
    repeat_anew(
        Engine::Nothing,
        peer,
        stage,
        length,
        |_| Ok(()),
        |connection| upload(connection, &NOISE, length),
    )
}

fn measure_download(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let length = stage.first_download_mib() << 20;
    repeat_anew(
        Engine::Nothing,
        peer,
        stage,
        length,
        |_| Ok(()),
        |connection| download(connection, length),
    )
}

fn measure_turn(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let length = stage.first_download_mib() << 20;
    let before = |peer: &Peer| {
        let mut connection = peer.dial(Engine::Nothing)?;
        upload(&mut connection, &NOISE, stage.first_upload_mib() << 20)
    };
    repeat_anew(Engine::Nothing, peer, stage, length, before, |connection| {
        download(connection, length)
    })
}

fn measure_forward(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let length = stage.first_download_mib() << 20;
    repeat_anew(
        Engine::Published,
        peer,
        stage,
        length,
        |_| Ok(()),
        |connection| download(connection, length),
    )
}

/// Nobody knows yet that it is big: it goes by the agent's session, which is one connection.
fn goals_of_forward(link: Link) -> Vec<Goal> {
    match link {
        Link::Plain => vec![Goal::at_least(RATE, 0.9, Of::Way(Way::Forward))],
        Link::Wan30 => vec![
            Goal::at_least(RATE, 0.9, Of::Way(Way::Tcp)),
            Goal::at_least(RATE, 1.0, Of::Way(Way::Forward)),
        ],
        Link::Wan25 => vec![Goal::at_least(RATE, 0.97, Of::Best)],
    }
}

fn goals(link: Link) -> Vec<Goal> {
    match link {
        Link::Plain => vec![Goal::at_least(RATE, 0.9, Of::Way(Way::ForwardGcm))],
        Link::Wan30 => vec![
            Goal::at_least(RATE, 1.0, Of::Way(Way::Tcp)),
            Goal::at_least(RATE, 1.0, Of::Way(Way::Forward)),
        ],
        Link::Wan25 => vec![Goal::at_least(RATE, 0.97, Of::Best)],
    }
}
