//! After an upgrade: bytes both ways until both directions have ended, each on its own.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio_util::io::{InspectReader, InspectWriter};

use crate::client::{ClientIo, Watch};
use crate::link::{Hijacked, Link};
use crate::socket::Socket;

/// How soon a client that is gone without a byte to notice it by is found. One system call each time.
pub(crate) const LOOK: Duration = Duration::from_secs(2);

/// Joins the client to the engine. Returns when both directions have ended, when one of them breaks, or when the client is gone.
pub(crate) async fn join<S: Socket>(client: ClientIo<S>, early: Bytes, watch: &Watch<S>, link: &Link, hijacked: Hijacked) {
    let Hijacked { mut upgrade, upstream, guard } = hijacked;
    let upgraded = poll_fn(|cx| {
        link.poll_drivers(cx);
        upgrade.poll_unpin(cx)
    })
    .await;
    drop(upstream);
    let engine = match upgraded {
        Ok(upgraded) => TokioIo::new(upgraded),
        Err(error) => {
            tracing::debug!(%error, "the engine ended a connection while taking it over");
            return;
        }
    };
    // What the client sent right after its request comes first.
    let (reader, writer) = tokio::io::split(client);
    let mut client = tokio::io::join(std::io::Cursor::new(early).chain(reader), writer);
    let mut engine = InspectWriter::new(InspectReader::new(engine, |_: &[u8]| guard.traffic()), |_: &[u8]| guard.traffic());
    tokio::select! {
        outcome = tokio::io::copy_bidirectional(&mut client, &mut engine) => {
            if let Err(error) = outcome {
                tracing::debug!(%error, "a stream broke");
            }
        }
        () = gone(watch) => tracing::debug!("the client of a stream is gone"),
    }
}

async fn gone<S: Socket>(watch: &Watch<S>) {
    let mut interval = tokio::time::interval(LOOK);
    loop {
        interval.tick().await;
        if watch.hung_up() == Some(true) {
            return;
        }
    }
}
