//! Ten thousand exchanges, each cut at a random byte by either side, in order or by a reset.
//!
//! What must hold: nothing hangs; what arrives is the beginning of what was sent, and all of it up
//! to the cut unless the client reset the connection; what was cut never ends cleanly; and when
//! both sides are gone the gateway keeps no activity, no stream and no client. `SEED=…` repeats a
//! run.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod case;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use dockbridge_gateway::{EngineIdentity, Gateway};
use lifecycle::{Activity, FakeClock};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::case::{Case, How, Kind, split, unchunked};
use crate::wire::{Clients, End, Engines, Left, Theirs, wire};

/// Of each kind; there are four.
const CASES: u32 = 2_500;

/// In time that passes only while everything waits.
const CEILING: Duration = Duration::from_secs(60);

/// Sends up to its end, and reads everything.
async fn client(mut end: End, case: &Case) -> Vec<u8> {
    let (at, how) = case.client_ends;
    let (mut reader, mut writer, cutter) = end.split();
    let mut got = Vec::new();
    let writing = async {
        for piece in case.request[..at].chunks(case.piece) {
            if writer.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        if how == How::Orderly {
            let _ = writer.shutdown().await;
        } else {
            cutter.reset();
        }
    };
    if how == How::Orderly {
        let _ = tokio::join!(writing, reader.read_to_end(&mut got));
    } else {
        tokio::select! {
            () = writing => {}
            () = async {
                let _ = reader.read_to_end(&mut got).await;
                std::future::pending().await
            } => {}
        }
    }
    got
}

/// Reads the request, answers, and ends as the case says.
async fn engine(mut end: End, case: &Case) -> Vec<u8> {
    let (mut reader, mut writer, cutter) = end.split();
    let mut got = Vec::new();
    let wanted = match (case.kind, case.engine_ends) {
        (Kind::Upload, Some((at, how))) => {
            while got.len() < at && matches!(reader.read_buf(&mut got).await, Ok(1..)) {}
            if how == How::Reset {
                cutter.reset();
            }
            return got;
        }
        (Kind::Upload, None) => Some(()),
        _ => None,
    };
    let enough = |got: &[u8]| {
        let (head, body) = split(got);
        head && (wanted.is_none() || unchunked(body).1)
    };
    while !enough(&got) {
        if !matches!(reader.read_buf(&mut got).await, Ok(1..)) {
            return got;
        }
    }
    let (at, how) = case.engine_ends.unwrap_or((case.answer.len(), How::Orderly));
    let writing = async {
        for piece in case.answer[..at].chunks(case.piece) {
            if writer.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        match how {
            How::Orderly => drop(writer.shutdown().await),
            How::Reset => cutter.reset(),
        }
    };
    if case.engine_ends.is_some() {
        writing.await;
    } else {
        let _ = tokio::join!(writing, reader.read_to_end(&mut got));
    }
    got
}

/// The ends of a gateway that the cases use.
struct Bench {
    connect: mpsc::UnboundedSender<Theirs>,
    streams: mpsc::UnboundedReceiver<(End, Left)>,
    activity: Activity,
}

impl Bench {
    /// Runs one case and checks it. Panics with its description.
    async fn run(&mut self, case: &Case, number: &str) {
        let described = format!(
            "{number}: {:?} {:?} {:?}, pieces of {}",
            case.kind, case.client_ends, case.engine_ends, case.piece
        );
        let (here, there, left) = wire();
        self.connect.send(there).unwrap();
        let mut stream_left = None;
        let both = async {
            let engine = async {
                let (end, left) = self.streams.recv().await?;
                stream_left = Some(left);
                Some(engine(end, case).await)
            };
            let client = client(here, case);
            tokio::pin!(engine, client);
            tokio::select! {
                got = &mut engine => (got, client.await),
                got = &mut client => {
                    // A client that is gone before its request was sent needs no engine.
                    let asked = tokio::time::timeout(Duration::from_secs(5), engine).await;
                    (asked.ok().flatten(), got)
                }
            }
        };
        let (engine_got, client_got) = tokio::time::timeout(CEILING, both)
            .await
            .unwrap_or_else(|_| panic!("hangs: {described}"));
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            case.check(engine_got.as_deref(), &client_got)
        }));
        checked.unwrap_or_else(|_| {
            panic!(
                "{described}\nthe engine got {} bytes, the client {:?}",
                engine_got.map_or(0, |got| got.len()),
                String::from_utf8_lossy(&client_got)
            )
        });
        let is_left = || {
            !self.activity.snapshot().live.is_empty()
                || left.is_there()
                || stream_left.as_ref().is_some_and(Left::is_there)
        };
        let since = tokio::time::Instant::now();
        while is_left() {
            let live = self.activity.snapshot().live;
            assert!(since.elapsed() < CEILING, "something is left: {described}: {live:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(self.streams.try_recv().is_err(), "a second stream: {described}");
    }
}

#[allow(clippy::print_stdout, reason = "the seed repeats a failed run")]
fn cut(kind: Kind) {
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random::<u64>);
    println!("SEED={seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (opened, streams) = mpsc::unbounded_channel();
        let (connect, clients) = mpsc::unbounded_channel();
        let activity = Activity::new(Arc::new(FakeClock::default()));
        let gateway = Gateway::new(
            Arc::new(Engines(opened)),
            activity.clone(),
            None,
            EngineIdentity::empty(),
        );
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { gateway.serve(Clients(clients), shutdown).await }
        });
        let mut bench = Bench { connect, streams, activity };
        for n in 0..CASES {
            let case = Case::random(kind, &mut chance);
            bench.run(&case, &format!("SEED={seed}, case {n}")).await;
        }
        shutdown.cancel();
        serving.await.unwrap();
    });
}

#[test]
fn chunked_answers() {
    cut(Kind::Download);
}

#[test]
fn chunked_uploads() {
    cut(Kind::Upload);
}

#[test]
fn upgrades() {
    cut(Kind::Upgrade);
}

#[test]
fn raw_hijacks() {
    cut(Kind::Raw);
}
