//! Finds dockbridge's own lines in the output of a host before the agent's protocol begins. Pure.

use agent_proto::READY_LINE;
use bytes::BytesMut;

/// The host names the binary that it needs.
const WANTED: &str = "dockbridge-agent wanted ";
/// The host names the reason why no binary fits.
const UNSUITABLE: &str = "dockbridge-agent unsuitable ";

/// A line of dockbridge's script or agent on the host.
#[derive(Debug, PartialEq, Eq)]
pub enum Banner {
    /// The agent's protocol begins after this line.
    Ready,
    /// The host lacks the agent for this architecture.
    Wanted(String),
    /// No agent can run, for this reason.
    Unsuitable(String),
}

/// Takes the next of these lines, wherever it begins: other output may end without a newline. Drops
/// what precedes it.
pub fn take_banner(output: &mut BytesMut) -> Option<Banner> {
    let found =
        |needle: &str| output.windows(needle.len()).position(|window| window == needle.as_bytes());
    if let Some(at) = found(READY_LINE) {
        let _ = output.split_to(at + READY_LINE.len());
        return Some(Banner::Ready);
    }
    let (at, prefix) = found(WANTED)
        .map(|at| (at, WANTED))
        .or_else(|| found(UNSUITABLE).map(|at| (at, UNSUITABLE)))?;
    let length = output[at..].iter().position(|&byte| byte == b'\n')?;
    let line = output.split_to(at + length + 1);
    let rest = String::from_utf8_lossy(&line[at + prefix.len()..at + length]).trim().to_owned();
    Some(if prefix == WANTED { Banner::Wanted(rest) } else { Banner::Unsuitable(rest) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_ready_line_is_found_after_any_output(noise in "[^d]{0,200}", after: Vec<u8>) {
            let mut output = BytesMut::from(noise.as_bytes());
            output.extend_from_slice(READY_LINE.as_bytes());
            output.extend_from_slice(&after);
            prop_assert!(matches!(take_banner(&mut output), Some(Banner::Ready)));
            prop_assert_eq!(&output[..], &after[..]);
        }
    }

    #[test]
    fn a_line_is_taken_only_when_complete() {
        let mut output = BytesMut::from(&b"motd\r\ndockbridge-agent wanted x86"[..]);
        assert!(take_banner(&mut output).is_none());
        output.extend_from_slice(b"_64\nmore");
        assert!(matches!(take_banner(&mut output), Some(Banner::Wanted(arch)) if arch == "x86_64"));
        assert_eq!(&output[..], b"more");
    }
}
