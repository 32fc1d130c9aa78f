use futures::FutureExt as _;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;

/// A bundle over a path that is known to need all lanes.
fn fast<L: AsyncRead + AsyncWrite + Unpin>(
    out: impl IntoIterator<Item = L>,
    into: impl IntoIterator<Item = L>,
) -> Bundle<L> {
    let mut bundle = Bundle::new(out, into, Duration::from_secs(1));
    bundle.rate = Rate::known(100e6);
    bundle
}

fn bundles(lanes: usize, room: usize) -> (Bundle<DuplexStream>, Bundle<DuplexStream>) {
    let (here, mut there): (Vec<_>, Vec<_>) = (0..lanes).map(|_| tokio::io::duplex(room)).unzip();
    there.reverse();
    (fast(here, []), fast([], there))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

async fn carried(pieces: &[Vec<u8>], lanes: usize, room: usize, flush_each: bool) -> Vec<u8> {
    let (mut here, mut there) = bundles(lanes, room);
    let writing = async move {
        for piece in pieces {
            here.write_all(piece).await.unwrap();
            if flush_each {
                here.flush().await.unwrap();
            }
        }
        here.shutdown().await.unwrap();
    };
    let mut arrived = Vec::new();
    let (_, read) = tokio::join!(writing, there.read_to_end(&mut arrived));
    read.unwrap();
    arrived
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_byte_arrives_once_and_in_order(
        pieces in proptest::collection::vec(
            (0_usize..200_000, any::<u8>(), any::<bool>()),
            0..12,
        ),
        lanes in 1_usize..6,
        room in 1_usize..100_000,
        flush_each: bool,
    ) {
        // Runs of one byte compress, counters do not.
        let pieces: Vec<Vec<u8>> = pieces
            .into_iter()
            .map(|(length, byte, run)| {
                let byte_at =
                    |at: usize| if run { byte } else { (at * at / 7 + at) as u8 ^ byte };
                (0..length).map(byte_at).collect()
            })
            .collect();
        let arrived = runtime().block_on(carried(&pieces, lanes, room, flush_each));
        let sent = pieces.concat();
        prop_assert!(arrived == sent, "{} of {} bytes", arrived.len(), sent.len());
    }

    #[test]
    fn arbitrary_input_does_not_panic(bytes: Vec<u8>) {
        runtime().block_on(async {
            let (mut lane, other) = tokio::io::duplex(1 << 20);
            lane.write_all(&bytes).await.unwrap();
            drop(lane);
            let _ = fast([], [other]).read_to_end(&mut Vec::new()).await;
        });
    }
}

#[tokio::test]
async fn a_stalled_lane_does_not_block_the_others() {
    let (one, mut stalled) = tokio::io::duplex(64);
    let (two, flowing) = tokio::io::duplex(1 << 20);
    let mut here = fast([one, two], []);
    // The first chunk waits in the lane that has no reader; the second lane carries all others.
    // Noise, because a compressed chunk would fit into the stalled lane.
    let mut noise = vec![0; LONGEST];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut noise);
    for _ in 0..4 {
        here.write_all(&noise).await.unwrap();
    }
    assert_eq!(here.out.iter().filter(|lane| lane.outbox.is_empty()).count(), 1);
    drop(flowing);
    let mut head = [0; HEAD];
    stalled.read_exact(&mut head).await.unwrap();
    assert_eq!(head[..8], 0_u64.to_be_bytes());
}

#[tokio::test]
async fn a_missing_chunk_at_the_end_is_an_error() {
    let (mut lane, other) = tokio::io::duplex(1024);
    let mut second = BytesMut::new();
    chunk::put_head(&mut second, 1, 4, 4, Form::Plain);
    second.extend_from_slice(b"late");
    lane.write_all(&second).await.unwrap();
    drop(lane);
    let error = fast([], [other]).read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn flush_delivers_a_partial_chunk() {
    let (mut here, mut there) = bundles(3, 1 << 20);
    for word in [&b"short"[..], b"words"] {
        here.write_all(word).await.unwrap();
        here.flush().await.unwrap();
        let mut heard = [0; 5];
        there.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, word);
    }
}

#[tokio::test(start_paused = true)]
async fn one_lane_is_used_when_it_can_carry_everything() {
    let (near, mut far): (Vec<_>, Vec<_>) = (0..2).map(|_| tokio::io::duplex(1 << 20)).unzip();
    let mut here = Bundle::new(near, [], Duration::from_millis(100));
    let mut used = async || {
        for _ in 0..2 {
            here.write_all(b"word").await.unwrap();
            here.flush().await.unwrap();
            tokio::time::sleep(Duration::from_millis(900)).await;
        }
        let mut chunks = [0; 2];
        for (lane, chunks) in far.iter_mut().zip(&mut chunks) {
            let mut chunk = [0; HEAD + 4];
            while lane.read_exact(&mut chunk).now_or_never().is_some() {
                *chunks += 1;
            }
        }
        chunks
    };
    assert_eq!(used().await, [1, 1], "the rate is unknown");
    assert_eq!(used().await, [2, 0], "a few bytes per second");
}

#[tokio::test(start_paused = true)]
async fn compression_is_tried_again_after_a_pause() {
    let (mut here, mut there) = bundles(1, 1 << 20);
    here.rate = Rate::new();
    let mut noise = vec![0; 4096];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut noise);
    let text = vec![b'a'; 4096];
    let mut forms = Vec::new();
    for (chunk, rest_ms) in [(&noise, 0), (&text, 0), (&text, 1_500)] {
        tokio::time::sleep(Duration::from_millis(rest_ms)).await;
        here.write_all(chunk).await.unwrap();
        here.flush().await.unwrap();
        let mut head = [0; HEAD];
        there.into[0].io.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes(head[12..16].try_into().unwrap());
        there.into[0].io.read_exact(&mut vec![0; length as usize]).await.unwrap();
        forms.push(head[16]);
    }
    assert_eq!(forms, [0, 0, 1], "plain, plain, compressed");
}

#[tokio::test]
async fn lanes_take_turns() {
    let (mut here, mut there) = bundles(3, 1 << 20);
    for _ in 0..3 {
        here.write_all(b"word").await.unwrap();
        here.flush().await.unwrap();
    }
    for lane in &mut there.into {
        let mut chunk = [0; HEAD + 4];
        lane.io.read_exact(&mut chunk).await.unwrap();
        assert_eq!(chunk[HEAD..], *b"word");
    }
}

#[tokio::test]
async fn a_chunk_number_already_read_is_refused() {
    let (mut lane, other) = tokio::io::duplex(1024);
    let mut there = fast([], [other]);
    for _ in 0..2 {
        let mut chunk = BytesMut::new();
        chunk::put_head(&mut chunk, 0, 4, 4, Form::Plain);
        chunk.extend_from_slice(b"once");
        lane.write_all(&chunk).await.unwrap();
        if let Err(error) = there.read_exact(&mut [0; 4]).await {
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            return;
        }
    }
    panic!("the chunk was read twice");
}

#[tokio::test]
async fn a_chunk_number_received_twice_is_refused() {
    let (mut lane, other) = tokio::io::duplex(1024);
    for _ in 0..2 {
        let mut chunk = BytesMut::new();
        chunk::put_head(&mut chunk, 0, 4, 4, Form::Plain);
        chunk.extend_from_slice(b"once");
        lane.write_all(&chunk).await.unwrap();
    }
    let error = fast([], [other]).read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}
