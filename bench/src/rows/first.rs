//! The first big transfer of a tunnel, as it follows a wake: each sample has a tunnel of its own.

use anyhow::Result;

use super::transfer::{RATE, download, repeat_with_new_tunnels, upload};
use super::{Row, SHARED};
use crate::engine::NOISE;
use crate::goal::{Figures, Goal, Of};
use crate::link::Link;
use crate::peer::{Engine, Peer};
use crate::route::Route;
use crate::stage::Stage;

pub const UPLOAD: Row = Row {
    id: "first-upload",
    title: "first upload of a tunnel",
    routes: SHARED,
    shown: &[RATE],
    measure: measure_upload,
    goals,
};

pub const DOWNLOAD: Row = Row {
    id: "first-download",
    title: "first download of a tunnel",
    routes: SHARED,
    shown: &[RATE],
    measure: measure_download,
    goals,
};

pub const TURN: Row = Row {
    id: "first-turn",
    title: "first download of a tunnel, after an upload",
    routes: SHARED,
    shown: &[RATE],
    measure: measure_turn,
    goals,
};

pub const FORWARD: Row = Row {
    id: "first-forward",
    title: "first transfer of a tunnel, a download through a port",
    routes: SHARED,
    shown: &[RATE],
    measure: measure_forward,
    goals: goals_of_forward,
};

fn measure_upload(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let length = stage.first_upload_mib() << 20;
    repeat_with_new_tunnels(
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
    repeat_with_new_tunnels(
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
    repeat_with_new_tunnels(Engine::Nothing, peer, stage, length, before, |connection| {
        download(connection, length)
    })
}

fn measure_forward(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let length = stage.first_download_mib() << 20;
    repeat_with_new_tunnels(
        Engine::Published,
        peer,
        stage,
        length,
        |_| Ok(()),
        |connection| download(connection, length),
    )
}

/// It is not known to be big yet: it uses the agent's session, which is one connection.
fn goals_of_forward(link: Link) -> Vec<Goal> {
    match link {
        Link::Plain => vec![Goal::at_least(RATE, 0.9, Of::Route(Route::Forward))],
        Link::Wan30 => vec![
            Goal::at_least(RATE, 0.9, Of::Route(Route::Tcp)),
            Goal::at_least(RATE, 1.0, Of::Route(Route::Forward)),
        ],
        Link::Wan25 => vec![Goal::at_least(RATE, 0.97, Of::Best)],
    }
}

fn goals(link: Link) -> Vec<Goal> {
    match link {
        Link::Plain => vec![Goal::at_least(RATE, 0.9, Of::Route(Route::ForwardGcm))],
        Link::Wan30 => vec![
            Goal::at_least(RATE, 1.0, Of::Route(Route::Tcp)),
            Goal::at_least(RATE, 1.0, Of::Route(Route::Forward)),
        ],
        Link::Wan25 => vec![Goal::at_least(RATE, 0.97, Of::Best)],
    }
}
