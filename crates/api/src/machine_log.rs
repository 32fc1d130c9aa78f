//! The log of the machine, as the daemon streams it: line by line, without an end where new lines
//! are followed.

use std::pin::Pin;

use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;

use crate::client::{Client, ClientError, broken, refused};
use crate::control::MachineLogQuery;

/// The lines of a machine's log.
pub struct MachineLog {
    body: Incoming,
    /// Drives the connection; `None` once it has ended.
    connection: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    begun: Vec<u8>,
}

impl std::fmt::Debug for MachineLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MachineLog").finish_non_exhaustive()
    }
}

impl Client {
    /// The log of a machine that is up. It wakes none.
    pub async fn machine_log(&self, query: &MachineLogQuery) -> Result<MachineLog, ClientError> {
        let request = Request::builder()
            .method(Method::GET)
            .uri(format!("/machine-log?{}", encoded(query)))
            .header("Host", "dockbridge")
            .body(Empty::<Bytes>::new())
            .map_err(broken)?;
        let stream = self.connect().await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let mut connection: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            // An error of the connection is an error of the body, too.
            let _ = connection.await;
        });
        let response = tokio::select! {
            response = sender.send_request(request) => response.map_err(broken)?,
            () = &mut connection => return Err(broken("the connection broke")),
        };
        let status = response.status();
        let mut log = MachineLog {
            body: response.into_body(),
            connection: Some(connection),
            begun: Vec::new(),
        };
        match status.is_success() {
            true => Ok(log),
            false => {
                while log.piece().await? {}
                Err(refused(status, &log.begun))
            }
        }
    }
}

impl MachineLog {
    /// The next line; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            if let Some(end) = self.begun.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.begun.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            if !self.piece().await? {
                return Ok(None);
            }
        }
    }

    /// Reads a piece of the body; `false` at its end.
    async fn piece(&mut self) -> Result<bool, ClientError> {
        let frame = loop {
            let Some(connection) = &mut self.connection else { break self.body.frame().await };
            tokio::select! {
                biased;
                frame = self.body.frame() => break frame,
                () = connection => self.connection = None,
            }
        };
        match frame {
            Some(frame) => {
                if let Ok(data) = frame.map_err(broken)?.into_data() {
                    self.begun.extend_from_slice(&data);
                }
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

fn encoded(query: &MachineLogQuery) -> String {
    let MachineLogQuery { since, lines, after, follow } = query;
    let since = since.map(|since| format!("since={since}"));
    let lines = lines.map(|lines| format!("lines={lines}"));
    // A cursor has no character but `;` and `=` that a query would have to escape.
    let escaped = |cursor: &String| cursor.replace('=', "%3D").replace(';', "%3B");
    let after = after.as_ref().map(|cursor| format!("after={}", escaped(cursor)));
    let follow = follow.then(|| "follow=true".to_owned());
    [since, lines, after, follow].into_iter().flatten().collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_has_what_is_set() {
        assert_eq!(encoded(&MachineLogQuery::default()), "");
        let query = MachineLogQuery {
            since: Some(7),
            lines: Some(3),
            after: Some("s=1;i=2".to_owned()),
            follow: true,
        };
        assert_eq!(encoded(&query), "since=7&lines=3&after=s%3D1%3Bi%3D2&follow=true");
    }
}
