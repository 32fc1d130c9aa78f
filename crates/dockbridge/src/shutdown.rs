//! Requests to stop this process: SIGINT, SIGHUP and SIGTERM. SIGHUP asks a daemon in the
//! background to read its settings again.

use futures::stream::{self, Stream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first of these signals cancels. From now on none of them ends the process by
/// itself.
pub fn end_of_process() -> std::io::Result<CancellationToken> {
    end_by(heeds_hangup().then(SignalKind::hangup))
}

/// The same for a process without a terminal, which [`hangups`] does not end.
pub fn end_in_background() -> std::io::Result<CancellationToken> {
    end_by(None)
}

/// An item for each SIGHUP, which no longer ends the process from now on.
pub fn hangups() -> std::io::Result<impl Stream<Item = ()> + Send + use<>> {
    let arrived = signal(SignalKind::hangup())?;
    Ok(stream::unfold(arrived, |mut arrived| async move {
        arrived.recv().await.map(|()| ((), arrived))
    }))
}

fn end_by(hangup: Option<SignalKind>) -> std::io::Result<CancellationToken> {
    let ending = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()].into_iter().chain(hangup) {
        let mut arrived = signal(kind)?;
        let ending = ending.clone();
        tokio::spawn(async move {
            if arrived.recv().await.is_some() {
                ending.cancel();
            }
        });
    }
    Ok(ending)
}

/// Whether SIGHUP stops this process. `nohup` ignores it, and a handler would undo that. Where the
/// system does not say, the signal stays as it is.
fn heeds_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    is_ignored(&status, SignalKind::hangup().as_raw_value()) == Some(false)
}

/// Reads the mask `SigIgn` (proc(5)).
fn is_ignored(status: &str, signal: i32) -> Option<bool> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_nohup_had_ignored_stays_ignored() {
        let status = |mask: &str| format!("Name:\tx\nSigIgn:\t{mask}\nSigCgt:\t0000000000000000\n");
        assert_eq!(is_ignored(&status("0000000000000001"), 1), Some(true));
        assert_eq!(is_ignored(&status("0000000000001000"), 1), Some(false));
        assert_eq!(is_ignored("", 1), None);
    }
}
