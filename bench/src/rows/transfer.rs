//! What rows about big transfers share: a rate, and the processor time that the client's side spends on it.

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

/// Repeats a transfer of `length` bytes to or from the engine that does nothing, each on a connection that is there already.
pub fn repeat(peer: &Peer, stage: &Stage, length: u64, transfer: impl Fn(&mut Connection) -> Result<()>) -> Result<Figures> {
    repeat_with(Engine::Nothing, peer, stage, length, transfer)
}

/// The same, by this way into the engine.
pub fn repeat_with(
    engine: Engine,
    peer: &Peer,
    stage: &Stage,
    length: u64,
    transfer: impl Fn(&mut Connection) -> Result<()>,
) -> Result<Figures> {
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..stage.repetitions() {
        let mut connection = peer.dial(engine)?;
        get(&mut connection, "/ready", false)?;
        read_answer(&mut connection)?;
        let processes: Vec<u32> = peer.processes().into_iter().chain(connection.process()).collect();
        let (spent, begun) = (cpu_seconds(&processes), clock::now());
        transfer(&mut connection)?;
        let seconds = begun.elapsed().as_secs_f64();
        rates.push(length as f64 / seconds / 1e6);
        costs.push((cpu_seconds(&processes) - spent) * (1_u64 << 30) as f64 / length as f64);
    }
    let [slowest, median, fastest] = [0.0, 0.5, 1.0].map(|part| quantile(&mut rates, part));
    let mut figures = figures([(RATE, median), ("slowest MB/s", slowest), ("fastest MB/s", fastest)]);
    if !peer.processes().is_empty() || peer.way.opens_by_login() {
        figures.insert(CPU.to_owned(), quantile(&mut costs, 0.5));
    }
    Ok(figures)
}

/// Sends `length` bytes out of `from` and waits until the engine has all of them.
pub fn upload(connection: &mut Connection, from: &[u8], length: u64) -> Result<()> {
    use std::io::Write as _;
    connection.write_all(format!("POST /sink HTTP/1.1\r\nHost: docker\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
    send(connection, from, length)?;
    let taken = read_answer(connection)?;
    ensure!(taken == length.to_string().as_bytes(), "{} of {length} bytes arrived", String::from_utf8_lossy(&taken));
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
