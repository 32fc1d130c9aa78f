//! Runs one command on a host and collects what it says.
//!
//! Both directions move at once, or a command that talks while it still reads would stop both
//! sides. The status is waited for after the end of the output, in whichever order the host sends
//! them.

use std::io;
use std::sync::Arc;

use russh::ChannelMsg;
use tokio::io::AsyncWriteExt as _;

use crate::ConnectError;
use crate::connection::{ChannelError, Connection};

/// What a command may print on each of its outputs, in bytes: it is for questions and small files,
/// transfers have streams.
const MOST_OUTPUT: usize = 16 * 1024 * 1024;

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Exit status; `None` when a signal ended it.
    pub status: Option<u32>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl ExecOutput {
    /// Whether it ended with status 0.
    pub fn success(&self) -> bool {
        self.status == Some(0)
    }
}

pub(crate) async fn exec(
    connection: &Arc<Connection>,
    command: &str,
    stdin: &[u8],
) -> Result<ExecOutput, ConnectError> {
    let failed = |message: String| ConnectError::Protocol {
        endpoint: connection.endpoint.clone(),
        doing: "running a command",
        source: Box::new(io::Error::other(message)),
    };
    let mut channel = connection.session().await.map_err(|error| match error {
        ChannelError::Refused(message) | ChannelError::Dead(message) => failed(message),
    })?;
    channel.exec(command).await.map_err(|error| failed(error.to_string()))?;
    let mut input = channel.take_writer();
    let feeding = async {
        // A command that does not read its input is no failure; its status tells.
        let _ = input.write_all(stdin).await;
        let _ = input.shutdown().await;
        std::future::pending::<()>().await;
    };
    let mut output = ExecOutput { status: None, stdout: Vec::new(), stderr: Vec::new() };
    let listening = async {
        while let Some(message) = channel.next().await {
            match message {
                ChannelMsg::Data { data } => output.stdout.extend_from_slice(&data),
                ChannelMsg::ExtendedData { data, .. } => output.stderr.extend_from_slice(&data),
                ChannelMsg::Failure => {
                    return Err(failed(
                        "the host refuses to run \
                    commands"
                            .into(),
                    ));
                }
                ChannelMsg::Close => break,
                _ => {}
            }
            if output.stdout.len().max(output.stderr.len()) > MOST_OUTPUT {
                return Err(failed(format!("it printed more than {} MiB", MOST_OUTPUT >> 20)));
            }
        }
        Ok(())
    };
    tokio::select! {
        heard = listening => heard?,
        () = feeding => {}
        reason = connection.death.wait() => return Err(failed(reason)),
    }
    output.status = channel.exit_status();
    Ok(output)
}
