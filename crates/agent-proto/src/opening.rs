//! How a stream begins: what the client asks for, and what the agent answers. Knows no bytes.

use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::refusal::Refusal;
use crate::request::Request;

/// The direction of a lane's chunks. The client sends it as the lane's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the machine.
    Up,
    /// To the client.
    Down,
}

impl Direction {
    /// The first byte of a lane.
    pub fn byte(self) -> u8 {
        match self {
            Direction::Up => b'u',
            Direction::Down => b'd',
        }
    }

    /// The direction that the first byte of a lane stands for.
    pub fn of(byte: u8) -> Option<Self> {
        [Direction::Up, Direction::Down].into_iter().find(|direction| direction.byte() == byte)
    }
}

/// The first frame of a stream, from the client: the stream's target. The agent opens streams for
/// [`Opening::Abandon`] and [`Opening::Broken`] only.
///
/// `request` is left out where there is none, and an agent that does not know it ignores it. The
/// Docker socket by its path is the form of [`Opening::Docker`] that carries one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// The Docker socket of the machine.
    Docker,
    /// Another Unix socket of the machine.
    Socket {
        /// Its path.
        path: String,
        /// The request that the stream serves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Request,
    },
    /// A TCP port as seen from the machine.
    Tcp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// The request that the stream serves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Request,
    },
    /// A UDP port as seen from the machine. The stream carries datagrams in both directions
    /// (module `datagram`) until the client ends it. Only datagrams from that port are received.
    Udp {
        /// Host name or address.
        host: String,
        /// Port.
        port: u16,
        /// The request that the stream serves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Request,
    },
    /// A call to the agent itself. The reply is one `Reply` frame, then the stream ends.
    Call(Call),
    /// The sender has closed its side of a stream and now drops the rest of it; what still arrives
    /// from the other side is lost. yamux has no reset after a FIN, so the other side would write
    /// until its credit is used up and then wait forever. Not answered.
    Abandon {
        /// The yamux id of the stream.
        stream: u32,
    },
    /// The target's connection broke off after the client had closed its side. The agent holds the
    /// stream until the client gives it up: yamux shows a reset after a FIN as an end, so the
    /// broken stream would look complete. Not answered.
    Broken {
        /// The yamux id of the stream.
        stream: u32,
        /// The number of bytes of the stream before the break. This frame may arrive earlier than
        /// they do.
        after: u64,
    },
}

/// The first frame of a stream, from the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opened {
    /// The target is connected.
    Ready,
    /// The target is not connected. The stream ends after this frame.
    Refused(Refusal),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(opening: &Opening) -> String {
        serde_json::to_string(opening).unwrap()
    }

    #[test]
    fn opening_without_a_request_has_the_form_of_older_clients() {
        assert_eq!(json(&Opening::Docker), r#""docker""#);
        let socket = Opening::Socket { path: "/s".into(), request: None };
        let tcp = Opening::Tcp { host: "h".into(), port: 1, request: None };
        let udp = Opening::Udp { host: "h".into(), port: 1, request: None };
        for (opening, form) in [
            (socket, r#"{"socket":{"path":"/s"}}"#),
            (tcp, r#"{"tcp":{"host":"h","port":1}}"#),
            (udp, r#"{"udp":{"host":"h","port":1}}"#),
        ] {
            assert_eq!(json(&opening), form);
            assert_eq!(serde_json::from_str::<Opening>(form).unwrap(), opening);
        }
    }

    #[test]
    fn older_agents_understand_an_opening_with_a_request() {
        /// As agents of protocol 2 declared it before openings had requests.
        #[derive(Debug, PartialEq, Eq, Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Older {
            Socket { path: String },
            Tcp { host: String, port: u16 },
            Udp { host: String, port: u16 },
        }
        let read = |opening: &Opening| serde_json::from_str::<Older>(&json(opening)).unwrap();
        let request = Some("k3vq7xw2hdrm".into());
        let socket = Opening::Socket { path: "/s".into(), request: request.clone() };
        assert_eq!(read(&socket), Older::Socket { path: "/s".into() });
        let tcp = Opening::Tcp { host: "h".into(), port: 1, request: request.clone() };
        assert_eq!(read(&tcp), Older::Tcp { host: "h".into(), port: 1 });
        let udp = Opening::Udp { host: "h".into(), port: 1, request };
        assert_eq!(read(&udp), Older::Udp { host: "h".into(), port: 1 });
        let sent = json(&udp);
        assert!(sent.contains("k3vq7xw2hdrm"), "{sent}");
    }
}
