//! The first frame of a stream as the agent reads it, in pieces of any size: it takes the frame and
//! not a byte more, because the rest belongs to the destination of the stream.

use agent_proto::Opening;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[allow(dead_code, reason = "only the reading is looked at")]
#[path = "../../crates/agent/src/framed.rs"]
mod framed;

/// The first byte is the size of a piece.
pub fn run(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(read(usize::from(*size).max(1), bytes));
}

async fn read(size: usize, bytes: &[u8]) {
    let (mut client, mut agent) = tokio::io::duplex(size);
    let writing = async move {
        // Fails when the agent has given the stream up.
        let _ = client.write_all(bytes).await;
    };
    let reading = async move {
        let opening = framed::receive::<Opening>(&mut agent).await;
        let mut rest = Vec::new();
        if opening.is_ok() {
            agent.read_to_end(&mut rest).await.expect("a pipe in memory");
        }
        (opening, rest)
    };
    let ((), (opening, rest)) = tokio::join!(writing, reading);
    match agent_proto::decode::<Opening>(bytes) {
        Ok(Some((expected, taken))) => {
            assert_eq!(opening.expect("it is whole"), expected);
            assert_eq!(rest, &bytes[taken..], "what follows is left alone");
        }
        Ok(None) | Err(_) => assert!(opening.is_err(), "{opening:?}"),
    }
}
