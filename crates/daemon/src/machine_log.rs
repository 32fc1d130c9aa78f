//! The log of the machine: a command there that prints its journal as lines of JSON. Knows neither
//! who reads it nor the state of the machine.

use api::{Code, Error, MachineLogQuery};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use machine::with_causes;
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;
use tunnel::{Process, Tunnel};

/// Of the agent, dockerd, and cloud-init: what writes them, and what systemd says of their units.
const ENTRIES: &[&str] = &[
    "SYSLOG_IDENTIFIER=dockbridge-agent",
    "_SYSTEMD_UNIT=dockbridge-agent.service",
    "_SYSTEMD_UNIT=dockbridge-volume.service",
    "_SYSTEMD_UNIT=dockbridge-dead-man.service",
    "_SYSTEMD_UNIT=docker.service",
    "UNIT=docker.service _PID=1",
    "_SYSTEMD_UNIT=cloud-init-local.service",
    "_SYSTEMD_UNIT=cloud-init.service",
    "_SYSTEMD_UNIT=cloud-config.service",
    "_SYSTEMD_UNIT=cloud-final.service",
];

/// What of an entry is printed; its time and cursor always are.
const FIELDS: &str = "MESSAGE,PRIORITY,SYSLOG_IDENTIFIER,_SYSTEMD_UNIT,UNIT";

/// The size of the first piece, in bytes.
const FIRST: usize = 8 * 1024;

/// The journal's lines, as they come.
pub(crate) type Lines = BoxStream<'static, std::io::Result<Bytes>>;

/// Reads the journal of a machine. Where new entries are followed, a journal that cannot be read is
/// a stream that ends.
pub(crate) async fn lines(tunnel: &Tunnel, query: &MachineLogQuery) -> Result<Lines, Error> {
    let unreadable = |why: &str| {
        let message = format!("the machine's log cannot be read: {why}");
        Error::new(Code::MachineLogUnreadable, message)
    };
    let command = command(query).ok_or_else(|| unreadable("the cursor is none of a journal"))?;
    let started = tunnel.start(&command).await;
    let mut process = started.map_err(|error| unreadable(&with_causes(&error)))?;
    if query.follow {
        return Ok(ReaderStream::new(process).boxed());
    }
    let mut first = BytesMut::with_capacity(FIRST);
    match process.read_buf(&mut first).await {
        Ok(0) => match failure(process).await {
            None => Ok(stream::empty().boxed()),
            Some(why) => Err(unreadable(&why)),
        },
        Ok(_) => {
            let first = stream::once(async { Ok(first.freeze()) });
            Ok(first.chain(ReaderStream::new(process)).boxed())
        }
        Err(error) => Err(unreadable(&error.to_string())),
    }
}

/// Why a command that printed nothing failed.
async fn failure(process: Process) -> Option<String> {
    let end = process.ended().await;
    if end.status == Some(0) {
        return None;
    }
    let last = end.stderr.trim().lines().last().unwrap_or_default().to_owned();
    Some(match (last.is_empty(), end.status) {
        (false, _) => last,
        (true, Some(status)) => format!("journalctl ended with status {status}"),
        (true, None) => "the connection to the machine is lost".to_owned(),
    })
}

/// The shell command; `None` if the cursor is not one of a journal.
fn command(query: &MachineLogQuery) -> Option<String> {
    let MachineLogQuery { since, lines, after, follow } = query;
    let mut command = format!(
        "exec journalctl --quiet --no-pager --all --output=json --output-fields={FIELDS} \
            --lines={}",
        lines.map_or_else(|| "all".to_owned(), |lines| lines.to_string())
    );
    if let Some(since) = since {
        command.push_str(&format!(" --since=@{since}"));
    }
    if let Some(cursor) = after {
        let is_cursor = |c: char| c.is_ascii_alphanumeric() || "=;-_".contains(c);
        if !cursor.chars().all(is_cursor) {
            return None;
        }
        command.push_str(&format!(" --after-cursor='{cursor}'"));
    }
    if *follow {
        command.push_str(" --follow");
    }
    Some(format!("{command} {}", ENTRIES.join(" + ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_selects_what_the_query_names() {
        let all = command(&MachineLogQuery::default()).unwrap();
        assert!(all.contains(" --lines=all SYSLOG_IDENTIFIER=dockbridge-agent + "), "{all}");
        let some = MachineLogQuery {
            since: Some(7),
            lines: Some(3),
            after: Some("s=0a;i=1f;b=9-2".to_owned()),
            follow: true,
        };
        let some = command(&some).unwrap();
        let expected = " --lines=3 --since=@7 --after-cursor='s=0a;i=1f;b=9-2' --follow SYSLOG_";
        assert!(some.contains(expected), "{some}");
    }

    #[test]
    fn text_that_is_no_cursor_reaches_no_shell() {
        for after in ["'; reboot; '", "$(id)", "a b"] {
            let query = MachineLogQuery { after: Some(after.to_owned()), ..Default::default() };
            assert_eq!(command(&query), None, "{after}");
        }
    }
}
