//! Runs one command on a host and collects its output.
//!
//! Both directions proceed in parallel; otherwise a command that prints while it still reads would
//! block both sides. The exit status may arrive before or after the end of the output.

use std::error::Error as StdError;
use std::sync::Arc;

use russh::ChannelMsg;
use tokio::io::AsyncWriteExt as _;

use crate::connection::Connection;
use crate::error::ConnectError;

/// The limit of each output, in bytes: commands are for queries and small files, transfers use
/// streams.
const MAX_OUTPUT: usize = 16 * 1024 * 1024;

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
    let failed = |source: Box<dyn StdError + Send + Sync>| ConnectError::Protocol {
        endpoint: connection.endpoint.clone(),
        doing: "running a command",
        source,
    };
    let mut channel = connection.session().await.map_err(|error| failed(error.into()))?;
    channel.exec(command).await.map_err(|error| failed(error.into()))?;
    let mut input = channel.take_writer();
    let feeding = async {
        // A command that does not read its input is judged by its status.
        let _ = input.write_all(stdin).await;
        let _ = input.shutdown().await;
        std::future::pending::<()>().await;
    };
    let mut output = ExecOutput { status: None, stdout: Vec::new(), stderr: Vec::new() };
    let collecting = async {
        while let Some(message) = channel.next().await {
            match message {
                ChannelMsg::Data { data } => output.stdout.extend_from_slice(&data),
                ChannelMsg::ExtendedData { data, .. } => output.stderr.extend_from_slice(&data),
                ChannelMsg::Failure => {
                    return Err(failed("the host refuses to run commands".into()));
                }
                ChannelMsg::Close => break,
                _ => {}
            }
            if output.stdout.len().max(output.stderr.len()) > MAX_OUTPUT {
                return Err(failed(
                    format!("it printed more than {} MiB", MAX_OUTPUT >> 20).into(),
                ));
            }
        }
        Ok(())
    };
    tokio::select! {
        collected = collecting => collected?,
        () = feeding => {}
        reason = connection.closed.wait() => return Err(failed(reason.into())),
    }
    output.status = channel.exit_status();
    Ok(output)
}
