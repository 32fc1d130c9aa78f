//! The first frame of a stream as the agent reads it, in pieces of any size: the reader takes the
//! frame and no byte more, because the rest belongs to the stream's target.

use agent_proto::Opening;
use agent_proto::io::receive;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The first byte is the size of a piece.
pub fn run(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(read(usize::from(*size).max(1), bytes));
}

async fn read(size: usize, bytes: &[u8]) {
    let (mut client, mut agent) = tokio::io::duplex(size);
    let writing = async move {
        // Fails when the agent has dropped the stream.
        let _ = client.write_all(bytes).await;
    };
    let reading = async move {
        let opening = receive::<Opening>(&mut agent).await;
        let mut rest = Vec::new();
        if opening.is_ok() {
            agent.read_to_end(&mut rest).await.expect("a pipe in memory");
        }
        (opening, rest)
    };
    let ((), (opening, rest)) = tokio::join!(writing, reading);
    match agent_proto::decode::<Opening>(bytes) {
        Ok(Some((expected, taken))) => {
            assert_eq!(opening.expect("it is complete"), expected);
            assert_eq!(rest, &bytes[taken..], "the rest is not read");
        }
        Ok(None) | Err(_) => assert!(opening.is_err(), "{opening:?}"),
    }
}
