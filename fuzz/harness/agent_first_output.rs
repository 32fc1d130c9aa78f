//! What a host prints before the agent speaks: banners, warnings, and the agent's own lines in
//! between, in pieces of any size.

use agent_proto::READY_LINE;
use bytes::BytesMut;

use tunnel::agent_banner::{Banner, take_banner};

/// The first byte is the size of a piece.
pub fn run(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let mut heard = BytesMut::new();
    let mut fed = 0;
    for piece in bytes.chunks(usize::from(*size).max(1)) {
        heard.extend_from_slice(piece);
        fed += piece.len();
        while let Some(found) = take_banner(&mut heard) {
            let left = heard.len();
            assert_eq!(&heard[..], &bytes[fed - left..fed], "what follows a line is left alone");
            let taken = &bytes[..fed - left];
            match found {
                Banner::Ready => {
                    assert!(
                        taken.ends_with(READY_LINE.as_bytes()),
                        "the agent's first byte is the one after the line"
                    );
                    return;
                }
                Banner::Wanted(said) | Banner::Unsuitable(said) => {
                    assert!(
                        taken.ends_with(b"\n") && !said.contains('\n'),
                        "a line is taken when it is whole"
                    );
                }
            }
        }
    }
    let ready = bytes.windows(READY_LINE.len()).any(|window| window == READY_LINE.as_bytes());
    assert!(!ready, "the line was there and was not found");
}
