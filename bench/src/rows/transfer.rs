//! What rows about big transfers share: a rate, and the processor time that the client's side
//! spends on it.

use anyhow::{Result, ensure};

use super::{figures, quantile};
use crate::clock;
use crate::engine::{PIECE, send};
use crate::goal::Figures;
use crate::http::{get, read_answer, read_good_head};
use crate::peer::{Connection, Engine, Peer};
use crate::process::cpu_seconds;
use crate::stage::Stage;

/// Megabytes a second.
pub const RATE: &str = "MB/s";
/// Seconds of processor time per GiB, of the processes on this computer that carry the bytes.
pub const CPU: &str = "client CPU s/GiB";

/// How many of the samples were the first big transfer of their tunnel, in percent. A connection of
/// raw TCP is new each time.
pub const FIRST: &str = "first transfers %";

/// Repeats a transfer of `length` bytes to or from the engine that does nothing, each on a
/// connection that is there already.
pub fn repeat(
    peer: &Peer,
    stage: &Stage,
    length: u64,
    transfer: impl Fn(&mut Connection) -> Result<()>,
) -> Result<Figures> {
    repeat_with(Engine::Nothing, peer, stage, length, transfer)
}

/// The same, with this engine.
pub fn repeat_with(
    engine: Engine,
    peer: &Peer,
    stage: &Stage,
    length: u64,
    transfer: impl Fn(&mut Connection) -> Result<()>,
) -> Result<Figures> {
    let samples = (0..stage.repetitions()).map(|_| sample(engine, peer, length, &transfer));
    summary(samples.collect::<Result<_>>()?)
}

/// The same, each time with a new tunnel, after `before` was done with it.
pub fn repeat_with_new_tunnels(
    engine: Engine,
    peer: &Peer,
    stage: &Stage,
    length: u64,
    before: impl Fn(&Peer) -> Result<()>,
    transfer: impl Fn(&mut Connection) -> Result<()>,
) -> Result<Figures> {
    let samples = (0..stage.tunnels()).map(|_| {
        let peer = Peer::start(peer.route, stage)?;
        before(&peer)?;
        sample(engine, &peer, length, &transfer)
    });
    summary(samples.collect::<Result<_>>()?)
}

/// One transfer.
struct Sample {
    rate: f64,
    /// Of processes on this computer, where there are any that carry bytes.
    cpu: Option<f64>,
    first: bool,
}

fn sample(
    engine: Engine,
    peer: &Peer,
    length: u64,
    transfer: impl Fn(&mut Connection) -> Result<()>,
) -> Result<Sample> {
    let mut connection = peer.dial(engine)?;
    get(&mut connection, "/ready", false)?;
    read_answer(&mut connection)?;
    let processes: Vec<u32> = peer.processes().into_iter().chain(connection.process()).collect();
    let first = peer.begins_first_transfer();
    let (spent, begun) = (cpu_seconds(&processes), clock::now());
    transfer(&mut connection)?;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = (cpu_seconds(&processes) - spent) * (1_u64 << 30) as f64 / length as f64;
    Ok(Sample {
        rate: length as f64 / seconds / 1e6,
        cpu: (!processes.is_empty()).then_some(cpu),
        first,
    })
}

fn summary(samples: Vec<Sample>) -> Result<Figures> {
    let mut rates: Vec<f64> = samples.iter().map(|sample| sample.rate).collect();
    let mut costs: Vec<f64> = samples.iter().filter_map(|sample| sample.cpu).collect();
    let [slowest, median, fastest] = [0.0, 0.5, 1.0].map(|part| quantile(&mut rates, part));
    let first = samples.iter().filter(|sample| sample.first).count();
    let mut figures = figures([
        (RATE, median),
        ("slowest MB/s", slowest),
        ("fastest MB/s", fastest),
        (FIRST, percent(first, samples.len())),
    ]);
    if !costs.is_empty() {
        figures.insert(CPU.to_owned(), quantile(&mut costs, 0.5));
    }
    Ok(figures)
}

/// Their share, in percent.
pub fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole as f64
}

/// Sends `length` bytes out of `from` and waits until the engine has all of them.
pub fn upload(connection: &mut Connection, from: &[u8], length: u64) -> Result<()> {
    use std::io::Write as _;
    connection.write_all(
        format!("POST /sink HTTP/1.1\r\nHost: docker\r\nContent-Length: {length}\r\n\r\n")
            .as_bytes(),
    )?;
    send(connection, from, length)?;
    let taken = read_answer(connection)?;
    ensure!(
        taken == length.to_string().as_bytes(),
        "{} of {length} bytes arrived",
        String::from_utf8_lossy(&taken)
    );
    Ok(())
}

/// Fetches `length` bytes.
pub fn download(connection: &mut Connection, length: u64) -> Result<()> {
    use std::io::Read as _;
    get(connection, &format!("/source/{length}"), false)?;
    let mut early = Vec::new();
    read_good_head(connection, &mut early)?;
    let mut got = early.len() as u64;
    let mut piece = vec![0; PIECE];
    while got < length {
        let count = connection.read(&mut piece)?;
        ensure!(count > 0, "{got} of {length} bytes arrived");
        got += count as u64;
    }
    Ok(())
}
