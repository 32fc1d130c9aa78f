//! A web server in a container, reached by its published port: requests as fast as sixteen clients
//! can ask, and a big download.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::transfer::{CPU, RATE, download, repeat_with};
use super::{Row, SHARED, latency};
use crate::clock;
use crate::goal::{Figures, Goal, Of};
use crate::http::{get, read_answer};
use crate::link::Link;
use crate::peer::{Connection, Engine, Peer};
use crate::route::Route;
use crate::stage::Stage;

const CLIENTS: usize = 16;
const REQUESTS: &str = "requests/s";
const SHOWN: &[&str] = &[REQUESTS, "p50 ms", "p99 ms"];

pub const NEW: Row = Row {
    id: "forward",
    title: "forwarded web server, a connection for each request",
    routes: SHARED,
    shown: SHOWN,
    measure: on_new,
    goals,
};

pub const KEPT: Row = Row {
    id: "forward-kept",
    title: "forwarded web server, kept connections",
    routes: SHARED,
    shown: SHOWN,
    measure: on_kept,
    goals: goals_of_kept,
};

pub const BULK: Row = Row {
    id: "forward-bulk",
    title: "download through a forwarded port",
    routes: SHARED,
    shown: &[RATE, CPU],
    measure: bulk,
    goals: goals_of_bulk,
};

fn on_new(peer: &Peer, stage: &Stage) -> Result<Figures> {
    asked(stage, |_| peer.dial(Engine::Published).map_err(Into::into))
}

fn on_kept(peer: &Peer, stage: &Stage) -> Result<Figures> {
    asked(stage, |kept| match kept {
        Some(connection) => Ok(connection),
        None => Ok(peer.dial(Engine::Published)?),
    })
}

/// Sixteen clients ask for some seconds, each as soon as it has its answer; `connection` may
/// return the one that it used.
fn asked(
    stage: &Stage,
    connection: impl Fn(Option<Connection>) -> Result<Connection> + Sync,
) -> Result<Figures> {
    let client = |until: Duration, begun: Instant| -> Result<Vec<f64>> {
        let (mut seconds, mut kept) = (Vec::new(), None);
        while begun.elapsed() < until {
            let asked = clock::now();
            let mut open = connection(kept.take())?;
            get(&mut open, "/ready", false)?;
            read_answer(&mut open)?;
            seconds.push(asked.elapsed().as_secs_f64());
            kept = Some(open);
        }
        Ok(seconds)
    };
    // A first request opens what stays open.
    client(Duration::from_millis(300), clock::now())?;
    let begun = clock::now();
    let answered: Vec<Result<Vec<f64>>> = std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| client(stage.watch(), begun))).collect();
        clients
            .into_iter()
            .map(|client| {
                client.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a client panicked")))
            })
            .collect()
    });
    let took = begun.elapsed().as_secs_f64();
    let seconds: Vec<f64> = answered.into_iter().collect::<Result<Vec<_>>>()?.concat();
    ensure!(!seconds.is_empty(), "none was answered");
    let rate = seconds.len() as f64 / took;
    let mut figures = latency(seconds);
    figures.insert(REQUESTS.to_owned(), rate);
    Ok(figures)
}

fn bulk(peer: &Peer, stage: &Stage) -> Result<Figures> {
    let length = stage.download_mib() << 20;
    repeat_with(Engine::Published, peer, stage, length, |connection| download(connection, length))
}

fn goals(link: Link) -> Vec<Goal> {
    vec![match link {
        Link::Plain => Goal::at_least(REQUESTS, 0.9, Of::Route(Route::Forward)),
        // `ssh -L` opens a channel first, then requests the page.
        Link::Wan30 | Link::Wan25 => Goal::at_least(REQUESTS, 1.2, Of::Route(Route::Forward)),
    }]
}

fn goals_of_kept(_: Link) -> Vec<Goal> {
    vec![Goal::at_least(REQUESTS, 0.9, Of::Route(Route::Forward))]
}

fn goals_of_bulk(link: Link) -> Vec<Goal> {
    vec![match link {
        Link::Plain => Goal::at_least(RATE, 1.0, Of::Route(Route::Forward)),
        Link::Wan30 => Goal::at_least(RATE, 0.95, Of::Route(Route::Tcp)),
        Link::Wan25 => Goal::at_least(RATE, 0.99, Of::Best),
    }]
}
