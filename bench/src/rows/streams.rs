//! Long streams: the log of a container that writes a line a second, followed by many clients at
//! once.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::time::Duration;

use anyhow::Result;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{COMMON, Row, SHARED, figures};
use crate::clock;
use crate::goal::{Figures, Goal, Of};
use crate::http::{find, get, read_good_head, some};
use crate::link::Link;
use crate::peer::{Connection, Engine, Peer};
use crate::process::memory_mib;
use crate::stage::Stage;

const PATH: &str = "/containers/bench-log/logs?follow=1&stdout=1&tail=1";
const SHOWN: &[&str] = &["flowing", "opened", "opened in s", "client MiB"];
/// A client that has no line by then has no stream.
const OPENING: Duration = Duration::from_secs(60);
/// All of them wait in a thread of their own for their first line only.
const STACK: usize = 128 * 1024;

pub const FEW: Row = Row {
    id: "streams",
    title: "200 long streams",
    routes: COMMON,
    shown: SHOWN,
    measure: |peer, stage| measure(peer, stage, 200),
    goals: few,
};
pub const MANY: Row = Row {
    id: "streams1000",
    title: "1,000 long streams",
    routes: SHARED,
    shown: SHOWN,
    measure: |peer, stage| measure(peer, stage, 1000),
    goals: many,
};

fn few(_: Link) -> Vec<Goal> {
    vec![Goal::at_least("flowing", 1.0, Of::Number(200.0))]
}

fn many(_: Link) -> Vec<Goal> {
    vec![
        Goal::at_least("flowing", 1.0, Of::Number(1000.0)),
        Goal::at_most("client MiB", 1.0, Of::Number(40.0)),
    ]
}

fn measure(peer: &Peer, stage: &Stage, count: usize) -> Result<Figures> {
    many_descriptors()?;
    let begun = clock::now();
    let opened: Vec<Connection> = std::thread::scope(|scope| {
        let opening = (0..count).map(|_| {
            std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || open(peer))
        });
        let opening: Vec<_> = opening.collect();
        opening.into_iter().filter_map(|thread| thread.ok()?.join().ok()?.ok()).collect()
    });
    let opened_in = begun.elapsed().as_secs_f64();
    let processes: Vec<u32> =
        peer.processes().into_iter().chain(opened.iter().filter_map(Connection::process)).collect();
    let (opened_count, watch) = (opened.len(), stage.watch());
    let (flowing, memory) = watch_lines(opened, watch, || memory_mib(&processes))?;
    let mut figures = figures([
        ("flowing", flowing as f64),
        ("opened", opened_count as f64),
        ("opened in s", opened_in),
    ]);
    if !processes.is_empty() {
        figures.insert("client MiB".to_owned(), memory);
    }
    Ok(figures)
}

/// Reads up to the first line of the log.
fn open(peer: &Peer) -> Result<Connection> {
    let mut connection = peer.dial(Engine::Docker)?;
    connection.time_limit(OPENING)?;
    get(&mut connection, PATH, false)?;
    let mut early = Vec::new();
    read_good_head(&mut connection, &mut early)?;
    while find(&early, b"line").is_none() {
        some(&mut connection, &mut early)?;
    }
    Ok(connection)
}

/// How many of them receive at least every other line, and what `look` returns in the middle.
fn watch_lines(
    mut streams: Vec<Connection>,
    length: Duration,
    look: impl Fn() -> f64,
) -> io::Result<(usize, f64)> {
    let begun = clock::now();
    let enough = length.as_secs() / 2;
    let mut came = BTreeMap::<usize, u64>::new();
    let mut ended = vec![false; streams.len()];
    let mut seen = None;
    while begun.elapsed() < length {
        if seen.is_none() && begun.elapsed() > length / 2 {
            seen = Some(look());
        }
        let watched: Vec<usize> = (0..streams.len()).filter(|at| !ended[*at]).collect();
        let mut polled: Vec<_> =
            watched.iter().map(|at| PollFd::new(&streams[*at], PollFlags::IN)).collect();
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 200_000_000 }))?;
        let ready: Vec<usize> = watched
            .iter()
            .zip(&polled)
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|(at, _)| *at)
            .collect();
        for at in ready {
            match streams[at].read(&mut [0; 4096]) {
                Ok(0) | Err(_) => ended[at] = true,
                Ok(_) => *came.entry(at).or_default() += 1,
            }
        }
    }
    let flowing = came.iter().filter(|(at, lines)| !ended[**at] && **lines >= enough).count();
    Ok((flowing, seen.unwrap_or(f64::NAN)))
}

/// For this process; its children keep their own.
fn many_descriptors() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}
