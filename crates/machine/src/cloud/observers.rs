//! Observers that a wake puts between itself and its caller, and waiting that the caller may end.

use futures::future::BoxFuture;

use super::boot_timing::Stopwatch;
use crate::provider::Observer;
use api::Phase;
use api::Summary;

/// The result of waiting for something that the user may call off.
pub(super) enum Waited<T> {
    For(T),
    CalledOff,
}

/// Waits for something that may be cut off anywhere.
pub(super) async fn unless_called_off<T>(
    observer: &dyn Observer,
    work: impl Future<Output = T>,
) -> Waited<T> {
    tokio::select! {
        biased;
        () = observer.called_off() => Waited::CalledOff,
        done = work => Waited::For(done),
    }
}

/// Times each stage, then passes it to the observer.
pub(super) struct Timed<'a> {
    pub(super) stopwatch: &'a Stopwatch,
    pub(super) observer: &'a dyn Observer,
}

impl Observer for Timed<'_> {
    fn stage(&self, phase: Phase, detail: Option<String>) {
        self.stopwatch.lap(&phase);
        self.observer.stage(phase, detail);
    }

    fn refusal(&self) -> Option<String> {
        self.observer.refusal()
    }

    fn created(&self, server: &Summary) {
        self.observer.created(server);
    }

    fn deleted(&self, id: u64, because: &str) {
        self.observer.deleted(id, because);
    }

    fn is_called_off(&self) -> bool {
        self.observer.is_called_off()
    }

    fn called_off(&self) -> BoxFuture<'_, ()> {
        self.observer.called_off()
    }
}

/// While no client waits, the stages go to the debug log.
pub(super) struct Joining;

impl Observer for Joining {
    fn stage(&self, phase: Phase, detail: Option<String>) {
        tracing::debug!(phase = phase.words(), detail, "joining");
    }
}
