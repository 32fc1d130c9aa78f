//! The wish that this process may end: an interrupt from the terminal, or a polite kill.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancelled with the first of these signals; from now on none of them ends the process by itself.
pub fn end_of_process() -> std::io::Result<CancellationToken> {
    let ending = CancellationToken::new();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
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
