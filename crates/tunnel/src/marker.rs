//! Our own lines in what a host prints before the agent speaks. Pure.

use agent_proto::READY_LINE;
use bytes::BytesMut;

/// The host says which of the binaries it wants.
const WANTED: &str = "dockbridge-agent wanted ";
/// The host says why none will do.
const UNSUITABLE: &str = "dockbridge-agent unsuitable ";

/// What the host says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Marker {
    /// The agent speaks from here on.
    Ready,
    /// It has not got the agent for this kind of machine.
    Wanted(String),
    /// No agent will run, for this reason.
    Unsuitable(String),
}

/// Finds our next line, wherever it begins: noise may end without a newline. What stands before it
/// is thrown away.
pub(crate) fn take_marker(heard: &mut BytesMut) -> Option<Marker> {
    let found =
        |needle: &str| heard.windows(needle.len()).position(|window| window == needle.as_bytes());
    if let Some(at) = found(READY_LINE) {
        let _ = heard.split_to(at + READY_LINE.len());
        return Some(Marker::Ready);
    }
    let (at, prefix) = found(WANTED)
        .map(|at| (at, WANTED))
        .or_else(|| found(UNSUITABLE).map(|at| (at, UNSUITABLE)))?;
    let length = heard[at..].iter().position(|&byte| byte == b'\n')?;
    let line = heard.split_to(at + length + 1);
    let rest = String::from_utf8_lossy(&line[at + prefix.len()..at + length]).trim().to_owned();
    Some(if prefix == WANTED { Marker::Wanted(rest) } else { Marker::Unsuitable(rest) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_ready_line_is_found_behind_any_noise(noise in "[^d]{0,200}", after: Vec<u8>) {
            let mut heard = BytesMut::from(noise.as_bytes());
            heard.extend_from_slice(READY_LINE.as_bytes());
            heard.extend_from_slice(&after);
            prop_assert!(matches!(take_marker(&mut heard), Some(Marker::Ready)));
            prop_assert_eq!(&heard[..], &after[..]);
        }
    }

    #[test]
    fn a_line_is_taken_only_when_it_is_whole() {
        let mut heard = BytesMut::from(&b"motd\r\ndockbridge-agent wanted x86"[..]);
        assert!(take_marker(&mut heard).is_none());
        heard.extend_from_slice(b"_64\nmore");
        assert!(matches!(take_marker(&mut heard), Some(Marker::Wanted(arch)) if arch == "x86_64"));
        assert_eq!(&heard[..], b"more");
    }
}
