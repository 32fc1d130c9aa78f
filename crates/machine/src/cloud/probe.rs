//! Probes TCP 22 of a server, and of other hosts that are known to answer. [`crate::reach`] judges
//! the observations. A probe sends no data.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

use crate::reach::{Elsewhere, Knock};

/// The limit of a name's resolution.
const LONGEST_LOOKUP: Duration = Duration::from_millis(1_500);
/// The limit of one greeting. TCP repeats a lost packet after 1 s (RFC 6298), so one may be lost.
const LONGEST_GREETING: Duration = Duration::from_millis(2_500);
/// The next host is asked only if the one before has not answered for this long.
const STAGGER: Duration = Duration::from_millis(700);
/// The beginning of every SSH server's greeting (RFC 4253, section 4.2).
const BANNER: &[u8] = b"SSH-";
const SSH_PORT: u16 = 22;

/// Hosts whose TCP 22 is known to answer. While one of them answers, this computer's network lets
/// TCP 22 out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortCheck {
    /// `host` or `host:port`; empty switches the check off.
    pub hosts: Vec<String>,
    /// A host that refuses the connection counts as one that answers. For hosts that may run no SSH
    /// server.
    pub accepts_refusal: bool,
}

/// The result for one host.
enum Found {
    Answers,
    Blocked,
    Unknown,
}

/// One attempt to open a TCP connection.
pub(super) async fn knock(address: SocketAddr, limit: Duration) -> Knock {
    match timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Knock::Answers,
        Ok(Err(error)) if error.kind() == ErrorKind::TimedOut => Knock::TimedOut,
        Ok(Err(_)) => Knock::Refused,
        Err(_) => Knock::TimedOut,
    }
}

impl PortCheck {
    /// Asks all hosts, until one answers. Takes 5 s at most.
    pub async fn ask(&self) -> Elsewhere {
        let asked = (0_u32..).zip(&self.hosts).map(|(position, host)| async move {
            sleep(STAGGER * position).await;
            self.ask_one(host).await
        });
        let mut asked: FuturesUnordered<_> = asked.collect();
        let mut is_blocked = false;
        while let Some(found) = asked.next().await {
            match found {
                Found::Answers => return Elsewhere::Answers,
                Found::Blocked => is_blocked = true,
                Found::Unknown => {}
            }
        }
        match is_blocked {
            true => Elsewhere::Blocked { hosts: self.hosts.clone() },
            false => Elsewhere::Unknown,
        }
    }

    async fn ask_one(&self, host: &str) -> Found {
        let named = match host.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => host.to_owned(),
            _ => format!("{host}:{SSH_PORT}"),
        };
        // A name that cannot be resolved in time says nothing about the port.
        let resolved = timeout(LONGEST_LOOKUP, lookup_host(named)).await;
        let Ok(Ok(addresses)) = resolved else { return Found::Unknown };
        let attempts = addresses.map(|address| self.greeted_by(address));
        let found = join_all(attempts).await;
        // A connection over an address family that this computer lacks fails at once, and is no
        // block.
        let answers = found.iter().any(|found| matches!(found, Found::Answers));
        match (answers, found.is_empty()) {
            (true, _) => Found::Answers,
            (false, true) => Found::Unknown,
            (false, false) => Found::Blocked,
        }
    }

    /// Only a greeting counts as an answer, since a captive portal accepts every connection.
    async fn greeted_by(&self, address: SocketAddr) -> Found {
        let greeting = async {
            let mut stream = TcpStream::connect(address).await?;
            let mut begin = [0; BANNER.len()];
            stream.read_exact(&mut begin).await?;
            Ok::<_, std::io::Error>(begin == BANNER)
        };
        match timeout(LONGEST_GREETING, greeting).await {
            Ok(Ok(true)) => Found::Answers,
            Ok(Err(error))
                if self.accepts_refusal && error.kind() == ErrorKind::ConnectionRefused =>
            {
                Found::Answers
            }
            Ok(_) | Err(_) => Found::Blocked,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn ask(hosts: &[String], accepts_refusal: bool) -> Elsewhere {
        PortCheck { hosts: hosts.to_vec(), accepts_refusal }.ask().await
    }

    /// A host that greets every connection with this text.
    async fn greets(text: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(text).await.unwrap();
            }
        });
        address
    }

    /// Bound and not listening, so connections are refused.
    fn refuses() -> (tokio::net::TcpSocket, String) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        (socket, address)
    }

    #[tokio::test]
    async fn one_ssh_server_that_answers_is_enough() {
        let (_bound, refusing) = refuses();
        let hosts = [refusing, greets(b"SSH-2.0-x\r\n").await];
        assert_eq!(ask(&hosts, false).await, Elsewhere::Answers);
    }

    #[tokio::test]
    async fn captive_portal_is_no_ssh_server() {
        let hosts = [greets(b"HTTP/1.1 302 Found\r\n").await];
        assert_eq!(ask(&hosts, false).await, Elsewhere::Blocked { hosts: hosts.to_vec() });
    }

    #[tokio::test]
    async fn refusal_is_a_block_unless_the_host_may_run_no_ssh_server() {
        let (_bound, refusing) = refuses();
        let hosts = [refusing];
        assert_eq!(ask(&hosts, false).await, Elsewhere::Blocked { hosts: hosts.to_vec() });
        assert_eq!(ask(&hosts, true).await, Elsewhere::Answers);
    }

    #[tokio::test]
    async fn unresolvable_names_and_an_empty_list_say_nothing() {
        assert_eq!(ask(&["host.invalid".to_owned()], false).await, Elsewhere::Unknown);
        assert_eq!(ask(&[], false).await, Elsewhere::Unknown);
    }
}
