//! A thousand short requests, fifty of them in flight, each on a connection of its own.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};

use super::{COMMON, Row, latency};
use crate::clock;
use crate::goal::{Figures, Goal, Of};
use crate::http::{get, read_answer};
use crate::link::Link;
use crate::peer::{Engine, Peer};
use crate::route::Route;
use crate::stage::Stage;

const IN_FLIGHT: usize = 50;
const SHOWN: &[&str] = &["s per 1000", "answered %", "per s", "p50 ms", "p99 ms"];

pub const ROW: Row = Row {
    id: "short",
    title: "1,000 short requests, 50 in flight",
    routes: COMMON,
    shown: SHOWN,
    measure,
    goals,
};

fn measure(peer: &Peer, _: &Stage) -> Result<Figures> {
    // Routes with a login for each request would take minutes.
    let wanted = if peer.route.opens_by_login() { 300 } else { 1000 };
    let begun = clock::now();
    let asked = AtomicUsize::new(0);
    let seconds: Vec<f64> = std::thread::scope(|scope| {
        let client = || {
            let mut answered = Vec::new();
            while asked.fetch_add(1, Ordering::Relaxed) < wanted {
                answered.extend(once(peer).ok());
            }
            answered
        };
        let clients: Vec<_> = (0..IN_FLIGHT).map(|_| scope.spawn(client)).collect();
        clients.into_iter().filter_map(|client| client.join().ok()).flatten().collect()
    });
    let took = begun.elapsed().as_secs_f64();
    let answered = seconds.len() as f64;
    ensure!(answered > 0.0, "none was answered");
    let mut figures = latency(seconds);
    figures.insert("answered %".to_owned(), 100.0 * answered / wanted as f64);
    figures.insert("per s".to_owned(), answered / took);
    figures.insert("s per 1000".to_owned(), took * 1000.0 / wanted as f64);
    Ok(figures)
}

fn once(peer: &Peer) -> Result<f64> {
    let begun = clock::now();
    let mut connection = peer.dial(Engine::Docker)?;
    get(&mut connection, "/containers/json", true)?;
    read_answer(&mut connection)?;
    Ok(begun.elapsed().as_secs_f64())
}

fn goals(link: Link) -> Vec<Goal> {
    let mut goals = vec![Goal::at_least("answered %", 1.0, Of::Number(100.0))];
    match link {
        Link::Plain => goals.push(Goal::at_least("per s", 1.0, Of::Route(Route::Forward))),
        Link::Wan30 => {
            goals.push(Goal::at_most("s per 1000", 0.6, Of::Route(Route::Tcp)));
            goals.push(Goal::at_most("p99 ms", 1.2, Of::Route(Route::Tcp)));
        }
        Link::Wan25 => goals.push(Goal::at_most("s per 1000", 0.6, Of::Route(Route::Forward))),
    }
    goals
}
